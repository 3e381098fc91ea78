"""Inference with a finished run: loading, prediction, evaluation, cost measurement, export."""
