"""Comparison of finished runs: loading, checks, statistics and rendering; a pure function of run folders."""
