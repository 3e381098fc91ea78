"""Annotations as polygons, boxes and run lengths: read from the tools' files, and rasterised as masks when a mask is read."""
