"""The error of this package."""


class ModelError(Exception):
    """A model file or an image cannot be used; the message names the file, the reason and what to do."""
