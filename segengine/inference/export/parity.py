"""Agreement of an exported file with the trained model, on labelled images and on crops of odd sizes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.inference.export.job import Example
from segengine.metrics.names import DEFAULT_METRIC
from segengine.metrics.scores import scores_of

ODD_SIZES = ((1, 1), (1, 33), (31, 17), (97, 70), (127, 129))
"""Heights and widths of the crops that are compared in addition to complete images."""
_ROUNDS = 5

Pixels = NDArray[Any]
Logits = NDArray[np.float32]
Network = Callable[[Pixels], tuple[NDArray[np.uint8], Logits]]
"""Pixels [H, W, C] -> classes uint8 [H, W] and logits float32 [K, H, W]."""


@dataclass(frozen=True)
class Limits:
    """Limits of an export; None: no limit.

    Attributes:
        pixels: maximum fraction of pixels with a different class, 0..1.
        mean_dice: maximum decrease of the mean Dice, 0..1.
    """

    pixels: float | None = None
    mean_dice: float | None = None


LIMITS = {"fp32": Limits(pixels=1e-4), "fp16": Limits(pixels=1e-2, mean_dice=0.005), "int8": Limits(mean_dice=0.005)}


@dataclass(frozen=True)
class Parity:
    """Agreement of a file with the trained model.

    Attributes:
        images, split: number of labelled images compared, and their split.
        differing: fraction of their pixels with a different class, 0..1.
        differing_odd: the same for crops of odd sizes.
        largest_logit: maximum absolute difference of logits.
        dice_trained, dice_exported: Dice per class, pooled over the images; None if undefined.
        mean_trained, mean_exported: mean Dice over the averaged classes; None if undefined.
        size: height and width of the image used for timing.
        milliseconds_trained, milliseconds_exported: median time per image, measured alternately.
        threads: number of CPU threads.
    """

    images: int
    split: str
    differing: float
    differing_odd: float
    largest_logit: float
    dice_trained: dict[str, float | None]
    dice_exported: dict[str, float | None]
    mean_trained: float | None
    mean_exported: float | None
    size: tuple[int, int]
    milliseconds_trained: float
    milliseconds_exported: float
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-compatible data, for the file's metadata and `--json`."""
        return asdict(self)

    def problem(self, limits: Limits) -> str:
        """The limit that the file exceeds, as a message; "" if there is none."""
        worst = max(self.differing, self.differing_odd)
        if limits.pixels is not None and worst > limits.pixels:
            return f"{worst:.3%} of the pixels have a different class than with the trained model (limit {limits.pixels:.3%})"
        if limits.mean_dice is not None and self.mean_trained is not None:
            lost = self.mean_trained - (self.mean_exported or 0.0)
            if not lost <= limits.mean_dice:
                return (
                    f"mean Dice decreases from {self.mean_trained:.3f} to {self.mean_exported or 0:.3f} "
                    f"(limit {limits.mean_dice:g})"
                )
        return ""


def measure_parity(
    trained: Network, exported: Network, examples: Iterable[Example], *, split: str, names: Sequence[str],
    averaged: Sequence[str], threads: int,
) -> Parity:  # fmt: skip
    """Compare two networks on each example, and on crops of the first one.

    Args:
        trained, exported: the networks.
        names: names of the classes, by index.
        averaged: names of the classes in the mean.

    Raises:
        ValueError: there are no examples.
    """
    sums = np.zeros((2, 3, len(names)), np.int64)
    differing = pixels = odd = odd_pixels = images = 0
    largest, first = 0.0, None
    for example in examples:
        (classes, logits), (others, other) = trained(example.pixels), exported(example.pixels)
        differing, pixels, images = differing + int((classes != others).sum()), pixels + classes.size, images + 1
        largest = max(largest, float(np.abs(logits - other).max()))
        for which, found in enumerate((classes, others)):
            sums[which] += _counts(example.truth, found, len(names))
        if first is None:
            first = example.pixels
            for crop in _crops(first):
                (a, _), (b, _) = trained(crop), exported(crop)
                odd, odd_pixels = odd + int((a != b).sum()), odd_pixels + a.size
    if first is None:
        raise ValueError("parity requires at least one image")
    trained_scores, exported_scores = (scores_of(*each)[DEFAULT_METRIC] for each in sums)
    places = [k for k, name in enumerate(names) if name in averaged]
    seconds = _alternating(lambda: trained(first), lambda: exported(first))
    return Parity(
        images=images,
        split=split,
        differing=differing / pixels,
        differing_odd=odd / odd_pixels,
        largest_logit=largest,
        dice_trained=_by_name(names, trained_scores),
        dice_exported=_by_name(names, exported_scores),
        mean_trained=_mean(trained_scores[places]),
        mean_exported=_mean(exported_scores[places]),
        size=(first.shape[0], first.shape[1]),
        milliseconds_trained=round(1000 * seconds[0], 3),
        milliseconds_exported=round(1000 * seconds[1], 3),
        threads=threads,
    )


def _by_name(names: Sequence[str], dice: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else round(float(value), 6) for name, value in zip(names, dice, strict=True)}


def _counts(truth: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """True positives, true pixels and predicted pixels per class, int64 [3, K]; ignored pixels are excluded."""
    known = truth < classes
    t, p = truth[known], found[known]
    parts = (t[t == p], t, p)
    return np.stack([np.bincount(part, minlength=classes)[:classes] for part in parts])


def _crops(image: Pixels) -> Iterator[Pixels]:
    for height, width in ODD_SIZES:
        if height <= image.shape[0] and width <= image.shape[1]:
            yield np.ascontiguousarray(image[:height, :width])


def _alternating(*calls: Callable[[], object]) -> tuple[float, ...]:
    """Median seconds per call, measured alternately after one warm-up round."""
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(_ROUNDS + 1):
        for times, call in zip(taken, calls, strict=True):
            start = time.perf_counter()
            call()
            if number:
                times.append(time.perf_counter() - start)
    return tuple(statistics.median(times) for times in taken)


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
