"""Decodes files to their stored values: palette indices, bit depth and bands are kept as in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from segengine.data.files.formats import Format, format_of
from segengine.data.files.limits import file_bytes
from segengine.data.files.stored import Stored
from segengine.data.files.volumes import Volume
from segengine.errors import DataError

_T = TypeVar("_T")


def decode(path: Path, data: bytes | None = None) -> Stored:
    """The stored values of a file, with its EXIF orientation applied.

    Args:
        path: the file, used in messages; read when `data` is None.
        data: the file's bytes.

    Raises:
        DataError: any problem of this file: missing, empty, corrupt or truncated, several images in one file,
            an unsupported format or compression, or a size above the limit.
    """
    return _read(path, data, lambda entry, content: entry.read(path, content))


def read_pages(path: Path) -> list[Stored]:
    """Each page of a file as a separate image; raises DataError as `decode`, for any page."""
    return _read(path, None, lambda entry, content: entry.read_pages(path, content))


def read_volume(path: Path) -> Volume:
    """A volume; raises DataError as `decode`."""
    return _read(path, None, lambda entry, content: entry.read_volume(path, content))


def _read(path: Path, data: bytes | None, read: Callable[[Format, bytes], _T]) -> _T:
    content = file_bytes(path) if data is None else data
    if not content:
        raise DataError(f"{path}: the file is empty; export it again or remove it")
    try:
        entry = format_of(path, content)
        if command := entry.missing_library():
            raise DataError(f"{path}: is a {entry.name} file, which needs a further package: {command}")
        return read(entry, content)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: can't be decoded: there is not enough memory; cut it into tiles") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path}: can't be decoded ({reason}); export it again or remove it") from error


__all__ = ["Stored", "decode", "file_bytes", "read_pages", "read_volume"]
