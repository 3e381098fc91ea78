"""The window of intensities for medical images: Hounsfield units in CT, percentiles of each scan in MR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.data.files.decoding import file_bytes, read_volume
from segengine.data.files.formats import holds_of, suffix_of
from segengine.errors import DataError

SOFT_TISSUE = (-160.0, 240.0)
_AIR = -900  # Hounsfield units; no other modality has values below it
_SAMPLED = 5


@dataclass(frozen=True)
class _Scan:
    modality: str
    window: tuple[float, float] | None = None


def plan_window(images: Sequence[Path], channels: Sequence[str], grouped: bool) -> tuple[Any, str]:
    """`data.window` and why; (None, "") if nothing is known of the images' intensities.

    Args:
        images: the image files as found, volumes undivided.
        channels: names of channels declared beside them, such as CT in nnU-Net's dataset.json.
        grouped: whether the slices of a scan form a group.
    """
    step = max(1, len(images) // _SAMPLED)
    scans = [scan for path in images[::step][:_SAMPLED] if (scan := _scan(path, channels)) is not None]
    modalities = {scan.modality for scan in scans}
    if not scans or len(modalities) > 1:
        return None, ""
    modality = modalities.pop()
    if modality == "CT":
        declared = {scan.window for scan in scans}
        window = declared.pop() if len(declared) == 1 else None
        if window is not None:
            return list(window), "Hounsfield units; the window that the files declare"
        return list(SOFT_TISSUE), "Hounsfield units of soft tissue; lung: [-1350, 150], bone: [-450, 1050]"
    if modality in ("MR", "volume"):
        unit = "units of MR differ" if modality == "MR" else "intensities may differ"
        return "per-image", f"{unit} from scan to scan: percentiles of each {'scan' if grouped else 'image'}"
    return None, ""


def _scan(path: Path, channels: Sequence[str]) -> _Scan | None:
    """What is known of one file; None for files of other formats, or that can't be read."""
    try:
        if suffix_of(path) == ".dcm":
            from segengine.data.files.dicom import dataset, declared_window

            data = dataset(path, file_bytes(path), pixels=False)
            return _Scan(str(data.get("Modality", "")), declared_window(data))
        if holds_of(path) != "volume":
            return None
        if channels:
            names = {name.strip().upper() for name in channels}
            return _Scan("CT" if names == {"CT"} else "MR")
        volume = read_volume(path)
        if str(volume.values.dtype) == "uint8":
            return None
        return _Scan("CT" if float(volume.values.min()) <= _AIR else "volume", volume.window)
    except DataError:
        return None
