"""Runs without reports."""

from tests.workflow.small import no_report

__all__ = ["no_report"]
