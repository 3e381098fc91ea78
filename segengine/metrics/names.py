"""Names of the scores that are computed from confusion counts. Imports nothing, for light commands."""

SCORES = ("precision", "recall", "iou", "dice")
"""Keys of a class's and a mean's scores in metrics.jsonl and reports."""
OVERLAPS = ("dice", "iou")
"""Scores that also have means per image and per group, and that variants are compared by."""
LABELS = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall"}
"""Labels in tables and charts."""
DEFAULT_METRIC = "dice"
"""The score that selects the checkpoint, and that reports, progress tables and comparisons show unless another is chosen."""
