"""Overlays of class masks on images, and rows of image, prediction and ground truth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.figures.labels import LabelLike, colour_table, is_background
from segengine.metrics.confusion import IGNORE

Pixels = NDArray[np.uint8]
IGNORED_DARK, IGNORED_LIGHT = 104, 184  # the two grays of the hatch


def to_rgb(image: Pixels) -> Pixels:
    """Convert uint8 [H, W] or [H, W, C] to uint8 [H, W, 3]: the first channel as gray if C < 3, else the first three."""
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] < 3:
        return np.repeat(image[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def overlay(
    image: Pixels, classes: Pixels, labels: Sequence[LabelLike], alpha: float = 0.45, *, line: int | None = None
) -> Pixels:
    """The image with classes tinted and outlined in their colours, uint8 [H, W, 3]; ignored pixels are hatched in gray.

    Args:
        image: uint8 [H, W] or [H, W, C].
        classes: uint8 [H, W], 0..K-1, 255 = ignore; the background class is left unchanged.
        alpha: opacity of the tint, 0..1.
        line: width of outlines in pixels; by default 1 per 400 pixels of the longer side.
    """
    assert image.shape[:2] == classes.shape, (image.shape, classes.shape)
    line = max(1, round(max(classes.shape) / 400)) if line is None else line
    shown = to_rgb(image).astype(np.float32)
    background = [label.index for label in labels if is_background(label)]
    tinted = ~np.isin(classes, [*background, IGNORE])
    colours = colour_table(labels)[classes]
    shown[tinted] += alpha * (colours[tinted] - shown[tinted])
    edge = tinted & _edges(classes, line)
    shown[edge] = colours[edge]
    ignored = classes == IGNORE
    if ignored.any():
        shown[ignored] = hatch(classes.shape, line)[ignored]
    return np.rint(shown).astype(np.uint8)


def hatch(shape: tuple[int, ...], line: int = 1) -> Pixels:
    """Diagonal stripes in two grays, uint8 [H, W, 3]: the pattern of ignored pixels in all figures."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    dark = (rows + columns) // (3 * line) % 2 == 0
    return np.where(dark[:, :, None], np.uint8(IGNORED_DARK), np.uint8(IGNORED_LIGHT)).repeat(3, axis=2)


def triptych(
    image: Pixels, prediction: Pixels, truth: Pixels, labels: Sequence[LabelLike], *, side: int | None = None
) -> Pixels:
    """Image, prediction and truth side by side, uint8 [h, w, 3]; each at the image's size, or with a longer side of `side` pixels."""
    return strip(
        [tile(image, None, labels, side), tile(image, prediction, labels, side), tile(image, truth, labels, side)]
    )


def strip(tiles: Sequence[Pixels], gap: int | None = None) -> Pixels:
    """Tiles of equal height side by side, uint8 [h, w, 3], separated by white gaps of `gap` pixels."""
    gap = max(2, tiles[0].shape[1] // 60) if gap is None else gap
    between = np.full((tiles[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for painted in tiles for part in (painted, between)]
    return np.concatenate(parts[:-1], axis=1)


def tile(image: Pixels, classes: Pixels | None, labels: Sequence[LabelLike], side: int | None = None) -> Pixels:
    """An image, with an overlay of `classes` if given, scaled to a longer side of `side` pixels; uint8 [h, w, 3].

    Small images are enlarged before the overlay is drawn and large ones reduced after it, which keeps outlines sharp; masks are
    never interpolated.
    """
    shown = to_rgb(image)
    height, width = shown.shape[:2]
    if side is None or side == max(height, width):
        return shown if classes is None else overlay(shown, classes, labels)
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale > 1:
        shown = _resized(shown, size, smooth=True)
        return shown if classes is None else overlay(shown, _resized(classes, size, smooth=False), labels, line=1)
    line = max(1, round(1.2 / scale))
    return _resized(shown if classes is None else overlay(shown, classes, labels, line=line), size, smooth=True)


def _edges(classes: Pixels, line: int) -> NDArray[np.bool_]:
    """Pixels within `line` pixels of another class, bool [H, W]; the image border is not an edge."""
    edge = np.zeros(classes.shape, bool)
    for step in range(1, min(line, *classes.shape) + 1):
        down = classes[step:] != classes[:-step]
        across = classes[:, step:] != classes[:, :-step]
        edge[step:] |= down
        edge[:-step] |= down
        edge[:, step:] |= across
        edge[:, :-step] |= across
    return edge


def _resized(array: Pixels, size: tuple[int, int], *, smooth: bool) -> Pixels:
    """The array resized to (width, height): Lanczos if `smooth`, else pixel-centred nearest neighbour."""
    from PIL import Image

    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(array).resize(size, method))
