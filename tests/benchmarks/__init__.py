"""Timings and memory beside a plain loop and beside the limit: `python -m tests.benchmarks`."""
