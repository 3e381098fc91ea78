"""Prediction of volumes slice by slice, and the label map on the volume's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segengine.building.labels import StoredMapping
from segengine.data.files.band_statistics import BandCounts, band_counts, windows_of
from segengine.data.files.decoding import read_volume
from segengine.data.files.formats import suffix_of
from segengine.data.files.reading import AnyWindow, channel_values
from segengine.data.files.stored import Stored
from segengine.data.files.volumes import Plane, Slicing, Volume, slices_of, slicing_of
from segengine.data.masks.mapping import IGNORE
from segengine.errors import DataError
from segengine.inference.ensemble import Band, Ensemble, Member, Wanted
from segengine.inference.load import Trained
from segengine.inference.sources import Source, pictures_of


@dataclass
class VolumeSource(Source):
    """A volume as its slices; after prediction, `pictures` and `missing` are those of the slice with the most foreground.

    `classes`: uint8 [S, H, W] of all slices, 255 = no measurement.
    """

    volume: Volume | None = None
    slicing: Slicing | None = None
    slices: Sequence[Source] = ()
    classes: NDArray[np.uint8] | None = None

    def predict(self, ensemble: Ensemble, wanted: Wanted) -> Band:
        """Predict all slices; returns the outputs of the slice with the most pixels above class 0."""
        bands = [ensemble.predict(each, wanted) for each in self.slices]
        self.classes = np.stack([band.classes for band in bands])
        foreground = (self.classes > 0) & (self.classes != IGNORE)
        shown = int(foreground.sum(axis=(1, 2)).argmax())
        self.pictures, self.missing = self.slices[shown].pictures, self.slices[shown].missing
        return bands[shown]

    def content(self, target: Path, mapping: StoredMapping) -> bytes:
        """The label map as a NIfTI file with the volume's shape and affine; values are those of the training masks.

        Raises:
            DataError: the training masks are colours.
        """
        from segengine.data.files.nifti import label_bytes

        assert self.volume is not None
        assert self.slicing is not None
        assert self.classes is not None
        raw = np.stack([mapping.to_raw(plane) for plane in self.classes])
        if raw.ndim != 3:
            raise DataError(f"{target}: a label map holds one number per voxel, and the training masks are colours")
        return label_bytes(self.slicing.undo(raw), self.volume.affine, compressed=suffix_of(target) == ".nii.gz")


def read_volume_source(path: Path, members: Sequence[Member]) -> VolumeSource:
    """Read a volume; its slices lie in the plane of the first model's training slices.

    Raises:
        DataError: unreadable file, or one that doesn't fit a model.
    """
    volume, first = read_volume(path), members[0]
    plane: Plane = "auto"
    if isinstance(first, Trained):
        plane = cast("Plane", (first.folder.spec()["data"].get("source") or {}).get("slices", "auto"))
    slicing = slicing_of(volume, plane)
    slices = slices_of(volume, slicing)
    windows = [_window(member, slices, path) for member in members]
    sources = []
    for stored in slices:
        pictures, channels = pictures_of(stored, path, members, windows)
        sources.append(Source(pictures, channels, stored.missing, stored.spacing, millimetres=True))
    one = sources[0]
    return VolumeSource(one.pictures, one.channels_of, one.missing, one.spacing, True, volume, slicing, sources)


def _window(member: Member, slices: list[Stored], path: Path) -> AnyWindow:
    """The model's windows; where they differ by group, the percentiles of the volume, as its slices formed a group in training."""
    if not member.windowing.groups:
        return member.windowing.common
    whole = str(slices[0].values.dtype) == "uint16"

    def counts(stored: Stored) -> list[BandCounts]:
        return band_counts(channel_values(stored, path, member.channels), None, stored.missing, whole=whole)

    total = reduce(
        lambda one, two: [a.plus(b) for a, b in zip(one, two, strict=True)], (counts(stored) for stored in slices)
    )
    return windows_of(total)[0]
