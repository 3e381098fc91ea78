"""Outlines have the area and the pixels of what they surround."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from segengine.data.masks.mapping import Label
from segengine.inference.outlines import outlines

LABELS = (Label(0, "ground", 0, (0, 0, 0)), Label(1, "disc", 63, (1, 2, 3)))


def test_each_component_is_a_polygon_of_its_area() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 14, 2)
        classes = (rng.random((height, width)) < rng.random()).astype(np.uint8)
        found = outlines(classes, LABELS)
        for label in LABELS:
            components, _ = ndimage.label(classes == label.index, np.ones((3, 3)))
            same = [f["properties"]["pixels"] for f in found if f["properties"]["class"] == label.name]
            assert sorted(same) == sorted(np.bincount(components.ravel())[1:].tolist())


def test_polygons_hold_the_pixels() -> None:
    classes = np.zeros((20, 20), np.uint8)
    classes[3:12, 4:15] = 1
    classes[6:8, 7:10] = 0
    classes[0, 0] = 1
    scale = 8
    drawn = Image.new("1", (20 * scale, 20 * scale))
    draw = ImageDraw.Draw(drawn)
    for feature in outlines(classes, LABELS):
        if feature["properties"]["index"] == 1:
            for ring, fill in zip(feature["geometry"]["coordinates"], (1, 0, 0), strict=False):
                draw.polygon([(x * scale, y * scale) for x, y in ring], fill=fill)
                assert ring[0] == ring[-1]
    assert np.array_equal(np.asarray(drawn)[scale // 2 :: scale, scale // 2 :: scale], classes == 1)
