"""Objects built from an experiment's sections, shared by training, inference and inspection."""
