"""The sampled augmentations of a batch as one table, so that one copy transfers all random parameters to a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import numpy as np
import numpy.typing as npt

from segengine.data.augment.geometry import FRACTION_BITS, Geometry, identity
from segengine.data.augment.pipeline import SampledOperations
from segengine.data.augment.transforms import Levels

Place = tuple[int, int, int]  # offset of a sample's first pixel in the flat buffer, height, width
Table = npt.NDArray[np.float64]

PLACED = 9  # columns before the levels: two rows of the matrix, and the place
_WIDE = 2.0 ** (31 - FRACTION_BITS) - 1  # the largest coordinate representable in 32 bits beside its fraction
_NONE = Levels(0.0, 0.0)


@dataclass(frozen=True)
class Group:
    """Samples `begin` to `end` (in the order of their round), with a common output `size` (height, width)."""

    begin: int
    end: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Round:
    """One warp of all samples, and then `levels` changes of their levels.

    `straight`: no rotation or shear; `wide`: 32 bits can't address the pixels of an image.
    """

    groups: tuple[Group, ...]
    levels: int
    straight: bool
    wide: bool


@dataclass(frozen=True, eq=False)
class BatchOperations:
    """Augmentation parameters of the samples of a batch.

    `table` is float64 [rounds, B, 9 + 2 * levels]: of each sample in its round the matrix a b c d e f (see `Geometry`),
    the place (offset, height, width) in the previous round's output (first round: in the store), and pairs of shift
    and stretch. `indices` are the samples' records, in the order of the last round.
    """

    table: Table
    rounds: tuple[Round, ...]
    indices: tuple[int, ...]


_Warp = tuple[Geometry, list[Levels]]


def batch_operations(
    sampled: Sequence[SampledOperations], places: Sequence[Place], indices: Sequence[int]
) -> BatchOperations:
    """Combine the sampled operations of samples stored at `places`, which belong to the records `indices`."""
    samples = [_warps(operations, place) for operations, place in zip(sampled, places, strict=True)]
    # Levels before any geometry, which are rare, need a round without a warp.
    first = 0 if any(warps[0][1] for warps in samples) or len(samples[0]) == 1 else 1
    most = max(len(levels) for warps in samples for _, levels in warps)
    rounds: list[Round] = []
    tables: list[list[list[float]]] = []
    for number in range(first, len(samples[0])):
        here = [warps[number] for warps in samples]
        order = sorted(range(len(here)), key=lambda i: _size(here[i]))
        tables.append([_row(*here[i], places[i], most) for i in order])
        rounds.append(_round([here[i] for i in order], tables[-1]))
        begins = accumulate((math.prod(_size(here[i])) for i in order), initial=0)
        after = dict(zip(order, begins, strict=False))
        places = [(after[i], *_size(warp)) for i, warp in enumerate(here)]
    return BatchOperations(np.array(tables), tuple(rounds), tuple(indices[i] for i in order))


def _size(warp: _Warp) -> tuple[int, int]:
    return warp[0].height, warp[0].width


def _warps(operations: SampledOperations, place: Place) -> list[_Warp]:
    """The operations as geometries, each with the levels that follow it; the first entry has no geometry."""
    warps: list[_Warp] = [(identity(*place[1:]), [])]
    for operation in operations:
        if isinstance(operation, Geometry):
            warps.append((operation, []))
        else:
            warps[-1][1].append(operation)
    return warps


def _row(geometry: Geometry, levels: Sequence[Levels], place: Place, most: int) -> list[float]:
    every = [*levels, *[_NONE] * (most - len(levels))]
    return [
        *geometry.matrix[:2].ravel().tolist(),
        *place,
        *(n for level in every for n in (level.shift, level.stretch)),
    ]


def _round(warps: Sequence[_Warp], rows: Sequence[Sequence[float]]) -> Round:
    groups: list[Group] = []
    for size, group in groupby(warps, _size):
        begin = groups[-1].end if groups else 0
        groups.append(Group(begin, begin + len(list(group)), size))
    numbers = np.array(rows)
    height, width = np.array([group.size for group in groups]).max(axis=0).tolist()
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    reach = np.abs(numbers[:, :6].reshape(-1, 3) @ corners.T).max()
    pixels = (numbers[:, 7] * numbers[:, 8]).max()
    wide = bool(reach >= _WIDE or pixels >= 2**31)
    straight = not numbers[:, [1, 3]].any()
    return Round(tuple(groups), max(len(levels) for _, levels in warps), straight, wide)
