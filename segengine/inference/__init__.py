"""A finished run at work: load, predict, evaluate, measure its cost."""
