"""Inspection before training: images and masks of a folder, creation of an experiment file, and the machine."""
