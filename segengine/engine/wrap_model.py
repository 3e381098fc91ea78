"""Wrappers of the network for training: device placement, moving average, SyncBatchNorm, DDP."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segengine.engine.distributed import World
from segengine.errors import RunError

Module = TypeVar("Module", bound=nn.Module)


def placed(model: Module, device: torch.device) -> Module:
    """Move the model to the device, in channels-last memory format, the fastest for convolutions."""
    model.to(device)
    return model.to(memory_format=torch.channels_last)


class MovingAverage(ModelEmaV3):  # type: ignore[misc]
    """timm's exponential moving average of all weights and buffers, with the number of its updates as part of its state.

    The decay rises with the number of updates n, min(decay, 1 - n^(-2/3)), so that the first weights don't dominate the
    average of a short training (timm's warm-up, after Crowson). Integer buffers are copied.
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, decay=decay, use_warmup=True)
        self.register_buffer("n_averaged", torch.tensor(0))  # on the CPU, to avoid GPU synchronisation

    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the weights of `model`; the first update copies them."""
        self.n_averaged += 1
        self.update(model, step=int(self.n_averaged))


def moving_average(model: nn.Module, decay: float) -> MovingAverage:
    """An exponential moving average of a model's weights (Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017)."""
    return MovingAverage(model, decay)


def with_shared_statistics(model: Module, world: World) -> Module:
    """The model with batch normalisation over all processes (SyncBatchNorm); parameter names are unchanged.

    Raises:
        RunError: several processes without GPUs, which torch doesn't support.
    """
    if world.size == 1:
        return model
    if world.device.type != "cuda":
        raise RunError("training.sync_batch_norm among several processes needs GPUs; set it to false")
    return cast("Module", nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]


def shared(network: nn.Module, world: World) -> nn.Module:
    """The network for the forward pass: wrapped in DistributedDataParallel if there are several processes."""
    if world.size == 1:
        return network
    devices = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices)
