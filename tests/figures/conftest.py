"""The fixtures of the run report's tests."""

from tests.report.conftest import labels_of, report_of, rows_of, scene_of

__all__ = ["labels_of", "report_of", "rows_of", "scene_of"]
