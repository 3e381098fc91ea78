"""The small problem and its finished study."""

from tests.workflow.small import no_report, study

__all__ = ["no_report", "study"]
