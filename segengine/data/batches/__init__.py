"""Batch streams on CPU and device, the cache of decoded pairs, the survey file, and seeded random generators."""
