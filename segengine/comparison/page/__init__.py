"""The offline page of a comparison, and its files."""
