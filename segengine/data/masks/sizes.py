"""Masks whose size differs from the image: number and kind of difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segengine.errors import counted

Size = tuple[int, int]
"""Height and width in pixels."""

_NAMED = {0.25: "a quarter of the image's size", 0.5: "half the image's size", 2.0: "twice the image's size"}


@dataclass(frozen=True)
class OtherSize:
    """An image and its mask of a different size, each (height, width)."""

    image: Path
    mask: Path
    image_size: Size
    mask_size: Size

    @property
    def kind(self) -> str:
        """The kind of difference, such as `half the image's size`, `one pixel off` or `cut`."""
        (height, width), (rows, columns) = self.image_size, self.mask_size
        if (height, width) == (columns, rows):
            return "rotated by 90 degrees"
        if abs(rows - height) <= 1 and abs(columns - width) <= 1:
            return "one pixel off"
        for factor, words in _NAMED.items():
            if abs(rows - factor * height) <= 1 and abs(columns - factor * width) <= 1:
                return words
        if abs(columns - rows / height * width) <= 1 or abs(rows - columns / width * height) <= 1:
            return "scaled"
        if rows <= height and columns <= width:
            return "cut"
        return "padded" if rows >= height and columns >= width else "of another shape"

    def __str__(self) -> str:
        (height, width), (rows, columns) = self.image_size, self.mask_size
        turned = "; it is rotated, possibly because the image's EXIF orientation was not applied"
        return (
            f"{self.image} is {width}x{height} and its mask {self.mask} {columns}x{rows} (width x height); "
            f"give the mask the image's size{turned if (height, width) == (columns, rows) else ''}"
        )


def other_sizes(pairs: Iterable[tuple[Path, Size, Path, Size]]) -> list[OtherSize]:
    """The pairs (image, its size, mask, its size) whose sizes differ, in their order."""
    return [OtherSize(image, mask, one, other) for image, one, mask, other in pairs if one != other]


def sizes_in_words(found: Sequence[OtherSize], total: int) -> str:
    """A summary: the first of `found` with both sizes and, if there are several, the number of masks per kind."""
    if len(found) == 1:
        return str(found[0])
    kinds = Counter(other.kind for other in found)
    ways = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    return f"{found[0]}; {len(found):,} of {counted(total, 'mask')} differ in size from their images: {ways}"
