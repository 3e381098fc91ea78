"""Images with their classes painted over them: overlays, and rows of image, prediction and truth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segengine.figures.labels import LabelLike, colour_table, is_background
from segengine.metrics.confusion import IGNORE

Pixels = NDArray[np.uint8]
IGNORED_DARK, IGNORED_LIGHT = 104, 184  # the two grays of the hatch


def to_rgb(image: Pixels) -> Pixels:
    """An image of any channel count as uint8 [H, W, 3]: one or two channels as gray, of more the first three."""
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] < 3:
        return np.repeat(image[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def overlay(
    image: Pixels, classes: Pixels, labels: Sequence[LabelLike], alpha: float = 0.45, *, line: int | None = None
) -> Pixels:
    """The image with its classes tinted and outlined in their colours, uint8 [H, W, 3].

    image uint8 [H, W] or [H, W, C]; classes uint8 [H, W], 0..K-1, 255 = ignore. Background stays as it is, ignored
    pixels are hatched in gray. `alpha` in 0..1 is the tint's strength, `line` the outline's width in pixels (by
    default one for every 400 pixels of the longer side).
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
    """Diagonal stripes of two grays, uint8 [H, W, 3]: what ignored pixels look like everywhere in a report."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    dark = (rows + columns) // (3 * line) % 2 == 0
    return np.where(dark[:, :, None], np.uint8(IGNORED_DARK), np.uint8(IGNORED_LIGHT)).repeat(3, axis=2)


def triptych(
    image: Pixels, prediction: Pixels, truth: Pixels, labels: Sequence[LabelLike], *, side: int | None = None
) -> Pixels:
    """Image, prediction and truth side by side, uint8 [h, w, 3]; at the image's own size, or `side` pixels wide each."""
    return strip(
        [tile(image, None, labels, side), tile(image, prediction, labels, side), tile(image, truth, labels, side)]
    )


def strip(tiles: Sequence[Pixels], gap: int | None = None) -> Pixels:
    """Tiles of equal height side by side on white, uint8 [h, w, 3]."""
    gap = max(2, tiles[0].shape[1] // 60) if gap is None else gap
    between = np.full((tiles[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for painted in tiles for part in (painted, between)]
    return np.concatenate(parts[:-1], axis=1)


def tile(image: Pixels, classes: Pixels | None, labels: Sequence[LabelLike], side: int | None = None) -> Pixels:
    """An image, with its classes painted over it if given, scaled so that its longer side is `side` pixels.

    Small ones are enlarged before painting and large ones painted before shrinking, so that outlines are neither
    blocks nor lost, and a mask is never interpolated.
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
    """The pixels within `line` of another class, bool [H, W]; the image's own border is no edge."""
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
    """The array at size (width, height); Lanczos for images, centred nearest for masks."""
    from PIL import Image

    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(array).resize(size, method))
