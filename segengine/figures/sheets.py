"""Contact sheets as PNG: predictions beside ground truth, and the first batch before and after augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segengine.figures.encoding import png_of
from segengine.figures.examples import Augmented, Example
from segengine.figures.labels import Colour, LabelLike, is_background, short
from segengine.figures.numbers import score
from segengine.figures.panels import IGNORED_DARK, IGNORED_LIGHT, Pixels, hatch, tile
from segengine.figures.raster import pixels_of
from segengine.figures.svg import Drawing, Mark, fitting, text, text_width
from segengine.metrics.confusion import IGNORE

MARGIN, GAP, CAPTION, HEAD, SWATCH, LEGEND_LINE, SIZE = 36, 14, 46, 108, 22, 36, 19  # pixels
GRAYS: tuple[Colour, ...] = ((IGNORED_DARK,) * 3, (IGNORED_LIGHT,) * 3)


@dataclass(frozen=True)
class Block:
    """A row of tiles with a caption above them."""

    caption: str
    tiles: tuple[Pixels, ...]


def prediction_sheet(
    rows: Sequence[Example], labels: Sequence[LabelLike], *, metric: str = "Dice", side: int = 380
) -> bytes:
    """PNG with one row per example: image, prediction and truth, captioned with rank, score and id.

    `side` is the longer side of a tile in pixels.
    """
    blocks = [
        Block(
            example_caption(row, metric),
            (
                tile(row.image, None, labels, side),
                tile(row.image, row.prediction, labels, side),
                tile(row.image, row.truth, labels, side),
            ),
        )
        for row in rows
    ]
    shown = present(labels, [classes for row in rows for classes in (row.prediction, row.truth)])
    return _sheet("Predictions", ("image", "prediction", "truth"), blocks, shown, side=side)


def augmentation_sheet(rows: Sequence[Augmented], labels: Sequence[LabelLike], *, side: int = 280) -> bytes:
    """PNG of a batch before and after augmentation, with the masks as overlays; `side` is the longer side of a tile in pixels."""
    blocks = [
        Block(
            augmented_caption(row),
            (
                tile(row.image, row.classes, labels, side),
                tile(row.augmented_image, row.augmented_classes, labels, side),
            ),
        )
        for row in rows
    ]
    shown = present(labels, [classes for row in rows for classes in (row.classes, row.augmented_classes)])
    across = 2 if len(blocks) > 1 else 1
    headings = ("original", "augmented") * across
    return _sheet("Augmentation of the first batch", headings, blocks, shown, side=side)


def example_caption(example: Example, metric: str = "Dice") -> str:
    """Caption of an example: `best · Dice 0.943 · p01/slice 3`."""
    value = f"{metric} {score(example.score)}"
    return " · ".join(part for part in (example.rank, value, short(example.id, 60)) if part)


def augmented_caption(row: Augmented) -> str:
    """Caption of an augmented image: `p01/slice 3 · 12 % ignored`, the second part only if pixels are ignored."""
    ignored = row.ignored_share
    return short(row.id, 40) + (f" · {max(1, round(100 * ignored))} % ignored" if ignored > 0 else "")


def present(labels: Sequence[LabelLike], masks: Sequence[Pixels]) -> list[LabelLike | None]:
    """The classes that occur in the masks, without the background; None at the end if there are ignored pixels."""
    found = np.zeros(256, bool)
    for classes in masks:
        found[np.unique(classes)] = True
    shown: list[LabelLike | None] = [label for label in labels if found[label.index] and not is_background(label)]
    return [*shown, None] if found[IGNORE] else shown


def legend_name(label: LabelLike | None) -> str:
    """The name of a class in a legend; None stands for ignored pixels."""
    return "ignored: padding or unlabelled, not scored" if label is None else short(label.name, 28)


def _sheet(
    title: str, headings: Sequence[str], blocks: Sequence[Block], shown: Sequence[LabelLike | None], *, side: int
) -> bytes:
    tiles = len(blocks[0].tiles) if blocks else len(headings)
    across = len(headings) // tiles
    block_width = tiles * side + (tiles - 1) * GAP
    width = 2 * MARGIN + across * block_width + (across - 1) * 2 * GAP
    marks = [text(MARGIN, 44, title, size=24, bold=True)]
    pasted: list[tuple[int, int, Pixels]] = []
    for place, heading in enumerate(headings):
        group, column = divmod(place, tiles)
        left = MARGIN + group * (block_width + 2 * GAP) + column * (side + GAP)
        marks.append(text(left, HEAD - 12, heading, role="muted", size=SIZE))
    top = HEAD
    for start in range(0, len(blocks), across):
        line = blocks[start : start + across]
        for number, block in enumerate(line):
            left = MARGIN + number * (block_width + 2 * GAP)
            marks.append(text(left, top + CAPTION - 14, fitting(block.caption, SIZE, block_width), size=SIZE))
            for column, painted in enumerate(block.tiles):
                pasted.append((top + CAPTION, left + column * (side + GAP), painted))
        top += CAPTION + max(painted.shape[0] for block in line for painted in block.tiles) + GAP
    written, squares, top = _legend(shown, top + 14, width - 2 * MARGIN)
    canvas = pixels_of(Drawing(width, top + MARGIN, (*marks, *written)), scale=1)
    for upper, left, painted in (*pasted, *squares):
        canvas[upper : upper + painted.shape[0], left : left + painted.shape[1]] = painted
    return png_of(canvas, keep=[(0, 0, 0), (255, 255, 255), *GRAYS, *(label.colour for label in shown if label)])


def _legend(
    shown: Sequence[LabelLike | None], top: int, width: int
) -> tuple[list[Mark], list[tuple[int, int, Pixels]], int]:
    """Names and colour squares of the legend, wrapped at `width`, and the y coordinate below them."""
    marks: list[Mark] = []
    squares: list[tuple[int, int, Pixels]] = []
    left = 0
    for label in shown:
        name = legend_name(label)
        entry = SWATCH + 40 + round(text_width(name, SIZE))
        if left and left + entry > width:
            left, top = 0, top + LEGEND_LINE
        square = hatch((SWATCH, SWATCH)) if label is None else np.full((SWATCH, SWATCH, 3), label.colour, np.uint8)
        squares.append((top, MARGIN + left, square))
        marks.append(text(MARGIN + left + SWATCH + 10, top + SWATCH - 4, name, size=SIZE))
        left += entry
    return marks, squares, top + LEGEND_LINE if shown else top
