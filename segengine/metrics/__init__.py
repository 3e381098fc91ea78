"""Confusion counts and the scores that follow from them. numpy only."""
