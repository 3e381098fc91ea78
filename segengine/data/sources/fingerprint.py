"""Data set fingerprint: equal if and only if ids, image files, mask files and splits are equal."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segengine.data.sources.records import Record, listed
from segengine.errors import counted


class ImageState(NamedTuple):
    """An image's split, and the SHA-256 of its image file and mask file in hexadecimal."""

    split: str
    image: str
    mask: str


def file_digest(path: Path | None) -> str:
    """SHA-256 of a file's bytes in hexadecimal, '' for no file."""
    if path is None:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_states(records: Sequence[Record], digests: Sequence[tuple[str, str]]) -> dict[str, ImageState]:
    """The state of each record by id; `digests` are those of its image and mask file."""
    return {
        record.id: ImageState(record.split or "", image, mask)
        for record, (image, mask) in zip(records, digests, strict=True)
    }


def fingerprint(states: Mapping[str, ImageState]) -> str:
    """SHA-256 over the sorted lines `id, image digest, mask digest, split`; the same on any machine and in any order."""
    lines = sorted("\t".join((identity, of.image, of.mask, of.split)) for identity, of in states.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def shared_images(records: Sequence[Record], images: Sequence[str | None]) -> str:
    """A warning about image files with identical content in different splits, '' for none.

    `images` are digests of the files, None for constant images, which are excluded.
    """
    by_digest: dict[str, list[Record]] = defaultdict(list)
    for record, digest in zip(records, images, strict=True):
        if digest is not None:
            by_digest[digest].append(record)
    shared = [same for same in by_digest.values() if len({r.split for r in same}) > 1]
    if not shared:
        return ""
    names = listed([" = ".join(f"{r.id} ({r.split})" for r in same[:2]) for same in shared], 3)
    return f"{counted(len(shared), 'image')} with identical content in several splits, which inflates scores: {names}"
