"""The run folder: file names, tables, provenance. Independent of torch."""
