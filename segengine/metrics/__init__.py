"""Confusion counts, scores computed from them, and metrics measured per image. numpy and scipy only."""
