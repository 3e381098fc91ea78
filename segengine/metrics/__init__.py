"""Confusion counts and the scores that follow from them; metrics measured on each image. numpy and scipy only."""
