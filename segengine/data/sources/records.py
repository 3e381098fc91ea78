"""One image and its mask as files: what a source lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Record:
    """One image with its mask.

    `id` is the image's path relative to the source's root, without suffix, with "/" separators, and unique.
    `group` (patient, video) is the id until a group pattern is applied. `split` is "train", "validation",
    "test", or None where the folders don't say.
    """

    id: str
    image: Path
    mask: Path | None
    group: str
    split: str | None = None


class Records(list[Record]):
    """Records sorted by id, with `notes`: what the user must hear about how they were found."""

    def __init__(self, records: Iterable[Record] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(sorted(records, key=lambda r: r.id))
        self.notes = tuple(notes)


def listed(items: Sequence[object], most: int = 5) -> str:
    """The first few of `items` for a message: `a, b, c and 7 more`."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def counted(number: int, thing: str, plural: str = "") -> str:
    """`1 image`, `1,234 images`."""
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"
