"""Runs without reports."""

from tests.training.small import no_report

__all__ = ["no_report"]
