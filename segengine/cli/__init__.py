"""The command line: one short file a command, imports inside the functions."""
