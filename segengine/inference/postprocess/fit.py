"""Chooses post-processing steps on a run's validation images; keeps those with a proven gain."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.dataset import load_dataset
from segengine.comparison.statistics.differences import Choices, PairDifference, judge_sample
from segengine.comparison.statistics.ratios import places, ratios, summed
from segengine.comparison.statistics.sample import Sample
from segengine.components.base import Postprocessor
from segengine.data.masks.mapping import Postprocess
from segengine.data.masks.regions import Classes, in_order
from segengine.engine.evaluation import confusions
from segengine.errors import DataError
from segengine.events import Doing, Listener
from segengine.inference.load import Trained, load_trained
from segengine.inference.postprocess.record import spacing_of, step_of, write_record
from segengine.metrics.confusion import ImageCounts
from segengine.runs import names
from segengine.specs.load import load_experiment

METRIC = "dice"
LEVEL = 0.05
SIZES_PIXELS = (16, 64, 256)
RADII = (1, 2)
MOST_SEPARATE_CLASSES = 10
"""Classes up to this number are also tried one by one."""
SPLIT = "validation"


@dataclass(frozen=True)
class Tried:
    """One step, tried on top of those kept before it: the gain in mean Dice and its interval over images or groups.

    The interval has the confidence of all tries together (Bonferroni). `verdict` and `reason`: of the comparison's
    statistics. `kept`: the interval lies above 0.
    """

    step: dict[str, Any]
    after: tuple[dict[str, Any], ...]
    gain: float | None
    low: float | None
    high: float | None
    verdict: str
    reason: str
    kept: bool = False


@dataclass(frozen=True)
class Fitted:
    """Chosen steps, what was tried, mean Dice without and with them; `units` are groups if the data has any, else images."""

    steps: tuple[dict[str, Any], ...]
    tried: tuple[Tried, ...]
    images: int
    units: int
    before: float | None
    after: float | None
    level: float

    @property
    def document(self) -> dict[str, Any]:
        """The content of postprocess.json."""
        return {
            "split": SPLIT, "metric": METRIC, "images": self.images, "units": self.units, "before": self.before,
            "after": self.after, "level": LEVEL, "level_of_each_try": self.level, "steps": list(self.steps),
            "tried": [asdict(each) for each in self.tried],
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Image:
    """Predicted and true classes of one validation image, compressed."""

    shape: tuple[int, int]
    predicted: bytes
    truth: bytes
    group: str

    @classmethod
    def of(cls, predicted: Classes, truth: Classes, group: str) -> _Image:
        height, width = truth.shape
        return cls((height, width), zlib.compress(predicted.tobytes(), 1), zlib.compress(truth.tobytes(), 1), group)

    def arrays(self) -> tuple[Classes, Classes]:
        predicted, truth = (np.frombuffer(zlib.decompress(part), np.uint8) for part in (self.predicted, self.truth))
        return predicted.reshape(self.shape), truth.reshape(self.shape)


def fit_postprocessing(
    path: Path, steps: Sequence[str | Mapping[str, Any]], overrides: Sequence[str], device: str, listener: Listener
) -> Fitted:
    """Choose steps for a run by its validation images, and record them in the run folder; scores in it don't change.

    Args:
        path: the run folder.
        steps: settings of the steps to try; none for the default candidates.
        overrides: settings below `data`, such as another root.
        device: as for `load_trained`.
        listener: receives progress.

    Raises:
        RunError: training isn't finished, or the run is in use.
        DataError: the data differs from the run's, or has no validation image.
        SpecError: an invalid step.
    """
    trained = load_trained(path, device, postprocess=False)
    classes = [label.name for label in trained.mapping.labels]
    candidates = [step_of(step) for step in steps] or default_candidates(classes)
    build = _builder(classes, spacing_of(trained.folder.spec()))
    for candidate in candidates:  # invalid class names are errors before anything is predicted
        build(candidate)
    averaged = tuple(classes.index(name) for name in trained.run["metric_policy"]["averaged"])
    images = _predicted(trained, overrides, listener)
    search = _Search(images, classes, averaged, build, 2 * len(candidates), listener)
    fitted = search.run(candidates)
    with trained.folder.locked():
        write_record(trained.folder, fitted.document)
    return fitted


def default_candidates(classes: Sequence[str]) -> list[Postprocessor]:
    """Steps for all classes but the first: components, sizes, holes, borders; the largest component also class by class."""
    found: list[dict[str, Any]] = [{"name": "largest-component"}, {"name": "fill-holes"}]
    found += [{"name": "remove-small", "pixels": pixels} for pixels in SIZES_PIXELS]
    found += [{"name": "smooth", "radius": radius} for radius in RADII]
    if 2 < len(classes) <= MOST_SEPARATE_CLASSES + 1:
        found += [{"name": "largest-component", "only": [name]} for name in classes[1:]]
    return [step_of(settings) for settings in found]


def _builder(classes: Sequence[str], spacing: tuple[float, float] | None) -> Callable[[Postprocessor], Postprocess]:
    return lambda step: step.build(classes=classes, spacing=spacing)


def _predicted(trained: Trained, overrides: Sequence[str], listener: Listener) -> list[_Image]:
    loaded = load_experiment(trained.folder / names.SPEC, list(overrides))
    dataset = load_dataset(next(iter(loaded.variants.values())), trained.run.get("fold"), listener)
    if trained.run["data"]["fingerprint"] != dataset.fingerprint:
        raise DataError(
            f"{trained.folder.path}: the data differs from the run's; steps are chosen on its own validation images"
        )
    indices = dataset.splits.get(SPLIT, ())
    if not indices:
        raise DataError(f"{trained.folder.path}: its data has no {SPLIT} images, and steps are chosen on no others")
    groups = dataset.groups(SPLIT)
    images = []
    for number, index in enumerate(indices):
        listener(Doing(f"predicting {SPLIT} images", number, len(indices)))
        image, truth = dataset.pair(index)
        images.append(_Image.of(trained.classes(image), truth, groups[index]))
    return images


@dataclass(frozen=True, eq=False)
class _Search:
    """Forward selection: each candidate alone, then the helpful ones one after another, best first."""

    images: Sequence[_Image]
    classes: Sequence[str]
    averaged: tuple[int, ...]
    build: Callable[[Postprocessor], Postprocess]
    most_tries: int
    listener: Listener

    @property
    def level(self) -> float:
        """The level of each try; all tries together are wrong with a probability of at most `LEVEL`."""
        return LEVEL / self.most_tries

    def run(self, candidates: Sequence[Postprocessor]) -> Fitted:
        before = self._counts([])
        tried: list[Tried] = []
        for number, candidate in enumerate(candidates):
            self.listener(Doing("trying post-processing steps", number, len(candidates)))
            tried.append(self._try([], candidate, before, self._counts([candidate])))
        helpful = [(each, candidate) for each, candidate in zip(tried, candidates, strict=True) if each.kept]
        helpful.sort(key=lambda pair: -(pair[0].gain or 0.0))
        chosen, now = ([helpful[0][1]], self._counts([helpful[0][1]])) if helpful else ([], before)
        for _, candidate in helpful[1:]:
            counts = self._counts([*chosen, candidate])
            tried.append(self._try(chosen, candidate, now, counts))
            if tried[-1].kept:
                chosen, now = [*chosen, candidate], counts
        units = int(places([image.group for image in self.images]).max()) + 1
        return Fitted(
            tuple(map(_settings, chosen)),
            tuple(tried),
            len(self.images),
            units,
            self._mean(before),
            self._mean(now),
            self.level,
        )

    def _try(
        self,
        chosen: Sequence[Postprocessor],
        candidate: Postprocessor,
        before: NDArray[np.int64],
        after: NDArray[np.int64],
    ) -> Tried:
        row = self._difference(after, before)
        kept = row is not None and row.low is not None and row.low > 0
        known = (None, None, None, "not tested", "undefined") if row is None else (
            row.difference, row.low, row.high, row.verdict, row.reason
        )  # fmt: skip
        return Tried(_settings(candidate), tuple(map(_settings, chosen)), *known, kept)

    def _difference(self, after: NDArray[np.int64], before: NDArray[np.int64]) -> PairDifference | None:
        """The paired difference of mean Dice with its interval, by the comparison's statistics."""
        place = places([image.group for image in self.images])
        sums = [ratios(stacked, place, METRIC, "pooled") for stacked in (after, before)]
        numerators, denominators = (tuple(pair[part][None] for pair in sums) for part in (0, 1))
        present = np.asarray(summed(before[:, 1].astype(np.float64), place) > 0)
        sample = Sample(("with", "without"), tuple(self.classes), self.averaged, numerators, denominators, present)
        resamples = min(50_000, math.ceil(20 / self.level))
        judged = judge_sample(sample, Choices(margin=0.0, confidence=1 - self.level, resamples=resamples))
        return next((row.seen_from("with") for row in judged.rows if row.score is None), None)

    def _counts(self, steps: Sequence[Postprocessor]) -> NDArray[np.int64]:
        """True positives, truth and predicted pixels, int64 [N, 3, K], of the images after the steps."""
        import torch

        apply = in_order([self.build(step) for step in steps])
        counts = ImageCounts(len(self.classes))
        for number, (predicted, truth) in enumerate(self._arrays()):
            both = [torch.from_numpy(np.array(part))[None] for part in (truth, apply(predicted))]
            counts.add(number, confusions(both[0], both[1], len(self.classes))[0].numpy())
        return counts.stacked()

    def _arrays(self) -> Iterator[tuple[Classes, Classes]]:
        return (image.arrays() for image in self.images)

    def _mean(self, stacked: NDArray[np.int64]) -> float | None:
        """Mean of the pooled Dice over the averaged classes that occur."""
        right, truth, predicted = stacked.sum(axis=0)[:, list(self.averaged)]
        occur = truth + predicted > 0
        return float((2 * right[occur] / (truth + predicted)[occur]).mean()) if occur.any() else None


def _settings(step: Postprocessor) -> dict[str, Any]:
    return step.model_dump(mode="json")
