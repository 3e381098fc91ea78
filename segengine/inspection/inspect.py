"""A look at a folder of images and masks before anything is decided: what is there, and what the masks mean."""

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
from segengine.data.masks.mapping import MaskSurvey
from segengine.data.masks.sizes import OtherSize, sizes_in_words
from segengine.data.sources.records import Record, data_folder
from segengine.errors import DataError
from segengine.events import Doing, Listener


@dataclass(frozen=True)
class Inspection:
    """What was found in a folder."""

    folder: Path
    records: tuple[Record, ...]
    images: tuple[ImageFacts, ...]
    survey: MaskSurvey
    diagnosis: Diagnosis
    notes: tuple[str, ...]
    other_sizes: tuple[OtherSize, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether images and masks can be trained on as they are."""
        return self.diagnosis.usable and not self.other_sizes

    @property
    def problem(self) -> str:
        """Masks whose size isn't their image's, in words; '' without any."""
        return sizes_in_words(self.other_sizes, len(self.records)) if self.other_sizes else ""

    @property
    def splits(self) -> Mapping[str, int]:
        """Images by split, where the folders give it."""
        return Counter(record.split or "not split" for record in self.records)

    @property
    def longer_sides(self) -> list[int]:
        """Each image's longer side in pixels, ascending."""
        return sorted(max(image.height, image.width) for image in self.images)

    def document(self) -> dict[str, Any]:
        """Everything as plain data."""
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
    """Find pairs in a folder's usual layouts and look at every image and mask once.

    Raises:
        DataError: nothing is found, names don't pair, or a file is broken.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; give the folder that holds images and masks, or an experiment file")
    return inspect_source(Folders(root=folder.absolute()), folder, listener)


def inspect_source(source: Any, folder: Path, listener: Listener) -> Inspection:
    """The same for the images that a source lists."""
    return inspect_records(records_of(source), folder, listener)


def inspect_records(found: Sequence[Record], folder: Path, listener: Listener) -> Inspection:
    """The same for records that a source has listed."""
    records = tuple(record for record in found if record.mask is not None)
    if not records:
        raise DataError(f"{folder}: no image has a mask")

    def progress(what: str, done: int, total: int) -> None:
        listener(Doing(what, done, total))

    place = data_folder(found)
    with survey_file(place) as known:
        survey = known_survey(known, [record.mask for record in records if record.mask], place, progress)
        images = tuple(known.images([record.image for record in records], progress))
    others = tuple(masks_of_other_size(records, images, survey))
    return Inspection(folder, records, images, survey, diagnose(survey), tuple(getattr(found, "notes", ())), others)
