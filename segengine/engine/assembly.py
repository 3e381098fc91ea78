"""A network and its companions as the loop wants them: on the device, averaged, shared among processes."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from segengine.engine.world import World

Module = TypeVar("Module", bound=nn.Module)


def placed(model: Module, device: torch.device) -> Module:
    """The model on the device, channels last in memory, which convolutions are fastest with."""
    model.to(device)
    return model.to(memory_format=torch.channels_last)


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of all weights and buffers (Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017)."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def shared(model: nn.Module, world: World, *, compiled: bool = False) -> nn.Module:
    """What runs forward: the model itself, or compiled where asked, in the wrapper that averages gradients over processes."""
    network = cast("nn.Module", torch.compile(model)) if compiled else model  # what is saved and evaluated stays plain
    if world.size == 1:
        return network
    devices = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices)
