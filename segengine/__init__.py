"""segengine: semantic image segmentation that says honestly which backbone is best."""

__version__ = "0.1.0"
