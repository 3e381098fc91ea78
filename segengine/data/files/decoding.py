"""Decodes an image file to its stored values: palette indices, bit depth and bands are kept as in the file."""

from __future__ import annotations

from pathlib import Path

from segengine.data.files.formats import format_of
from segengine.data.files.limits import file_bytes
from segengine.data.files.stored import Stored
from segengine.errors import DataError


def decode(path: Path, data: bytes | None = None) -> Stored:
    """The stored values of a file, with its EXIF orientation applied.

    Args:
        path: the file, used in messages; read when `data` is None.
        data: the file's bytes.

    Raises:
        DataError: any problem of this file: missing, empty, corrupt or truncated, several images in one file,
            an unsupported format or compression, or a size above the limit.
    """
    content = file_bytes(path) if data is None else data
    if not content:
        raise DataError(f"{path}: the file is empty; export it again or remove it")
    try:
        return format_of(path, content).read(path, content)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: can't be decoded: there is not enough memory; cut it into tiles") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path}: can't be decoded ({reason}); export it again or remove it") from error


__all__ = ["Stored", "decode", "file_bytes"]
