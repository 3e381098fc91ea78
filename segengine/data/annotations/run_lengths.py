"""Run lengths of COCO, CVAT, Label Studio and labelme, checked before use.

pycocotools reads beyond its buffers when counts don't add up to the size, so counts are decoded and checked here.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segengine.data.annotations.shapes import Runs
from segengine.data.files.limits import check_size
from segengine.errors import DataError


def coco_runs(segmentation: dict[str, Any], where: str) -> Runs:
    """COCO's RLE {"size": [height, width], "counts": list or compressed text}. Raises DataError for invalid counts."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not _is_size(size):
        raise DataError(f"{where}: run lengths have no size [height, width]; export the annotations again")
    height, width = size  # type: ignore[misc]
    numbers = uncompressed(counts, where) if isinstance(counts, str) else counts
    return Runs(_checked(numbers, height * width, where), (0, 0, width, height), columns=True)


def row_runs(counts: Sequence[Any], window: tuple[int, int, int, int], where: str) -> Runs:
    """CVAT's RLE: runs along the rows of a window (left, top, width, height). Raises DataError for invalid counts."""
    check_size(Path(where), window[3], window[2], 1)
    return Runs(_checked(counts, window[2] * window[3], where), window)


def bitmap_runs(pixels: NDArray[np.bool_], left: int, top: int) -> Runs:
    """Runs along the rows of a bool array [H, W] whose first pixel is at (left, top)."""
    flat = np.concatenate([[False], pixels.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges, [pixels.size]]))
    return Runs(tuple(counts.tolist()), (left, top, pixels.shape[1], pixels.shape[0]))


def png_runs(text: str, left: int, top: int, where: str) -> Runs:
    """A mask of labelme: a PNG in base64, set where it is not 0. Raises DataError if it can't be decoded."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=False)), formats=["PNG"]) as picture:
            check_size(Path(where), picture.height, picture.width, 4)
            pixels = np.asarray(picture)
    except (binascii.Error, ValueError, OSError, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(f"{where}: a mask is not a PNG in base64; export the annotations again") from error
    return bitmap_runs((pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0, left, top)


def brush_runs(packed: Sequence[Any], height: int, width: int, where: str) -> Runs:
    """Label Studio's brush: the alpha channel of a packed RGBA image, set where it is not 0.

    Format: thi.ng/rle-pack. 32 bits number of values, 5 bits word size - 1, four times 4 bits size of a count - 1; then per
    run 1 bit repeated or literal, 2 bits which size, the count - 1, and one word or as many words as counted.

    Raises:
        DataError: the bits end early, or decode to another size than 4 x height x width.
    """
    check_size(Path(where), height, width, 4)
    try:
        bits = "".join(f"{byte:08b}" for byte in bytes(packed))
        position = 32 + 5 + 4 * 4
        total, word = int(bits[:32], 2), int(bits[32:37], 2) + 1
        sizes = [int(bits[37 + 4 * i : 41 + 4 * i], 2) + 1 for i in range(4)]
        if total != 4 * height * width:
            raise ValueError(f"{total} values")
        values: NDArray[Any] = np.zeros(total, np.uint32 if word > 8 else np.uint8)
        done = 0
        while done < total:
            repeated, size = bits[position] == "1", sizes[int(bits[position + 1 : position + 3], 2)]
            count = int(bits[position + 3 : position + 3 + size], 2) + 1
            position += 3 + size
            words = 1 if repeated else count
            if position + words * word > len(bits) or done + count > total:
                raise ValueError("the bits end early")
            read = [int(bits[position + i * word : position + (i + 1) * word], 2) for i in range(words)]
            values[done : done + count] = read[0] if repeated else read
            position, done = position + words * word, done + count
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise DataError(
            f"{where}: a brush does not decode to {width} x {height} pixels; export the annotations again"
        ) from error
    return bitmap_runs(np.asarray(values.reshape(height, width, 4)[:, :, 3] > 0), 0, 0)


def _is_size(size: Any) -> bool:
    return isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)


def _checked(counts: Any, pixels: int, where: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(count) for count in counts)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: run lengths are not numbers; export the annotations again") from error
    if sum(numbers) != pixels or any(count < 0 for count in numbers):
        raise DataError(
            f"{where}: run lengths add up to {sum(numbers):,} pixels instead of {pixels:,}; export the annotations again"
        )
    return numbers


def uncompressed(text: str, where: str) -> list[int]:
    """COCO's compressed counts: 5 bits per character from code 48 on, bit 6 continues; from the third on differences to two before."""
    counts: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[position]) - 48 if position < len(text) else -1
            if not 0 <= code < 64 or shift > 60:
                raise DataError(f"{where}: compressed run lengths can't be decoded; export the annotations again")
            value |= (code & 0x1F) << shift
            more, shift, position = bool(code & 0x20), shift + 5, position + 1
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts
