"""The error of this package."""


class ModelError(Exception):
    """A model file or an image that can't be used; the message says which, and what to do."""
