"""SHA-256 of checkpoint files, stored in the file, to detect truncation and modification before use.

The hash is the comment at the end of the zip archive that `torch.save` writes: it is part of the file, is written
atomically with it, and `torch.load` and `unzip` ignore it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 64
_CHUNK = 2**20


def seal(path: Path) -> None:
    """Append the sha256 of the preceding bytes as the comment of the zip archive at `path`, which must have none."""
    with path.open("rb+") as file:
        file.seek(-2, os.SEEK_END)
        assert file.read() == b"\0\0", "the archive has a comment already"
        file.seek(-2, os.SEEK_END)
        file.write(_COMMENT.to_bytes(2, "little"))
        digest = _digest(file, file.tell())
        file.seek(0, os.SEEK_END)
        file.write(_MARK + digest)


def damage(path: Path) -> str | None:
    """Description of the damage to a sealed file; None if it is intact.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - _COMMENT
        if size <= 0:
            return "it is truncated"
        file.seek(size)
        comment = file.read()
        if not comment.startswith(_MARK):
            return "it is truncated: the hash at its end is missing"
        return None if _digest(file, size) == comment[len(_MARK) :] else "its content doesn't match its hash"


def sha256_of(path: Path) -> str:
    """sha256 of a whole file, in hexadecimal."""
    with path.open("rb") as file:
        return _digest(file, os.fstat(file.fileno()).st_size).decode()


def _digest(file: BinaryIO, size: int) -> bytes:
    """sha256 in hexadecimal of the first `size` bytes."""
    digest, left = hashlib.sha256(), size
    file.seek(0)
    while left and (chunk := file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()
