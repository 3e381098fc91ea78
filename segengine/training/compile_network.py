"""The network for training: compiled if that saves time, wrapped in DDP with several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.building.build import training_size
from segengine.engine.compilation import Compilation, StepTimer, compiled, decide
from segengine.engine.wrap_model import shared
from segengine.events import Doing
from segengine.nn.segmenter import Segmenter
from segengine.training.context import RunContext

if TYPE_CHECKING:
    from torch import nn


def training_network(
    context: RunContext, model: Segmenter, loss: nn.Module, batches: int | None
) -> tuple[nn.Module, Compilation]:
    """The network for the forward pass in training with `batches` (None: time budget), and the decision on compilation.

    A resumed run keeps its earlier decision.
    """
    request, world, dataset = context.request, context.world, context.dataset
    training, size = request.experiment.training, training_size(request.experiment, dataset)
    images = context.memory.micro_batch or context.batch_size // world.size
    timer = StepTimer(
        model, loss, context.precision, world.device, dataset.channels, size or (1, 1), context.num_classes
    )

    def seconds() -> float:
        if batches is None:
            return 60 * (training.minutes or 0)
        timer.seconds(images)  # the first step selects algorithms
        return float(max(world.gathered(batches * timer.seconds(images, steps=3))))

    before = request.folder.read().get("compilation") if request.folder.exists else None
    decision = Compilation(**before) if before else decide(training.compile, world.device, size, seconds)
    if not decision.used:
        return shared(model, world), decision
    context.listener(Doing("compiling the network", 0, 1))
    network, reason = compiled(timer, images, world)
    context.listener(Doing("compiling the network", 1, 1))
    if network is None:
        return shared(model, world), Compilation(False, f"compilation failed ({reason})")
    return shared(network, world), decision
