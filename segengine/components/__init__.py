"""Components of an experiment: frozen parameter models with a `build` method. No torch at import."""
