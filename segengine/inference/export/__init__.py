"""A finished run as one file: exporters, the parity that decides whether a file is good, and its metadata."""
