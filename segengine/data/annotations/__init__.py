"""Annotations as polygons, boxes and run lengths: read from the files of annotation tools, and rasterised as masks on reading."""
