"""Mask values: survey, diagnosis, labels, and mappers from raw values to classes."""
