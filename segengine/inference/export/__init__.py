"""Export of a finished run to one file: exporters, parity with the trained model, metadata."""
