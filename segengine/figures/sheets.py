"""Contact sheets as PNG: predictions beside their truth, and the first batch before and after augmentation."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segengine.figures.encoding import png_of
from segengine.figures.examples import Augmented, Example
from segengine.figures.labels import Colour, LabelLike, from_hexadecimal, is_background, short
from segengine.figures.numbers import score
from segengine.figures.panels import IGNORED_DARK, IGNORED_LIGHT, Pixels, hatch, tile
from segengine.figures.theme import DPI, LIGHT, Theme, figure, literal, png
from segengine.metrics.confusion import IGNORE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN, GAP, CAPTION, HEAD, SWATCH, LEGEND_LINE = 36, 14, 46, 108, 22, 36  # pixels
GRAYS: tuple[Colour, ...] = ((IGNORED_DARK,) * 3, (IGNORED_LIGHT,) * 3)


@dataclass(frozen=True)
class Block:
    """Tiles that belong together, with the line above them."""

    caption: str
    tiles: tuple[Pixels, ...]


def prediction_sheet(
    rows: Sequence[Example], labels: Sequence[LabelLike], *, metric: str = "Dice", side: int = 380, theme: Theme = LIGHT
) -> bytes:
    """Each example as a row image | prediction | truth, with its rank, score and id; PNG."""
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
    return _sheet("Predictions", ("image", "prediction", "truth"), blocks, shown, theme=theme, side=side)


def augmentation_sheet(
    rows: Sequence[Augmented], labels: Sequence[LabelLike], *, side: int = 280, theme: Theme = LIGHT
) -> bytes:
    """What the augmentations made of a batch: each image before and after, its classes painted over it; PNG."""
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
    return _sheet("Augmentation of the first batch", headings, blocks, shown, theme=theme, side=side)


def example_caption(example: Example, metric: str = "Dice") -> str:
    """`best · Dice 0.943 · p01/slice 3`."""
    value = f"{metric} {score(example.score)}"
    return " · ".join(part for part in (example.rank, value, short(example.id, 60)) if part)


def augmented_caption(row: Augmented) -> str:
    """`p01/slice 3 · 12 % ignored`, the second part only where something is ignored."""
    ignored = row.ignored_share
    return short(row.id, 40) + (f" · {max(1, round(100 * ignored))} % ignored" if ignored > 0 else "")


def present(labels: Sequence[LabelLike], masks: Sequence[Pixels]) -> list[LabelLike | None]:
    """The classes that a legend must explain, in order, background left out; None at the end for ignored pixels."""
    found = np.zeros(256, bool)
    for classes in masks:
        found[np.unique(classes)] = True
    shown: list[LabelLike | None] = [label for label in labels if found[label.index] and not is_background(label)]
    return [*shown, None] if found[IGNORE] else shown


def legend_name(label: LabelLike | None) -> str:
    """What a legend calls a class; None is what is ignored."""
    return "ignored: padding or unlabelled, not scored" if label is None else short(label.name, 28)


def _sheet(
    title: str,
    headings: Sequence[str],
    blocks: Sequence[Block],
    shown: Sequence[LabelLike | None],
    *,
    theme: Theme,
    side: int,
) -> bytes:
    tiles = len(blocks[0].tiles) if blocks else len(headings)
    across = len(headings) // tiles
    block_width = tiles * side + (tiles - 1) * GAP
    width = 2 * MARGIN + across * block_width + (across - 1) * 2 * GAP
    lines = [blocks[start : start + across] for start in range(0, len(blocks), across)]
    heights = [max(painted.shape[0] for block in line for painted in block.tiles) for line in lines]
    places = _legend_places(shown, width - 2 * MARGIN)
    legend_height = LEGEND_LINE * (places[-1][0] + 1) if places else 0
    height = HEAD + sum(heights) + len(lines) * (CAPTION + GAP) + legend_height + MARGIN
    ground = from_hexadecimal(theme.ground)
    canvas = np.tile(np.array(ground, np.uint8), (height, width, 1))
    made = figure(width / DPI, height / DPI, theme)
    _write(made, MARGIN, 36, title, size=11, colour=theme.ink, bold=True)
    for place, heading in enumerate(headings):
        group, column = divmod(place, tiles)
        left = MARGIN + group * (block_width + 2 * GAP) + column * (side + GAP)
        _write(made, left, HEAD - 18, heading, size=8.5, colour=theme.muted)
    top = HEAD
    for line, high in zip(lines, heights, strict=True):
        for number, block in enumerate(line):
            left = MARGIN + number * (block_width + 2 * GAP)
            room = int(block_width / 10.5)
            _write(made, left, top + CAPTION // 2 + 2, short(block.caption, room), size=8.5, colour=theme.ink)
            for column, painted in enumerate(block.tiles):
                _paste(canvas, painted, top + CAPTION, left + column * (side + GAP))
        top += CAPTION + high + GAP
    _legend(made, canvas, shown, places, theme)
    made.figimage(canvas, 0, 0, origin="upper", zorder=-1)
    return _compact(png(made), [(0, 0, 0), ground, *GRAYS, *(label.colour for label in shown if label)])


def _legend_places(shown: Sequence[LabelLike | None], width: int) -> list[tuple[int, int]]:
    """Line and left edge in pixels of each entry, as many on a line as its width holds."""
    places, line, left = [], 0, 0
    for label in shown:
        entry = SWATCH + 44 + round(10.8 * len(legend_name(label)))
        if left and left + entry > width:
            line, left = line + 1, 0
        places.append((line, left))
        left += entry
    return places


def _legend(
    made: "Figure", canvas: Pixels, shown: Sequence[LabelLike | None], places: list[tuple[int, int]], theme: Theme
) -> None:
    """Write the legend into the foot of the sheet."""
    lines = places[-1][0] + 1 if places else 0
    top = canvas.shape[0] - MARGIN - lines * LEGEND_LINE + 14
    for (line, start), label in zip(places, shown, strict=True):
        left, high = MARGIN + start, top + line * LEGEND_LINE
        square = hatch((SWATCH, SWATCH)) if label is None else np.full((SWATCH, SWATCH, 3), label.colour, np.uint8)
        _paste(canvas, square, high, left)
        _write(made, left + SWATCH + 10, high + SWATCH // 2, legend_name(label), size=8.5, colour=theme.ink)


def _paste(canvas: Pixels, painted: Pixels, top: int, left: int) -> None:
    canvas[top : top + painted.shape[0], left : left + painted.shape[1]] = painted


def _write(
    made: "Figure", left: float, top: float, content: str, *, size: float, colour: str, bold: bool = False
) -> None:
    """A line of text at pixels from the upper left corner, its middle at `top`."""
    width, height = made.get_size_inches() * DPI
    weight = "bold" if bold else "normal"
    text = made.text(left / width, 1 - top / height, "", fontsize=size, color=colour, weight=weight, va="center")
    literal(text, content)


def _compact(data: bytes, keep: Sequence[Colour]) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return png_of(np.asarray(image.convert("RGB")), keep=keep)
