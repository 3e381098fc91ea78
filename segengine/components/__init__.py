"""What can be chosen in an experiment: small frozen parameter models with a `build`. No torch at import."""
