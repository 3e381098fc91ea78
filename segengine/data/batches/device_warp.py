"""Augmentation of whole batches in torch, on the device of the decoded images; counterpart of `warp`.

Masks are identical: coordinates are computed by the operations of `Geometry.sources`, in its number formats. Images are
bilinear as in OpenCV and differ by rounding. Nothing here synchronizes with the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segengine.data.augment.geometry import EXACT, FRACTION_BITS
from segengine.data.augment.transforms import IGNORE
from segengine.data.batches.device_operations import PLACED, BatchOperations, Round

_ONE = 1 << FRACTION_BITS
_AT_ONCE = {"cpu": 2**16}  # pixels per warp by device type: fits the caches
_AT_ONCE_ELSEWHERE = 2**22  # about 100 bytes per pixel during a warp: 0.4 GiB

Steps = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Flat:
    """Images of any sizes, concatenated and row-major: uint8 [C, P], and their masks uint8 [P].

    Channels-first, so that gathering single pixels is fast on every device.
    """

    images: Tensor
    masks: Tensor


def usual_at_once(device: torch.device) -> int:
    """Default number of pixels per warp."""
    return _AT_ONCE.get(device.type, _AT_ONCE_ELSEWHERE)


def augmented(
    store: Flat, operations: BatchOperations, table: Tensor, fill: int, at_once: int
) -> list[tuple[Tensor, Tensor]]:
    """The samples of `operations`, one entry per output size: images uint8 [C, n, h, w], masks uint8 [n, h, w].

    `table` is the operations's on the device of `store`; `fill` is the image's value outside, where masks are 255; `at_once`
    pixels, but at least one sample, are warped together; the result does not depend on it.
    """
    flat, groups = store, []
    for numbers, round_ in zip(table, operations.rounds, strict=True):
        groups = [
            _group(flat, numbers[group.begin : group.end], group.size, round_, fill, at_once=at_once)
            for group in round_.groups
        ]
        flat = _joined([Flat(images.flatten(1), masks.flatten()) for images, masks in groups])
    return groups


def _joined(parts: list[Flat]) -> Flat:
    if len(parts) == 1:
        return parts[0]
    return Flat(torch.cat([part.images for part in parts], dim=1), torch.cat([part.masks for part in parts]))


def _group(flat: Flat, numbers: Tensor, size: Size, round_: Round, fill: int, *, at_once: int) -> tuple[Tensor, Tensor]:
    """Samples of one size, in chunks, to bound memory."""
    images = flat.images.new_empty((len(flat.images), len(numbers), *size))
    masks = flat.masks.new_empty((len(numbers), *size))
    step = max(1, at_once // max(1, size[0] * size[1]))
    for begin in range(0, len(numbers), step):
        some = slice(begin, begin + step)
        image, masks[some] = _warped(flat, numbers[some], size, round_, fill)
        for level in range(round_.levels):
            image = _levelled(image, *numbers[some, PLACED + 2 * level : PLACED + 2 * level + 2, None].unbind(1))
        images[:, some] = image
    return images, masks


def _warped(flat: Flat, numbers: Tensor, size: Size, round_: Round, fill: int) -> tuple[Tensor, Tensor]:
    """Images uint8 [C, b, h, w] and masks uint8 [b, h, w] of the samples in `numbers` float64 [b, ...]."""
    kind = torch.int64 if round_.wide or flat.masks.numel() >= 2**31 else torch.int32
    down, across = (torch.arange(n, dtype=torch.float64, device=numbers.device) for n in size)
    a, b, c, d, e, f, offset, height, width = numbers[:, :PLACED, None].unbind(1)  # each [b, 1]
    begin, rows, columns = (n.to(kind)[..., None] for n in (offset, height, width))
    straight = (b == 0) & (d == 0)
    # Without rotation the axes are separable: [b, 1, w] and [b, h, 1] broadcast to [b, h, w].
    steps_x = (a, across), (b, down[:1] if round_.straight else down)
    steps_y = (d, across[:1] if round_.straight else across), (e, down)

    x, y = _nearest(steps_x, c, straight, kind, by_row=False), _nearest(steps_y, f, straight, kind, by_row=True)
    outside = ((x < 0) | (x >= columns)) | ((y < 0) | (y >= rows))
    masks = _read(flat.masks, (begin + _held(y, rows) * columns) + _held(x, columns))
    places = _fixed(steps_x, c, kind), _fixed(steps_y, f, kind)
    images = _bilinear(flat.images, begin, places, (rows, columns))
    return images.masked_fill_(outside, fill), masks.masked_fill_(outside, IGNORE)


def _fixed(steps: Steps, start: Tensor, kind: torch.dtype) -> Tensor:
    """One source coordinate of each destination pixel, [b, h, w], in 1/65536 pixel.

    `steps`: increments per column and per row of the destination, float64 [b, 1], and column and row numbers, float64
    [w] and [h]; `start`: coordinate of the first pixel.
    """
    (by_column, columns), (by_row, rows) = steps
    along_row = _whole(by_column * columns * _ONE, kind)
    along_column = _whole((by_row * rows + start) * _ONE, kind)
    return along_row[:, None, :] + along_column[:, :, None]


def _nearest(steps: Steps, start: Tensor, straight: Tensor, kind: torch.dtype, *, by_row: bool) -> Tensor:
    """One coordinate of each destination pixel's source pixel, [b, h, w]: `Geometry.sources`, operation by operation.

    If `straight`, bool [b, 1], it depends only on the destination's row (`by_row`) or only on its column.
    """
    (column_step, columns), (row_step, rows) = steps
    along_row = _whole(column_step * columns * _ONE, kind)
    along_column = _whole((row_step * rows + start) * _ONE + _ONE // 2 + 1, kind)
    step, numbers = steps[by_row]
    plain = torch.floor(step * numbers + (start + (0.5 + EXACT))).long().to(kind) << FRACTION_BITS
    if by_row:
        along_row, along_column = along_row.masked_fill(straight, 0), torch.where(straight, plain, along_column)
    else:
        along_row, along_column = torch.where(straight, plain, along_row), along_column.masked_fill(straight, 0)
    return (along_row[:, None, :] + along_column[:, :, None]) >> FRACTION_BITS


def _whole(values: Tensor, kind: torch.dtype) -> Tensor:
    """Round half to even. Overflow of one term is harmless: 32-bit wrap-around cancels in the sum of two."""
    return torch.round(values).long().to(kind)


def _held(indices: Tensor, size: Tensor) -> Tensor:
    """Indices clamped to 0..size - 1."""
    return indices.clamp(min=0).minimum(size - 1)


def _bilinear(images: Tensor, begin: Tensor, places: tuple[Tensor, Tensor], size: tuple[Tensor, Tensor]) -> Tensor:
    """Images uint8 [C, b, h, w] at fixed-point `places` x, y [b, h, w]; edge pixels are replicated outside.

    `begin` and `size` (height, width), each [b, 1, 1]: location of each image in `images` uint8 [C, P].
    """
    (x, y), (height, width) = places, size
    left, top = x >> FRACTION_BITS, y >> FRACTION_BITS
    across, down = ((n & (_ONE - 1)).float() / _ONE for n in (x, y))
    upper, lower = (begin + _held(row, height) * width for row in (top, top + 1))
    left, right = _held(left, width), _held(left + 1, width)
    planes = []
    for plane in images:
        above = _between(_read(plane, upper + left), _read(plane, upper + right), across)
        below = _between(_read(plane, lower + left), _read(plane, lower + right), across)
        planes.append(_between(above, below, down).round_().to(torch.uint8))
    return torch.stack(planes)


def _read(plane: Tensor, where: Tensor) -> Tensor:
    """The pixels of uint8 [P] at the indices [b, h, w]."""
    return plane.index_select(0, where.flatten()).view(where.shape)


def _between(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    first = one.float()
    return (other.float() - first).mul_(share).add_(first)


def _levelled(images: Tensor, shift: Tensor, stretch: Tensor) -> Tensor:
    """Images uint8 [C, b, h, w] with the formula of `Levels`; shift and stretch are float64 [b, 1]."""
    values = max(1, images.numel() // max(1, images.shape[1]))
    mean = images.sum((0, 2, 3), dtype=torch.int64).double()[:, None] / values
    times, plus = (1 + stretch).float(), (255 * shift - stretch * mean).float()
    changed = images.float().mul_(times[..., None]).add_(plus[..., None])
    return changed.round_().clamp_(0, 255).to(torch.uint8)
