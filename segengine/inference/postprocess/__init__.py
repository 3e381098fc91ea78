"""Post-processing of a run's predictions: chosen on validation images, recorded in the run folder."""
