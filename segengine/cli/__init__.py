"""The command line: one module per command, with imports inside functions."""
