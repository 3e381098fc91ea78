"""Training loop, evaluation, prediction, checkpoints, devices and processes. Plain arguments; independent of specs and run folders."""
