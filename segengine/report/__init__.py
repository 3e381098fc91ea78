"""What a run looks like: figures, sheets of predictions, and one self-contained page."""
