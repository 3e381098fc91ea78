"""Training of one run, from an experiment to a finished run folder."""
