"""Warp of an image and its mask: bilinear for the image, pixel-centred nearest for the mask, exact where possible.

OpenCV's nearest warp rounds coordinates coarsely and breaks ties arbitrarily (at a scale of one half every pixel is a
tie), so masks use `Geometry.sources` instead: the pixel whose area contains the point.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from segengine.data.augment.geometry import EXACT, Geometry, Indices, Matrix
from segengine.errors import DataError
from segengine.metrics.confusion import IGNORE

_LIMIT = 2**15 - 1  # OpenCV's warps address pixels in 16 bits
_CHANNELS = 4  # maximum number of channels per OpenCV warp
_PADDING = np.array([[0.0, 0, 1], [0, 0, 1]])  # shifts by one pixel to the right and down
_WASTE = 4  # speed of a plain resize or copy relative to a warp

Pixels = npt.NDArray[np.uint8]


def warp_mask(mask: Pixels, geometry: Geometry) -> Pixels:
    """Warp a mask uint8 [H, W] by `geometry`: pixel-centred nearest, 255 outside."""
    return _warp(mask, geometry, IGNORE, _nearest)


def warp_image(image: Pixels, geometry: Geometry, fill: int = 0) -> Pixels:
    """Warp an image uint8 [H, W, C] by `geometry`: bilinear, `fill` exactly where the mask is outside.

    Within half a pixel of the border the border pixel is replicated.
    """
    return _warp(image, geometry, fill, _bilinear)


def class_at(mask: Pixels, geometry: Geometry, row: int, column: int) -> int:
    """The value of `warp_mask` at one row and column of the destination."""
    (a, b, c), (d, e, f) = geometry.matrix[:2].tolist()
    x = math.floor(a * column + b * row + c + 0.5 + EXACT)
    y = math.floor(d * column + e * row + f + 0.5 + EXACT)
    return int(mask[y, x]) if 0 <= x < mask.shape[1] and 0 <= y < mask.shape[0] else IGNORE


def _warp(
    source: Pixels, geometry: Geometry, fill: int, interpolate: Callable[[Pixels, Geometry, int], Pixels]
) -> Pixels:
    matrix = geometry.matrix
    if not _whole(matrix):
        if max(*source.shape[:2], geometry.height, geometry.width) >= _LIMIT:
            source, geometry = _window(source, geometry)
        return interpolate(source, geometry, fill)
    if abs(matrix[0, 0]) < 0.5:  # a rotation by 90 degrees: rows become columns
        source, matrix = source.swapaxes(0, 1), matrix[[1, 0, 2]]
    return _copied(source, np.rint(matrix).astype(int), geometry, fill)


def _whole(matrix: Matrix) -> bool:
    """Whether each destination pixel coincides with a source pixel: shifts, flips and rotations by 90 degrees."""
    rounded = np.rint(matrix)
    if np.abs(matrix - rounded).max() >= EXACT:
        return False
    (a, b), (c, d) = np.abs(rounded[:2, :2]).tolist()
    return (a, b, c, d) in ((1, 0, 0, 1), (0, 1, 1, 0))


def _copied(source: Pixels, matrix: npt.NDArray[np.int_], geometry: Geometry, fill: int) -> Pixels:
    """A bit-exact copy by slices; `matrix` is diagonal with entries of 1 and -1 and whole shifts."""
    rows, from_rows = _overlap(matrix[1, 1], matrix[1, 2], source.shape[0], geometry.height)
    columns, from_columns = _overlap(matrix[0, 0], matrix[0, 2], source.shape[1], geometry.width)
    taken = source[from_rows, from_columns]
    if taken.size and min(matrix[0, 0], matrix[1, 1]) < 0:  # NumPy copies reversed slices ten times slower than OpenCV
        code = 1 if matrix[1, 1] > 0 else 0 if matrix[0, 0] > 0 else -1
        taken = _uint8(cv2.flip(np.ascontiguousarray(taken), code)).reshape(taken.shape)
    if taken.shape[:2] == (geometry.height, geometry.width):
        return np.ascontiguousarray(taken)
    target = np.full((geometry.height, geometry.width, *source.shape[2:]), fill, np.uint8)
    target[rows, columns] = taken
    return target


def _overlap(step: int, shift: int, source: int, target: int) -> tuple[slice, slice]:
    """Slices of the target and source axes in which target index i maps to source index step * i + shift."""
    first = max(0, -shift if step == 1 else shift - source + 1)
    last = max(first, min(target, source - shift if step == 1 else shift + 1))
    if first == last:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first + shift, last + shift) if step == 1 else slice(
        shift - last + 1, shift - first + 1
    )


def _nearest(mask: Pixels, geometry: Geometry, fill: int) -> Pixels:
    x, y = geometry.sources
    height, width = mask.shape
    if x.ndim == 1:
        warped = mask.take(y.clip(0, height - 1), axis=0).take(x.clip(0, width - 1), axis=1)
        _fill_around(warped, x, y, mask.shape, fill)
        return warped
    where = geometry.field
    return _uint8(cv2.remap(mask, where, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=fill))


def _bilinear(image: Pixels, geometry: Geometry, fill: int) -> Pixels:
    channels = image.shape[2]
    if channels > _CHANNELS:
        parts = [image[..., first : first + _CHANNELS] for first in range(0, channels, _CHANNELS)]
        return np.concatenate([_bilinear(np.ascontiguousarray(part), geometry, fill) for part in parts], axis=2)
    plain = _resized(geometry, image.shape)
    if plain is not None:
        size, placed = plain
        scaled = _uint8(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)).reshape(*size, channels)
        return _warp(scaled, placed, fill, _bilinear)
    height, width = image.shape[:2]
    left, top, right, bottom = geometry.reach()
    if left >= 0 and top >= 0 and right <= width - 1 and bottom <= height - 1:
        return _warp_affine(*_window(image, geometry), padded=False)
    warped = _warp_affine(*_window(image, geometry), padded=True)
    x, y = geometry.sources
    if x.ndim == 1:
        _fill_around(warped, x, y, image.shape, fill)
        return warped
    filled = np.full(warped.shape, fill, np.uint8)
    cv2.copyTo(warped, _inside(geometry.field, height, width).view(np.uint8), filled)
    return filled


def _warp_affine(image: Pixels, geometry: Geometry, *, padded: bool) -> Pixels:
    """Warp the image by `geometry`; `padded`: edge pixels are replicated by one pixel."""
    channels, window, matrix = image.shape[2], geometry.height * geometry.width, geometry.matrix[:2]
    # OpenCV warps four channels in half the time of three.
    widened = channels == 3 and image.shape[0] * image.shape[1] <= _WASTE * window
    if widened:
        image = _uint8(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA))
    if padded:
        # OpenCV's border replication is slow, and its constant border is interpolated with the edge pixels.
        image = _uint8(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE))
        matrix = matrix + _PADDING
    warped = cv2.warpAffine(
        image, matrix, (geometry.width, geometry.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    if widened:
        warped = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    return _uint8(warped).reshape(geometry.height, geometry.width, channels)


def _inside(field: npt.NDArray[np.int16], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Mask of a `Geometry.field`'s pixels inside a source of this size; as unsigned, negative numbers are large."""
    both = field.view("<u4")[..., 0]  # the row in the upper half, the column in the lower
    inside: npt.NDArray[np.bool_] = both < height << 16
    inside &= (both & 0xFFFF) < width
    return inside


def _resized(geometry: Geometry, source: tuple[int, ...]) -> tuple[tuple[int, int], Geometry] | None:
    """Size (height, width) of a plain resize and the copy that follows it, None if a warp is cheaper."""
    (a, b, c), (d, e, f) = geometry.matrix[:2].tolist()
    if b or d:
        return None
    height, width = source[0] / abs(e), source[1] / abs(a)
    size = round(height), round(width)
    if max(abs(height - size[0]), abs(width - size[1])) > EXACT * max(size):
        return None
    if min(size) < 1 or size[0] * size[1] > _WASTE * geometry.height * geometry.width:
        return None
    left, top = (c + 0.5) / abs(a) - 0.5, (f + 0.5) / abs(e) - 0.5
    matrix = np.array([[math.copysign(1, a), 0, left], [0, math.copysign(1, e), top], [0, 0, 1]])
    return (size, Geometry(matrix, geometry.height, geometry.width)) if _whole(matrix) else None


def _fill_around(target: Pixels, x: Indices, y: Indices, source: tuple[int, ...], fill: int) -> None:
    """Fill the rows and columns of `target` whose source pixels lie outside."""
    for indices, size, axis in ((y, source[0], target), (x, source[1], target.swapaxes(0, 1))):
        outside = (indices < 0) | (indices >= size)
        if outside[0] or outside[-1]:  # indices are monotonic: pixels outside are at the ends
            axis[outside] = fill


def _window(source: Pixels, geometry: Geometry) -> tuple[Pixels, Geometry]:
    """The region of a source used by `geometry`, with a margin of two pixels, and the geometry relative to it.

    Raises:
        DataError: the region exceeds OpenCV's size limit.
    """
    height, width = source.shape[:2]
    x, y, x_last, y_last = geometry.reach()
    left, top = _held(math.floor(x) - 2, width - 3), _held(math.floor(y) - 2, height - 3)
    right, bottom = max(3, min(width, math.ceil(x_last) + 3)), max(3, min(height, math.ceil(y_last) + 3))
    if max(right - left, bottom - top, geometry.height, geometry.width) >= _LIMIT:
        raise DataError(
            f"an image of {width}x{height} pixels can't be augmented: the warp covers {right - left}x{bottom - top} "
            f"pixels, at most {_LIMIT - 1} per side are possible; add {{name: crop, size: 512}} first in augmentations"
        )
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return source[top:bottom, left:right], Geometry(shift @ geometry.matrix, geometry.height, geometry.width)


def _held(number: int, last: int) -> int:
    return max(0, min(number, last))


def _uint8(array: object) -> Pixels:
    return np.asarray(array, dtype=np.uint8)
