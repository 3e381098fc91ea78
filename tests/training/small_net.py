"""A segmenter small enough for a test, with batch norm and dropout in its backbone, and steps of it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from torch import nn

from segengine.building.build import parameter_groups
from segengine.components.lookup import component_class
from segengine.components.optimizers import Sgd
from segengine.data.batches.batch import Batch
from segengine.engine.checkpoint import Trainable
from segengine.engine.distributed import World, open_world
from segengine.engine.precision import pick_precision
from segengine.engine.step import TrainingStep
from segengine.engine.wrap_model import moving_average, shared
from segengine.nn.losses import CrossEntropy
from segengine.nn.segmenter import Segmenter
from segengine.specs.sections import TrainingSection

CPU = torch.device("cpu")


class SmallBackbone(nn.Module):
    channels, strides, mean, std = (4, 6), (1, 2), (0.5,), (0.25,)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.3))
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, stride=2), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(x)
        return [first, self.second(first)]


def segmenter(*, frozen: bool = False) -> Segmenter:
    torch.manual_seed(5)
    backbone = SmallBackbone()
    decoder = component_class("decoders", "unet")(channels=(4, 4)).build(channels=(4, 6), strides=(1, 2))  # type: ignore[attr-defined, call-arg]
    model = Segmenter(backbone, decoder, 3)
    if frozen:
        model.freeze_backbone()
    torch.manual_seed(6)
    return model


def batch(number: int, rank: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(100 * number + rank)
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8, generator=generator)
    masks[0, :2] = 255
    return Batch(images, masks, torch.arange(2))


def trainable(model: Segmenter, *, ema: bool = False, **training: object) -> Trainable:
    section = TrainingSection.model_validate({"optimizer": Sgd(learning_rate=0.1), **training})
    optimizer = section.optimizer.build(parameters=parameter_groups(model, section))
    schedule = section.schedule.build(optimizer=optimizer, total_steps=20)
    return Trainable(model, optimizer, schedule, None, moving_average(model, 0.9) if ema else None)


def steps(parts: Trainable, numbers: range, world: World | None = None) -> None:
    world = world or World(CPU)
    network = shared(parts.model, world)
    loss = CrossEntropy(3, 255)
    step = TrainingStep(parts, network, loss, pick_precision("fp32", CPU), world, None, str)
    network.train()
    for number in numbers:
        step([batch(number, world.rank)])


def frozen_process(rank: int, size: int, port: int, folder: Path) -> None:
    """One of `size` processes that train a network with a frozen backbone; leaves its state in the folder."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    with open_world("cpu") as world:
        model = segmenter(frozen=True)
        steps(trainable(model), range(4), world)
    state = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(state))
