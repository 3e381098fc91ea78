"""NIfTI and DICOM files, written by the libraries themselves."""

import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

nibabel = pytest.importorskip("nibabel", reason="nibabel (segengine[medical]) isn't installed")
pydicom = pytest.importorskip("pydicom", reason="pydicom (segengine[medical]) isn't installed")

CT, MR, SEG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.66.4"
RAS = np.diag([0.8, 0.7, 5.0, 1.0])
"""Axial slices 5 mm apart; pixels of 0.8 mm from left to right and 0.7 mm from back to front."""


def nifti(
    path: Path,
    values: NDArray[Any],
    affine: NDArray[np.float64] = RAS,
    *,
    scaling: tuple[float, float] | None = None,
    unit: str = "mm",
) -> Path:
    """Write a volume [I, J, K], as stored; `scaling` is (scl_slope, scl_inter)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine, dtype=values.dtype)
    image.header.set_xyzt_units(unit)
    content = image.to_bytes()
    if scaling is not None:
        head = nibabel.Nifti1Header.from_fileobj(io.BytesIO(content[:348]), check=False)
        head["scl_slope"], head["scl_inter"] = scaling
        content = head.binaryblock + content[348:]
    if path.name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    path.write_bytes(content)
    return path


def dicom(
    path: Path,
    pixels: NDArray[Any],
    *,
    position: Sequence[float] = (0, 0, 0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing: Sequence[float] = (0.7, 0.8),
    series: str = "1.2.3",
    sop: str = CT,
    **elements: Any,
) -> Path:
    """Write an image [H, W] (or [F, H, W]) as stored, little endian without compression; `elements` are further elements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = sop
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.SeriesInstanceUID, data.Modality = series, "MR" if sop == MR else "CT"
    data.Rows, data.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    bits = 8 * pixels.dtype.itemsize
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    data.ImagePositionPatient, data.ImageOrientationPatient = list(position), list(orientation)
    data.PixelSpacing = list(spacing)
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW"
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, volume: NDArray[Any], *, step: float = 5.0, prefix: str = "", **elements: Any) -> list[Path]:
    """Write [S, H, W] as axial slices from feet to head, in files whose names run the other way."""
    return [
        dicom(
            folder / f"{prefix}{len(volume) - i:03d}.dcm", plane, position=(-10, -20, step * i), InstanceNumber=i + 1, **elements
        )
        for i, plane in enumerate(volume)
    ]  # fmt: skip


def segmentation(path: Path, labels: NDArray[np.uint8], names: Mapping[int, str], *, step: float = 5.0) -> Path:
    """A segmentation object of [S, H, W]; a binary frame for each slice of each segment that holds any of it."""
    frames, groups = [], []
    for number in names:
        for i, plane in enumerate(labels):
            if not (plane == number).any():
                continue
            frames.append(plane == number)
            group = pydicom.Dataset()
            place, identity = pydicom.Dataset(), pydicom.Dataset()
            place.ImagePositionPatient = [-10, -20, step * i]
            identity.ReferencedSegmentNumber = number
            group.PlanePositionSequence, group.SegmentIdentificationSequence = [place], [identity]
            groups.append(group)
    shared, measures, orientation = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.8], step
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    segments = []
    for number, label in names.items():
        item = pydicom.Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        segments.append(item)
    bits = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    return dicom(
        path, np.zeros((len(frames), *labels.shape[1:]), np.uint8), sop=SEG, Modality="SEG", SegmentationType="BINARY",
        BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bits + b"\0" * (len(bits) % 2), PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared], SegmentSequence=segments, ImagePositionPatient=None, ImageOrientationPatient=None,
        PixelSpacing=None,
    )  # fmt: skip


def labels(seed: int, shape: tuple[int, ...] = (32, 36, 6)) -> np.ndarray:
    """uint8 volume of background and two ellipsoids, 1 and 2."""
    rng, grid = np.random.default_rng(seed), np.indices(shape)
    drawn = np.zeros(shape, np.uint8)
    for value in (1, 2):
        centre = [rng.uniform(0.3, 0.7) * n for n in shape]
        drawn[sum(((g - c) / (0.2 * n)) ** 2 for g, c, n in zip(grid, centre, shape, strict=True)) < 1] = value
    return drawn
