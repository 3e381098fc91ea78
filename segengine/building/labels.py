"""Mask encoding stored in run.json, for writing predictions in the user's values without the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import IGNORE, Label, Mapper, MaskEncoding, Raw
from segengine.errors import DataError, RunError, counted


def mapping_facts(mapper: Mapper) -> dict[str, Any]:
    """Labels, ignored and merged values and the masks' encoding of a mapper, as plain data."""
    merged: Mapping[Raw, int] = getattr(mapper, "merged", {})
    facts = mask_facts(mapper.labels, mapper.ignored, mapper.encoding)
    return facts | ({"merged": [{"raw": _plain(r), "index": i} for r, i in merged.items()]} if merged else {})


def mask_facts(labels: Sequence[Label], ignored: Sequence[Raw], encoding: MaskEncoding) -> dict[str, Any]:
    """Labels, ignored values and encoding, as stored in run.json and exported files."""
    return {
        "labels": [
            {"index": label.index, "name": label.name, "raw": _plain(label.raw), "colour": list(label.colour)}
            for label in labels
        ],
        "ignored": [_plain(raw) for raw in ignored],
        "masks": {
            "kind": encoding.kind,
            "bits": encoding.bits,
            "channels": encoding.channels,
            "suffix": encoding.suffix,
            "palette": [list(colour) for colour in encoding.palette] if encoding.palette else None,
        },
    }


class StoredMapping:
    """Conversion between classes and raw mask values, read from run.json."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        """Raises RunError if run.json is incomplete."""
        try:
            self.labels = tuple(
                Label(entry["index"], entry["name"], _raw(entry["raw"]), tuple(entry["colour"]))
                for entry in run["labels"]
            )
            self.ignored = tuple(_raw(value) for value in run["ignored"])
            self.merged = {_raw(entry["raw"]): int(entry["index"]) for entry in run.get("merged", ())}
            masks = run["masks"]
            palette = tuple((int(r), int(g), int(b)) for r, g, b in masks["palette"]) if masks["palette"] else None
            self.encoding = MaskEncoding(masks["kind"], masks["bits"], palette, masks["suffix"], masks["channels"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"run.json lacks the encoding of the masks ({type(error).__name__}: {error})") from error

    def to_raw(self, classes: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Classes uint8 [H, W] -> uint8/uint16 [H, W] or uint8 [H, W, 3], the values of the user's masks."""
        of_ignored = self.ignored[0] if self.ignored else self.labels[0].raw
        wide = (3,) if self.encoding.kind == "rgb" else ()
        table = np.zeros((256, *wide), dtype=np.uint16 if self.encoding.bits > 8 else np.uint8)
        table[: len(self.labels)] = [label.raw for label in self.labels]
        table[IGNORE] = of_ignored
        return np.asarray(table[classes])

    def to_classes(self, raw: NDArray[np.generic], *, where: str) -> NDArray[np.uint8]:
        """Raw uint8/uint16 [H, W] or uint8 [H, W, 3] -> classes uint8 [H, W], 255 = ignore.

        Raises:
            DataError: a value unknown to the model; names `where`, the value and the number of pixels.
        """
        classes = np.full(raw.shape[:2], IGNORE, dtype=np.uint8)
        known = np.zeros(raw.shape[:2], dtype=bool)
        for value, index in [
            *((label.raw, label.index) for label in self.labels),
            *self.merged.items(),
            *((value, IGNORE) for value in self.ignored),
        ]:
            same = np.equal(raw, np.asarray(value))
            here = same.all(axis=2) if raw.ndim == 3 else same
            classes[here] = index
            known |= here
        if not known.all():
            first = raw[~known][0].tolist()
            raise DataError(
                f"{where}: {counted(int((~known).sum()), 'pixel')} with values that belong to no class, such as {first}"
            )
        return classes


def _plain(raw: Raw) -> int | list[int]:
    return list(raw) if isinstance(raw, tuple) else int(raw)


def _raw(value: Any) -> Raw:
    if isinstance(value, list):
        red, green, blue = (int(v) for v in value)
        return red, green, blue
    return int(value)
