"""Studies: runs of all variants, seeds and folds, and their executors."""
