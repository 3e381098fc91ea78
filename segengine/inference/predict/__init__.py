"""Prediction of files and folders: inputs, outputs, and the record of what was written."""
