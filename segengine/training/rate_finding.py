"""Learning-rate range test of an experiment: table, plot and suggested rate."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from segengine.building.build import build_loss, build_segmenter, parameter_groups
from segengine.building.guarded import built_optimizer
from segengine.data.batches.batch import Batch
from segengine.data.batches.dataset import Dataset
from segengine.engine.distributed import World
from segengine.engine.precision import pick_precision, repeatable
from segengine.engine.rate_finder import RateTest, Tried, rates_between, suggested
from segengine.engine.wrap_model import placed
from segengine.errors import RunError, counted
from segengine.events import Doing, Listener
from segengine.figures.rate_test import rate_test_png
from segengine.files import write_bytes, write_text
from segengine.training.context import RunContext, metric_policy
from segengine.training.memory_plan import with_memory_plan
from segengine.training.request import RunRequest
from segengine.training.streams import training_input

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 200


@dataclass(frozen=True)
class FoundRate:
    """Result of a range test: suggested rate (None: the loss never decreased), number of steps, files of table and plot."""

    rate: float | None
    steps: int
    table: Path
    picture: Path


def find_rate(request: RunRequest, dataset: Dataset, world: World, listener: Listener, folder: Path) -> FoundRate:
    """Train at 200 rates from 1e-7 to 10 (Smith, 2017), and write `learning-rate-VARIANT` .csv and .png into `folder`.

    A temporary network with the experiment's settings and the request's seed is trained; no run is created or changed.

    Raises:
        RunError: non-finite loss in the first steps.
    """
    experiment, training = request.experiment, request.experiment.training
    policy = metric_policy(experiment.evaluation.leave_out, [label.name for label in dataset.mapper.labels])
    precision = pick_precision("fp32" if training.precision == "fp16" else training.precision, world.device)
    context = with_memory_plan(RunContext(request, dataset, world, precision, policy, listener))
    what = "trying learning rates"
    with repeatable(request.seed, deterministic=training.deterministic):
        model = build_segmenter(experiment, channels=dataset.channels, num_classes=context.num_classes, training=True)
        model = placed(model, world.device)
        optimizer = built_optimizer(
            training.optimizer, parameter_groups(model, training), fused=world.device.type == "cuda"
        )
        test = RateTest(model, optimizer, build_loss(experiment, dataset).to(world.device), precision, world.device)
        made = training_input(context)
        try:
            tried = test.run(
                _endless(made.stream.epoch),
                rates_between(LOWEST, HIGHEST, STEPS),
                seen=lambda done: listener(Doing(what, done, STEPS)),
            )
        finally:
            made.stream.close()
    listener(Doing(what, STEPS, STEPS))
    if len(tried) < 3:
        raise RunError(
            f"the loss became infinite or NaN after {counted(len(tried), 'step')} at a learning rate of {LOWEST:g}; look at the images and "
            "masks with `segengine inspect`"
        )
    return _written(tried, folder / f"learning-rate-{request.variant}")


def _endless(epoch: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    for number in count():
        yield from epoch(number)


def _written(tried: list[Tried], stem: Path) -> FoundRate:
    rate = suggested(tried)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["learning_rate", "loss", "smoothed_loss"])
    rows.writerows([f"{each.rate:.6g}", f"{each.loss:.6g}", f"{each.smooth:.6g}"] for each in tried)
    stem.parent.mkdir(parents=True, exist_ok=True)
    table, picture = stem.with_name(stem.name + ".csv"), stem.with_name(stem.name + ".png")
    write_text(table, text.getvalue())
    columns = ([each.rate for each in tried], [each.loss for each in tried], [each.smooth for each in tried])
    write_bytes(picture, rate_test_png(*columns, rate))
    return FoundRate(rate, len(tried), table, picture)
