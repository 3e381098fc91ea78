"""The loop, evaluation, prediction, checkpoints, devices and processes. Plain arguments; knows no spec and no run folder."""
