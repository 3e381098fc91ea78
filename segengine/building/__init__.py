"""From an experiment's sections to objects, shared by training, inference and inspection."""
