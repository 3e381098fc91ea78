"""Inspection of images and masks before training: sizes, mask values and their interpretation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.building.guarded import records_of
from segengine.components.sources import Folders
from segengine.data.batches.dataset import known_survey, masks_of_other_size
from segengine.data.batches.survey_file import survey_file
from segengine.data.files.images import ImageFacts
from segengine.data.masks.diagnosis import Diagnosis, diagnose, spoken
from segengine.data.masks.facts import mask_notes
from segengine.data.masks.mapping import MaskSurvey
from segengine.data.masks.sizes import OtherSize, sizes_in_words
from segengine.data.sources.records import Record, data_folder
from segengine.errors import DataError
from segengine.events import Doing, Listener


@dataclass(frozen=True)
class Inspection:
    """The images and masks of a folder and their properties.

    Attributes:
        records: pairs of image and mask.
        images: size, channels and bits of each image.
        survey: values found in the masks.
        diagnosis: interpretation of the mask values.
        notes: notes of the source, such as images without a mask.
        other_sizes: masks whose size differs from their image's.
    """

    folder: Path
    records: tuple[Record, ...]
    images: tuple[ImageFacts, ...]
    survey: MaskSurvey
    diagnosis: Diagnosis
    notes: tuple[str, ...]
    other_sizes: tuple[OtherSize, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether images and masks can be used for training without changes."""
        return self.diagnosis.usable and not self.other_sizes

    @property
    def problem(self) -> str:
        """Description of the masks whose size differs from their image's; '' if there are none."""
        return sizes_in_words(self.other_sizes, len(self.records)) if self.other_sizes else ""

    @property
    def mask_notes(self) -> list[str]:
        """Remarks on how the masks were read."""
        return mask_notes(self.survey.masks)

    @property
    def splits(self) -> Mapping[str, int]:
        """Number of images per split, as defined by the folders."""
        return Counter(record.split or "not split" for record in self.records)

    @property
    def longer_sides(self) -> list[int]:
        """Longer side of each image in pixels, ascending."""
        return sorted(max(image.height, image.width) for image in self.images)

    def document(self) -> dict[str, Any]:
        """The inspection as JSON-compatible data."""
        pixels = max(1, self.survey.pixels)
        sizes = Counter(f"{image.width}x{image.height}" for image in self.images)
        return {
            "folder": str(self.folder), "images": len(self.records), "splits": dict(self.splits), "sizes": dict(sizes.most_common()),
            "channels": dict(Counter(str(image.channels) for image in self.images)),
            "bits": dict(Counter(str(image.bits) for image in self.images)),
            "masks": {
                "kind": self.survey.encoding.kind, "bits": self.survey.encoding.bits, "diagnosis": self.diagnosis.kind,
                "says": self.diagnosis.message, "usable": self.diagnosis.usable,
                "other_sizes": dict(Counter(other.kind for other in self.other_sizes)), "size_problem": self.problem,
                "values": [
                    {"value": spoken(raw), "pixels": found.pixels, "share": found.pixels / pixels, "masks": found.files}
                    for raw, found in self.survey.values.items()
                ],
            },
            "notes": list(self.notes),
        }  # fmt: skip


def inspect_folder(folder: Path, listener: Listener) -> Inspection:
    """Find pairs in common folder layouts and read every image and mask once.

    Raises:
        DataError: no pairs are found, names do not match, or a file is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a directory; specify the folder with images and masks, or an experiment file")
    return inspect_source(Folders(root=folder.absolute()), folder, listener)


def inspect_source(source: Any, folder: Path, listener: Listener) -> Inspection:
    """`inspect_folder` for the records of a source."""
    return inspect_records(records_of(source), folder, listener)


def inspect_records(found: Sequence[Record], folder: Path, listener: Listener) -> Inspection:
    """`inspect_folder` for a sequence of records; those without a mask are ignored."""
    records = tuple(record for record in found if record.mask is not None)
    if not records:
        raise DataError(f"{folder}: no image has a mask; check data.source.masks")

    def progress(what: str, done: int, total: int) -> None:
        listener(Doing(what, done, total))

    place = data_folder(found)
    with survey_file(place) as known:
        survey = known_survey(known, [record.mask for record in records if record.mask], place, progress)
        images = tuple(known.images([record.image for record in records], progress))
    others = tuple(masks_of_other_size(records, images, survey))
    notes = (*getattr(found, "notes", ()), *mask_notes(survey.masks))
    return Inspection(folder, records, images, survey, diagnose(survey), notes, others)
