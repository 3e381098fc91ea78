"""Spec -> objects -> one run: the one place where everything meets."""
