"""A network and its companions as the loop wants them: on the device, averaged, shared among processes."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

from segengine.engine.distributed import World
from segengine.errors import RunError

Module = TypeVar("Module", bound=nn.Module)


def placed(model: Module, device: torch.device) -> Module:
    """The model on the device, channels last in memory, which convolutions are fastest with."""
    model.to(device)
    return model.to(memory_format=torch.channels_last)


class MovingAverage(AveragedModel):
    """torch's average with the same numbers, but one that a GPU updates without waiting for the host's counter."""

    def update_parameters(self, model: nn.Module) -> None:
        if self.n_averaged == 0:  # a tensor on the CPU
            super().update_parameters(model)
            return
        assert self.multi_avg_fn is not None
        own, new = ([*each.parameters(), *each.buffers()] for each in (self.module, model))
        groups = _group_tensors_by_device_and_dtype([[t.detach() for t in own], [t.detach() for t in new]])
        for (averaged, current), _ in groups.values():
            self.multi_avg_fn(averaged, current, 0)  # type: ignore[arg-type]
        self.n_averaged += 1


def moving_average(model: nn.Module, decay: float) -> MovingAverage:
    """An exponential moving average of all weights and buffers (Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017)."""
    return MovingAverage(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def with_shared_statistics(model: Module, world: World) -> Module:
    """The model with batch normalisation over the batches of all processes (SyncBN); names of weights stay.

    Raises:
        RunError: several processes without GPUs, for which torch has none.
    """
    if world.size == 1:
        return model
    if world.device.type != "cuda":
        raise RunError("training.sync_batch_norm among several processes needs GPUs; set it to false")
    return cast("Module", nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]


def shared(network: nn.Module, world: World) -> nn.Module:
    """What runs forward: the network itself, or in the wrapper that averages gradients over processes."""
    if world.size == 1:
        return network
    devices = [world.device.index] if world.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices)
