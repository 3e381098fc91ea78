"""The table of file formats: suffixes, signatures, and the modules that read and write each format.

The only place that lists suffixes and signatures of built-in formats. Reading selects the format by content; searching and
writing select it by suffix. Modules are given by name, so that searching for files imports no decoder. Suffixes that
the table lacks are those of installed reader plugins (`plugin_readers`).

A reader module has `read(path, content) -> Stored`; one whose files hold several images also
`read_pages(path, content) -> list[Stored]` or `read_volume(path, content) -> Volume`; a writer module
`write(raw, encoding, path) -> bytes`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from segengine.data.files.plugin_readers import plugin_reader, plugin_suffixes
from segengine.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segengine.data.files.stored import Stored
    from segengine.data.files.volumes import Volume
    from segengine.data.masks.mapping import MaskEncoding

    Writer = Callable[[NDArray[Any], MaskEncoding, Path], bytes]

Holds = Literal["image", "pages", "volume"]
"""What a file of a format holds: one image; one or several pages; slices of a volume."""


class UnknownFormatError(DataError):
    """The content of a file matches no known image format."""


@dataclass(frozen=True)
class Format:
    """One file format.

    `signatures`: leading bytes of its files, "?" matches any byte. `picture`: matched by patterns without a suffix;
    False for arrays, which other programs often store beside images. `needs`: the package that reads it, and the extra of
    segengine that installs it. `opaque`: files may lack a signature and are then recognised by their suffix.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    reader: str
    writer: str | None = None
    picture: bool = True
    holds: Holds = "image"
    needs: tuple[str, str] | None = None
    opaque: bool = False

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` has this format."""
        return has_signature(self.signatures, head)

    def read(self, path: Path, content: bytes) -> Stored:
        """Decode a file of one image; `path` is for messages. Raises DataError, or what the decoder raises."""
        return cast("Stored", self._module().read(path, content))

    def read_pages(self, path: Path, content: bytes) -> list[Stored]:
        """Decode each page of a file; formats without pages have one."""
        return (
            cast("list[Stored]", self._module().read_pages(path, content))
            if self.holds == "pages"
            else [self.read(path, content)]
        )

    def read_volume(self, path: Path, content: bytes) -> Volume:
        """Decode a volume."""
        return cast("Volume", self._module().read_volume(path, content))

    def missing_library(self) -> str:
        """The command that installs the package that reads this format; '' if it is installed or none is needed."""
        if self.needs is None or find_spec(self.needs[0]) is not None:
            return ""
        return f"pip install 'segengine[{self.needs[1]}]'"

    def _module(self) -> Any:
        return import_module(self.reader)


def has_signature(signatures: Iterable[bytes], head: bytes) -> bool:
    """Whether `head` begins with one of the signatures, in which "?" matches any byte."""
    return any(
        len(head) >= len(signature) and all(b in (a, ord("?")) for a, b in zip(head, signature, strict=False))
        for signature in signatures
    )


_ROOM = "segengine.data.files"
_NIFTI, _DICOM = ("nibabel", "medical"), ("pydicom", "medical")
_NIFTI_MAGIC = (b"\x1f\x8b", b"?" * 344 + b"n+1\0", b"????n+2\0")
FORMATS = (
    Format("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), f"{_ROOM}.png", f"{_ROOM}.png"),
    Format("JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), f"{_ROOM}.pictures"),
    Format("TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), f"{_ROOM}.tiff", f"{_ROOM}.tiff", holds="pages"),
    Format("BMP", (".bmp",), (b"BM",), f"{_ROOM}.pictures", f"{_ROOM}.pictures"),
    Format("GIF", (".gif",), (b"GIF87a", b"GIF89a"), f"{_ROOM}.pictures", f"{_ROOM}.pictures"),
    Format("WebP", (".webp",), (b"RIFF????WEBP",), f"{_ROOM}.pictures"),
    Format("NPY", (".npy",), (b"\x93NUMPY",), f"{_ROOM}.arrays", f"{_ROOM}.arrays", picture=False),
    Format("NPZ", (".npz",), (b"PK\x03\x04",), f"{_ROOM}.arrays", f"{_ROOM}.arrays", picture=False),
    Format("NIfTI", (".nii", ".nii.gz"), _NIFTI_MAGIC, f"{_ROOM}.nifti", holds="volume", needs=_NIFTI),
    Format("DICOM", (".dcm",), (b"?" * 128 + b"DICM",), f"{_ROOM}.dicom", holds="pages", needs=_DICOM, opaque=True),
)  # fmt: skip
SHAPES_SIGNATURE = b"segengine shapes"
_SHAPES = Format("shapes", (".shapes",), (SHAPES_SIGNATURE,), "segengine.data.annotations.drawing", picture=False)
"""Masks drawn from annotations; written and read by segengine only, so not listed in messages."""
SUFFIXES = tuple(suffix for entry in FORMATS for suffix in entry.suffixes)
"""Suffixes of the built-in formats."""
PICTURE_SUFFIXES = tuple(suffix for entry in FORMATS if entry.picture for suffix in entry.suffixes)
"""Suffixes matched by a pattern without a suffix."""
LOSSLESS_SUFFIXES = tuple(suffix for entry in FORMATS if entry.writer for suffix in entry.suffixes)
"""Suffixes that masks can be written with."""
HEAD_BYTES = max(len(signature) for entry in FORMATS for signature in entry.signatures)
_COMPOUND = tuple(suffix for suffix in SUFFIXES if suffix.count(".") > 1)
_ARCHIVES = (".gz", ".bz2", ".xz")


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes of all files that can be read, those of plugins included."""
    return (*SUFFIXES, *plugin_suffixes(SUFFIXES))


def picture_suffixes() -> tuple[str, ...]:
    """Suffixes matched by a pattern without a suffix, those of plugins included."""
    return (*PICTURE_SUFFIXES, *plugin_suffixes(SUFFIXES))


def suffix_of(name: str | os.PathLike[str]) -> str:
    """A file's suffix in lower case, `.nii.gz` as one; '' for none."""
    base = os.path.basename(os.fspath(name))
    lower = base.lower()
    known = (*_COMPOUND, *plugin_suffixes(SUFFIXES)) if lower.endswith(_ARCHIVES) else _COMPOUND
    for suffix in known:
        if lower.endswith(suffix) and len(lower) > len(suffix):
            return suffix
    dot = lower.rfind(".")
    return lower[dot:] if 0 < dot < len(lower) - 1 else ""


def stem_of(name: str | os.PathLike[str]) -> str:
    """A file's name without its suffix: `case_0000` of `case_0000.nii.gz`."""
    base = os.path.basename(os.fspath(name))
    return base[: len(base) - len(suffix_of(base))]


def with_suffix(path: Path, suffix: str) -> Path:
    """A path with another suffix in place of its own, `.nii.gz` counting as one."""
    return path.with_name(stem_of(path) + suffix)


def format_by_suffix(path: str | os.PathLike[str]) -> Format | None:
    """The built-in format of a file's suffix."""
    suffix = suffix_of(path)
    return next((entry for entry in FORMATS if suffix in entry.suffixes), None)


def format_of(path: Path, content: bytes) -> Format:
    """The format of a file: a plugin's by its suffix, a built-in one by the first bytes.

    Raises:
        UnknownFormatError: the content matches no known format.
    """
    by_suffix = format_by_suffix(path)
    if by_suffix is None and (reader := plugin_reader(suffix_of(path))) is not None:
        return _of_plugin(path, content, reader)
    for entry in (*FORMATS, _SHAPES):
        if entry.matches(content[:HEAD_BYTES]):
            return entry
    if by_suffix is not None and by_suffix.opaque:
        return by_suffix
    known = ", ".join(entry.name for entry in FORMATS)
    raise UnknownFormatError(
        f"{path}: can't be decoded (no known image format); save it as one of {known}, or remove it"
    )


@dataclass(frozen=True)
class _PluginFormat(Format):
    """The format of a plugin's reader."""

    file_reader: Any = None

    def _module(self) -> Any:
        return self.file_reader


def _of_plugin(path: Path, content: bytes, reader: Any) -> Format:
    signatures = tuple(reader.signatures)
    longest = max((len(signature) for signature in signatures), default=0)
    if signatures and not has_signature(signatures, content[:longest]):
        raise DataError(
            f"{path}: can't be decoded (not the content of a {suffix_of(path)} file); export it again or remove it"
        )
    return _PluginFormat(
        reader.name, tuple(reader.suffixes), signatures, "", holds=reader.holds, file_reader=reader.build()
    )


def holds_of(path: Path) -> Holds:
    """What a file holds, by its suffix; plugins' readers are imported for their own suffixes only."""
    entry = format_by_suffix(path)
    if entry is not None:
        return entry.holds
    reader = plugin_reader(suffix_of(path))
    return "image" if reader is None else cast("Holds", reader.holds)


def missing_libraries(paths: Iterable[str | os.PathLike[str]]) -> str:
    """What must be installed to read these files, per folder: `images/ holds 10 .dcm: pip install ...`; '' for nothing."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    commands = {entry.name: command for entry in FORMATS if (command := entry.missing_library())}
    for path in paths if commands else ():
        entry = format_by_suffix(path)
        if entry is not None and entry.name in commands:
            key = os.path.dirname(path), suffix_of(path)
            found[key] = found.get(key, (0, ""))[0] + 1, commands[entry.name]
    lines = [f"{folder or '.'}/ holds {n} {suffix}: {command}" for (folder, suffix), (n, command) in found.items()]
    return "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more folders" if len(lines) > 3 else "")


def import_readers(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Import the readers of the files' suffixes, before threads read the files."""
    for suffix in {suffix_of(path) for path in paths}:
        entry = format_by_suffix(f"x{suffix}")
        if entry is None:
            plugin_reader(suffix)
        elif not entry.missing_library():
            import_module(entry.reader)


def writer_of(path: Path) -> Writer:
    """The function that encodes masks for a path's suffix.

    Raises:
        DataError: a suffix that would lose mask values.
    """
    suffix = suffix_of(path)
    for entry in FORMATS:
        if entry.writer is not None and suffix in entry.suffixes:
            return cast("Writer", import_module(entry.writer).write)
    raise DataError(f"{path}: '{suffix}' would lose mask values; write .png")
