"""The small problem and its finished study."""

from tests.training.small import no_report, study

__all__ = ["no_report", "study"]
