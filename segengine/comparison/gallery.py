"""The images with the largest disagreement between variants, selected from counts, with truth and all predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.measures import Metric
from segengine.comparison.statistics.ratios import unit_ratios
from segengine.comparison.summary import Comparison
from segengine.figures.labels import LabelLike

MOST_VARIANTS = 8
Pixels = NDArray[np.uint8]
_RULE = "No group has a second image here before every group with a spread has one: neighbouring images of a group show the same."


@dataclass(frozen=True)
class Disagreement:
    """An image (a row of the comparison's counts) with the score of each variant's first seed, None if undefined."""

    row: int
    id: str
    group: str
    scores: tuple[float | None, ...]
    spread: float


@dataclass(frozen=True)
class Chosen:
    """The images to show, largest spread first; `tied` is the number of other images with the spread of the last one;
    `rule` describes further selection criteria.
    """

    images: tuple[Disagreement, ...]
    tied: int
    metric: Metric
    rule: str = ""


@dataclass(frozen=True, eq=False)
class Picture:
    """One image uint8 [H, W, C] with truth and predictions uint8 [H, W] (255 = ignore), by index of the variant."""

    about: Disagreement
    image: Pixels
    truth: Pixels
    predictions: Mapping[int, Pixels]


@dataclass(frozen=True)
class Gallery:
    """The available pictures; `problems` are the reasons for missing ones."""

    chosen: Chosen
    labels: Sequence[LabelLike] = ()
    pictures: tuple[Picture, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def most_disagreed(comparison: Comparison, metric: Metric, count: int) -> Chosen:
    """The `count` images with the largest spread of the scores of the variants' first seeds; ties by id.

    If images have groups (patients, videos), every group with a spread has one image before any has a second one, because
    neighbouring slices show the same disagreement.

    The score of an image is its mean over the averaged classes in truth or prediction. Images in which fewer than two
    variants have a score, or all have the same one, are excluded.
    """
    scores = _scores(comparison, metric)
    known = np.isfinite(scores)
    high, low = (np.where(known, scores, fill).T for fill in (-np.inf, np.inf))
    spread = np.where(known.sum(axis=0) > 1, high.max(axis=1) - low.min(axis=1), 0.0)
    ids, groups = comparison.models.ids, comparison.models.groups
    order = sorted(np.flatnonzero(spread > 0).tolist(), key=lambda row: (-round(float(spread[row]), 9), ids[row]))
    grouped = len(set(groups)) < len(groups)
    rounds = _rounds([groups[row] for row in order]) if grouped else [0] * len(order)
    ranked = [row for _, row in sorted(zip(rounds, order, strict=True), key=lambda pair: pair[0])]
    images = tuple(
        Disagreement(
            row, ids[row], groups[row],
            tuple(float(s) if np.isfinite(s) else None for s in scores[:, row]), float(spread[row]),
        )
        for row in sorted(ranked[:count], key=order.index)
    )  # fmt: skip
    last = (sorted(rounds)[len(images) - 1], round(float(spread[ranked[len(images) - 1]]), 9)) if images else None
    tied = sum(
        (part, round(float(spread[row]), 9)) == last
        for part, row in zip(sorted(rounds)[count:], ranked[count:], strict=True)
    )
    return Chosen(images, tied, metric, _RULE if grouped else "")


def _rounds(groups: Sequence[str]) -> list[int]:
    """0 for the first image of each group, 1 for all others."""
    first: dict[str, int] = {}
    return [int(first.setdefault(group, place) != place) for place, group in enumerate(groups)]


def _scores(comparison: Comparison, metric: Metric) -> NDArray[np.float64]:
    """Score of each image by variant, float64 [V, N], NaN where undefined."""
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    each = np.arange(comparison.image_count)
    found = []
    for members in comparison.models.by_variant().values():
        a, b = unit_ratios(members[0], each, metric, comparison.kinds(metric)[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(b > 0, a / b, np.nan)[:, averaged]
        count = np.isfinite(score).sum(axis=1)
        found.append(np.where(count > 0, np.nansum(score, axis=1) / np.maximum(count, 1), np.nan))
    return np.stack(found)
