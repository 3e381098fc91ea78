"""Looking at data from Python: `segengine.inspect`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from segengine.events import Listener
from segengine.inspection.inspect import Inspection as Found
from segengine.inspection.inspect import inspect_folder, inspect_source


@dataclass(frozen=True, eq=False)
class Inspection:
    """Images and masks of a folder, as `segengine inspect` reports them; shown as a table in notebooks."""

    found: Found

    @property
    def table(self) -> list[dict[str, Any]]:
        """Mask values: one dictionary per value, with pixels, share of all pixels and number of masks."""
        return [dict(row) for row in self.document["masks"]["values"]]

    @property
    def images(self) -> list[dict[str, Any]]:
        """One dictionary per image: id, files, split, group, height, width, channels, bits."""
        return [
            {
                "id": record.id, "image": str(record.image), "mask": str(record.mask), "split": record.split,
                "group": record.group, "height": facts.height, "width": facts.width, "channels": facts.channels,
                "bits": facts.bits,
            } for record, facts in zip(self.found.records, self.found.images, strict=True)
        ]  # fmt: skip

    @property
    def masks_are(self) -> str:
        """What the masks hold, and how to read them."""
        return self.found.diagnosis.message

    @property
    def usable(self) -> bool:
        """Whether images and masks can be trained on as they are."""
        return self.found.usable

    @property
    def document(self) -> dict[str, Any]:
        """Everything as plain data, as `segengine inspect --json` prints it."""
        return self.found.document()

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{key}</th>" for key in ("value", "pixels", "share", "masks"))
        body = "".join(
            f"<tr><td>{escape(str(row['value']))}</td><td>{row['pixels']:,}</td><td>{row['share']:.2%}</td>"
            f"<td>{row['masks']}</td></tr>"
            for row in self.table
        )
        return (
            f"<p>{len(self.found.records)} images with masks; {escape(self.masks_are)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def __repr__(self) -> str:
        return f"Inspection({self.found.folder}: {len(self.found.records)} images with masks; {self.masks_are})"


def inspect(
    data: str | os.PathLike[str], overrides: Sequence[str] = (), *, listener: Listener | None = None
) -> Inspection:
    """Report sizes, channels and mask values of a folder of images and masks, or of an experiment file's source.

    Args:
        data: a folder, or an experiment file (.yaml).
        overrides: settings as on the command line, for an experiment file.
        listener: receives progress (`segengine.events`).

    Raises:
        DataError: nothing is found, names don't pair, or a file is broken.
        SpecError: invalid experiment file.
    """
    place, listen = Path(data), listener or (lambda _: None)
    if place.suffix in (".yaml", ".yml"):
        from segengine.specs.load import load_experiment

        section = next(iter(load_experiment(place, overrides).variants.values())).data
        return Inspection(inspect_source(section.source, place, listen))
    return Inspection(inspect_folder(place, listen))
