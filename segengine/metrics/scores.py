"""Precision, recall, IoU and Dice from counts, pooled, per image and per group; undefined scores are NaN, never 0 or 1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.metrics.confusion import ImageCounts
from segengine.metrics.names import DEFAULT_METRIC, OVERLAPS, SCORES

Floats = NDArray[np.float64]


def scores_of(
    positives: NDArray[np.int64], truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, Floats]:
    """The four scores, elementwise, from numbers of true positive, true and predicted pixels, arrays of the same shape.

    precision = tp / predicted, recall = tp / truth, IoU = tp / (truth + predicted - tp), Dice = 2 tp / (truth + predicted);
    0 / 0 is NaN, so all scores of a class in neither truth nor prediction are undefined.
    """
    tp, t, p = (np.asarray(a, dtype=np.float64) for a in (positives, truth, predicted))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"precision": tp / p, "recall": tp / t, "iou": tp / (t + p - tp), "dice": 2 * tp / (t + p)}


@dataclass(frozen=True)
class MetricPolicy:
    """The classes that mean scores cover; shown in every table and recorded in run.json."""

    averaged: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    undefined: str = "a class in neither truth nor prediction has no score and is left out of means"
    ignored: str = "pixels ignored in the truth count nowhere"
    checkpoint: str = "highest mean Dice over the averaged classes, pooled over the validation images"

    def as_dict(self) -> dict[str, Any]:
        """The policy as recorded in run.json."""
        return {"averaged": list(self.averaged), "left_out": list(self.left_out), "undefined": self.undefined,
                "ignored": self.ignored, "checkpoint": self.checkpoint}  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Scores of one evaluation. Arrays float64 [K]; `pixels` and `images` int64 [K] count the truth."""

    pooled: dict[str, Floats]
    per_image: dict[str, Floats]
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]
    total_images: int
    per_group: dict[str, Floats] | None = None
    """Means over groups (patients, videos) of each group's pooled score; None if no two images share a group."""
    total_groups: int = 0

    def mean(self, classes: Sequence[int], *, score: str = DEFAULT_METRIC, per_image: bool = False) -> float:
        """The mean of a score over the given classes that have one; NaN if none has."""
        return _mean((self.per_image if per_image else self.pooled)[score][list(classes)])


def evaluate_counts(counts: ImageCounts, groups: Mapping[int, str] | None = None) -> Scores:
    """Scores from the counts of all images of a split; `groups` is the group of each image by index."""
    return evaluate_stacked(counts.stacked(), None if groups is None else [groups[index] for index in counts.indices])


def evaluate_stacked(table: NDArray[np.int64], groups: Sequence[str] | None = None) -> Scores:
    """Scores from true positive, true and predicted pixels by image and class, int64 [N, 3, K]."""
    sums = table.sum(axis=0)
    each = scores_of(table[:, 0], table[:, 1], table[:, 2])
    per_group, total_groups = None, len(set(groups or ()))
    if groups is not None and total_groups < len(groups):
        by_group = np.zeros((total_groups, *table.shape[1:]), dtype=np.int64)
        np.add.at(by_group, np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1], table)
        of_groups = scores_of(by_group[:, 0], by_group[:, 1], by_group[:, 2])
        per_group = {name: _means(values) for name, values in of_groups.items()}
    return Scores(
        scores_of(sums[0], sums[1], sums[2]),
        {name: _means(values) for name, values in each.items()},
        sums[1],
        (table[:, 1] > 0).sum(axis=0),
        len(table),
        per_group,
        total_groups if per_group else 0,
    )


def as_row(scores: Scores, names: Sequence[str], policy: MetricPolicy) -> dict[str, Any]:
    """The scores in the form of metrics.jsonl and reports; undefined scores are None."""
    classes = {}
    for k, name in enumerate(names):
        classes[name] = {
            **{score: _plain(scores.pooled[score][k]) for score in SCORES},
            "pixels": int(scores.pixels[k]), "images": int(scores.images[k]),
            **{f"{score}_per_image": _plain(scores.per_image[score][k]) for score in OVERLAPS},
        }  # fmt: skip
    averaged = [k for k, name in enumerate(names) if name in policy.averaged]
    mean: dict[str, Any] = {score: _plain(scores.mean(averaged, score=score)) for score in SCORES}
    mean |= {f"{s}_per_image": _plain(scores.mean(averaged, score=s, per_image=True)) for s in OVERLAPS}
    groups = {}
    if scores.per_group is not None:
        groups = {"groups": scores.total_groups}
        for s in OVERLAPS:
            mean[f"{s}_per_group"] = _plain(_mean(scores.per_group[s][averaged]))
            for k, name in enumerate(names):
                classes[name][f"{s}_per_group"] = _plain(scores.per_group[s][k])
    return {
        "images": scores.total_images,
        **groups,
        "classes": classes,
        "mean": {**mean, "over": list(policy.averaged)},
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _means(values: Floats) -> Floats:
    """Means over the first axis, without NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nanmean of no values is NaN, as intended
        return np.asarray(np.nanmean(values, axis=0)) if len(values) else np.full(values.shape[1:], np.nan)
