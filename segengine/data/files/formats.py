"""The table of image formats: suffixes, signatures, and the modules that read and write each format.

The only place that lists suffixes and signatures. Reading selects the format by content; searching and writing select it
by suffix. Modules are given by name, so that searching for files imports no decoder.

A reader module has `read(path, content) -> Stored`; a writer module `write(raw, encoding, path) -> bytes`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from segengine.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segengine.data.files.stored import Stored
    from segengine.data.masks.mapping import MaskEncoding

    Reader = Callable[[Path, bytes], Stored]
    Writer = Callable[[NDArray[Any], MaskEncoding, Path], bytes]

HEAD_BYTES = 16


@dataclass(frozen=True)
class Format:
    """One file format.

    `signatures`: leading bytes of its files, "?" matches any byte. `picture`: matched by patterns without a suffix;
    False for arrays, which other programs often store beside images.
    """

    name: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    reader: str
    writer: str | None = None
    picture: bool = True

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` has this format."""
        return any(
            len(head) >= len(signature) and all(b in (a, ord("?")) for a, b in zip(head, signature, strict=False))
            for signature in self.signatures
        )

    def read(self, path: Path, content: bytes) -> Stored:
        """Decode a file's content; `path` is for messages. Raises DataError, or what the decoder raises."""
        return cast("Reader", import_module(self.reader).read)(path, content)


_ROOM = "segengine.data.files"
FORMATS = (
    Format("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), f"{_ROOM}.png", f"{_ROOM}.png"),
    Format("JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), f"{_ROOM}.pictures"),
    Format("TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), f"{_ROOM}.tiff", f"{_ROOM}.tiff"),
    Format("BMP", (".bmp",), (b"BM",), f"{_ROOM}.pictures", f"{_ROOM}.pictures"),
    Format("GIF", (".gif",), (b"GIF87a", b"GIF89a"), f"{_ROOM}.pictures", f"{_ROOM}.pictures"),
    Format("WebP", (".webp",), (b"RIFF????WEBP",), f"{_ROOM}.pictures"),
    Format("NPY", (".npy",), (b"\x93NUMPY",), f"{_ROOM}.arrays", f"{_ROOM}.arrays", picture=False),
    Format("NPZ", (".npz",), (b"PK\x03\x04",), f"{_ROOM}.arrays", f"{_ROOM}.arrays", picture=False),
)
SHAPES_SIGNATURE = b"segengine shapes"
_SHAPES = Format("shapes", (".shapes",), (SHAPES_SIGNATURE,), "segengine.data.annotations.drawing", picture=False)
"""Masks drawn from annotations; written and read by segengine only, so not among the formats that users are told of."""
SUFFIXES = tuple(suffix for entry in FORMATS for suffix in entry.suffixes)
"""Suffixes of all files that can be read."""
PICTURE_SUFFIXES = tuple(suffix for entry in FORMATS if entry.picture for suffix in entry.suffixes)
"""Suffixes matched by a pattern without a suffix."""
LOSSLESS_SUFFIXES = tuple(suffix for entry in FORMATS if entry.writer for suffix in entry.suffixes)
"""Suffixes that masks can be written with."""


def format_of(path: Path, content: bytes) -> Format:
    """The format of a file by its first bytes.

    Raises:
        DataError: the content matches no known format.
    """
    for entry in (*FORMATS, _SHAPES):
        if entry.matches(content[:HEAD_BYTES]):
            return entry
    known = ", ".join(entry.name for entry in FORMATS)
    raise DataError(f"{path}: can't be decoded (no known image format); save it as one of {known}, or remove it")


def import_readers(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Import the readers of the files' suffixes, so that threads that read them import none."""
    suffixes = {os.path.splitext(path)[1].lower() for path in paths}
    for entry in (*FORMATS, _SHAPES):
        if suffixes.intersection(entry.suffixes):
            import_module(entry.reader)


def writer_of(path: Path) -> Writer:
    """The function that encodes masks for a path's suffix.

    Raises:
        DataError: a suffix that would lose mask values.
    """
    suffix = path.suffix.lower()
    for entry in FORMATS:
        if entry.writer is not None and suffix in entry.suffixes:
            return cast("Writer", import_module(entry.writer).write)
    raise DataError(f"{path}: '{suffix}' would lose mask values; write .png")
