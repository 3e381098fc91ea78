"""Differences between a run's recorded data and the current data."""

from __future__ import annotations

from collections.abc import Mapping

from segengine.data.sources.fingerprint import ImageState
from segengine.data.sources.records import listed
from segengine.errors import counted
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import read_digests, read_images


def changed_data(folder: RunFolder, now: Mapping[str, ImageState]) -> str:
    """Images and masks added, removed or changed since the run started, by image id; '' if the tables show no difference.

    Raises:
        RunError: images.csv or files.csv of the run is damaged.
    """
    digests = read_digests(folder / names.FILES)
    then = {
        row.id: ImageState(row.split, *digests.get(row.index, ("", ""))) for row in read_images(folder / names.IMAGES)
    }
    both = [(identity, then[identity], now[identity]) for identity in then if identity in now]
    found = {
        ("image added", "images added"): [identity for identity in now if identity not in then],
        ("image removed", "images removed"): [identity for identity in then if identity not in now],
        ("image changed", "images changed"): [i for i, old, new in both if old.image and old.image != new.image],
        ("mask changed", "masks changed"): [i for i, old, new in both if old.mask and old.mask != new.mask],
        ("image in another split", "images in another split"): [i for i, old, new in both if old.split != new.split],
    }
    return ", ".join(f"{counted(len(ids), *words)} ({listed(ids, 3)})" for words, ids in found.items() if ids)
