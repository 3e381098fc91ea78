"""Charts and pictures of both pages and of files, drawn once; nothing here reads a run."""
