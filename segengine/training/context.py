"""The context of one run: its request, data, device, precision, batch sizes and metric policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segengine.data.batches.dataset import Dataset
from segengine.engine.distributed import World
from segengine.engine.evaluation import Measured, evaluate_and_measure
from segengine.engine.precision import Precision
from segengine.engine.prediction import PassLimits, Predictor
from segengine.errors import DataError
from segengine.events import Counts, Doing, Listener, Note
from segengine.metrics.scores import MetricPolicy
from segengine.metrics.values import Measurement
from segengine.training.request import RunRequest

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FoundBatch:
    """Batch size chosen by `training.batch_size: auto`: images over all processes, and the reason."""

    images: int
    why: str


@dataclass(frozen=True)
class MemoryPlan:
    """Images per pass of one process in training (None: whole batches) and evaluation (None: not measured)."""

    micro_batch: int | None = None
    evaluation_batch: int | None = None

    @property
    def note(self) -> str:
        """Note for the user if batches are split; '' otherwise."""
        if self.micro_batch is None:
            return ""
        return (
            f"a whole batch doesn't fit into memory: {self.micro_batch} image{'s' * (self.micro_batch > 1)} per pass; the "
            "gradient of a step still averages over all its pixels, but batch normalisation uses smaller batches: scores "
            "differ slightly from those of a run with more memory"
        )


@dataclass(frozen=True)
class RunContext:
    """Shared objects of a run. `found_batch` is None unless training.batch_size is auto, and until it is determined."""

    request: RunRequest
    dataset: Dataset
    world: World
    precision: Precision
    policy: MetricPolicy
    listener: Listener
    found_batch: FoundBatch | None = None
    memory: MemoryPlan = MemoryPlan()
    limits: PassLimits = field(default_factory=PassLimits)

    @property
    def batch_size(self) -> int:
        """Batch size over all processes, as set or as found."""
        wanted = self.request.experiment.training.batch_size
        if isinstance(wanted, int):
            return wanted
        assert self.found_batch is not None, "with_memory_plan comes first"
        return self.found_batch.images

    @property
    def batch_text(self) -> str:
        """The result of training.batch_size: auto; '' if a number is set."""
        return f"training.batch_size: auto: {self.found_batch.why}" if self.found_batch is not None else ""

    @property
    def num_classes(self) -> int:
        return len(self.dataset.mapper.labels)

    def predictor(self, model: nn.Module) -> Predictor:
        """A predictor of the model, for evaluation and prediction."""
        return Predictor(model, self.world.device, self.precision, limits=self.limits)

    def count(self, model: nn.Module, split: str) -> Counts:
        """Confusion counts of a split's images."""
        return self.count_and_measure(model, split, None)[0]

    def count_and_measure(
        self, model: nn.Module, split: str, measurement: Measurement | None
    ) -> tuple[Counts, dict[int, Measured]]:
        """Confusion counts of a split's images, and per image the values of `measurement`."""
        indices, done = self.dataset.splits[split], 0
        what = f"evaluating {split} images"

        def seen(images: int) -> None:
            nonlocal done
            done += images * self.world.size
            self.listener(Doing(what, min(done, len(indices)), len(indices)))

        before = str(self.limits)
        found = evaluate_and_measure(
            self.predictor(model),
            self.dataset,
            indices,
            self.num_classes,
            self.world,
            measurement=measurement,
            seen=seen,
        )
        if str(self.limits) != before:
            self.listener(Note(f"evaluation ran out of memory and continued with {self.limits}"))
        return found


def metric_policy(setting_leave_out: str | list[str], class_names: list[str]) -> MetricPolicy:
    """The classes that mean scores average over.

    Raises:
        DataError: an unknown class in `leave_out`, or no class is left.
    """
    background = [name for name in class_names if name.lower() == "background"]
    left_out = background if setting_leave_out == "auto" else list(setting_leave_out)
    unknown = [name for name in left_out if name not in class_names]
    averaged = tuple(name for name in class_names if name not in left_out)
    if unknown or not averaged:
        wrong = f"contains unknown classes: {', '.join(unknown)}" if unknown else "leaves no class"
        raise DataError(f"evaluation.leave_out {wrong}; the classes are {', '.join(class_names)}")
    return MetricPolicy(averaged, tuple(left_out))
