"""Many runs: variants x seeds x folds, on this machine."""
