"""Built-in readers: the formats of image and mask files."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from segengine.components.base import Reader
from segengine.data.files.formats import FORMATS, Holds  # a table of names, which imports no decoder

_FORMATS = {entry.name: entry for entry in FORMATS}


class _BuiltIn(Reader):
    """A format of the table in `segengine.data.files.formats`."""

    def build(self) -> Any:
        """The format's reading functions; its decoder is imported by the first of them that is called."""
        return next(entry for entry in FORMATS if entry.suffixes == self.suffixes)


class Png(_BuiltIn):
    """PNG of 1 to 16 bits: palette indices, gray values and colours as stored."""

    name: Literal["png"] = "png"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["PNG"].signatures


class Jpeg(_BuiltIn):
    """JPEG, gray or colour, with its EXIF orientation applied."""

    name: Literal["jpg-jpeg"] = "jpg-jpeg"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["JPEG"].signatures


class Tiff(_BuiltIn):
    """TIFF and GeoTIFF: any bands and value types, pages, nodata, pixel spacing."""

    name: Literal["tif-tiff"] = "tif-tiff"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["TIFF"].signatures
    holds: ClassVar[Holds] = _FORMATS["TIFF"].holds


class Bmp(_BuiltIn):
    """BMP, gray, palette or colour."""

    name: Literal["bmp"] = "bmp"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["BMP"].signatures


class Gif(_BuiltIn):
    """GIF with one image: palette indices as stored."""

    name: Literal["gif"] = "gif"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["GIF"].signatures


class WebP(_BuiltIn):
    """WebP with one image."""

    name: Literal["webp"] = "webp"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["WebP"].signatures


class Npy(_BuiltIn):
    """NumPy array, H x W or H x W x C; pickled objects are refused."""

    name: Literal["npy"] = "npy"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["NPY"].signatures


class Npz(_BuiltIn):
    """NumPy archive of one array; pickled objects are refused."""

    name: Literal["npz"] = "npz"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["NPZ"].signatures


class Nifti(_BuiltIn):
    """NIfTI-1 and NIfTI-2 volumes, read as slices; needs the extra `medical`."""

    name: Literal["nii-nii.gz"] = "nii-nii.gz"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["NIfTI"].signatures
    holds: ClassVar[Holds] = _FORMATS["NIfTI"].holds


class Dicom(_BuiltIn):
    """DICOM images, rescaled to modality units (HU in CT); needs the extra `medical`."""

    name: Literal["dcm"] = "dcm"
    signatures: ClassVar[tuple[bytes, ...]] = _FORMATS["DICOM"].signatures
    holds: ClassVar[Holds] = _FORMATS["DICOM"].holds
