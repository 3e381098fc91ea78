"""Size limit of decoded images, checked against the declared size before any pixel is decoded."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from segengine.errors import DataError

LIMIT_SETTING = "SEGENGINE_MAX_IMAGE_GIB"
"""Environment variable with the limit in GiB of decoded values; it affects no result, only which files are refused."""
DEFAULT_GIB = 1.0
GIB = 1024**3
_most_pixels: ContextVar[int | None] = ContextVar("most_pixels", default=None)


class ImageTooLargeError(DataError):
    """An image declares more pixels or bytes than a limit allows."""


@contextmanager
def at_most_pixels(number: int) -> Iterator[None]:
    """Within this block and thread, images that declare more pixels are refused before they are decoded."""
    token = _most_pixels.set(number)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def limit_bytes() -> int:
    """Maximum size of one decoded image in bytes. Raises DataError if the setting is not a positive number."""
    text = os.environ.get(LIMIT_SETTING, "").strip()
    try:
        gib = float(text) if text else DEFAULT_GIB
    except ValueError:
        gib = math.nan
    if not 0 < gib < math.inf:
        raise DataError(f"{LIMIT_SETTING} is '{text}'; it must be a positive number of GiB, such as 4")
    return int(gib * GIB)


def check_size(path: Path, height: int, width: int, bytes_per_pixel: float) -> None:
    """Refuse an image whose declared size is above the limit.

    Raises:
        DataError: no pixels.
        ImageTooLargeError: more pixels than `at_most_pixels`, or more bytes than the limit; names the limit.
    """
    if height < 1 or width < 1:
        raise DataError(f"{path}: declares {width} x {height} pixels (width x height); export it again or remove it")
    most = _most_pixels.get()
    if most is not None and height * width > most:
        raise ImageTooLargeError(
            f"{path}: declares {width:,} x {height:,} pixels (width x height), above the limit of {most:,} pixels; "
            "send a smaller image, or cut it into tiles"
        )
    needed = height * width * bytes_per_pixel
    limit = limit_bytes()
    if needed > limit:
        raise ImageTooLargeError(
            f"{path}: declares {width:,} x {height:,} pixels (width x height), {needed / GIB:.3g} GiB decoded, above the limit "
            f"of {limit / GIB:.3g} GiB; if this size is correct, cut it into tiles, or raise the limit with the "
            f"environment variable {LIMIT_SETTING}={math.ceil(needed / GIB)}"
        )


def file_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        DataError: the file is missing, unreadable, a device or pipe, or larger than the limit of a decoded image.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path}: is not a regular file; give the path of an image file")
        if found.st_size > limit_bytes():
            raise DataError(
                f"{path}: is {found.st_size / GIB:.3g} GiB large, above the limit of {limit_bytes() / GIB:.3g} GiB; cut it into "
                f"tiles, or raise the limit with the environment variable {LIMIT_SETTING}={math.ceil(found.st_size / GIB)}"
            )
        return path.read_bytes()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        remedy = "restore it and run the same command again" if gone else "check the path and its permissions"
        raise DataError(f"{path}: can't be read: {error.strerror}; {remedy}") from error
