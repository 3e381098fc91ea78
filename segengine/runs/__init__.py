"""The run folder: names of files, tables, provenance. No torch."""
