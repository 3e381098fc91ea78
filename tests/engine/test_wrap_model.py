from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from segengine.engine.checkpoint import weights_hash
from segengine.engine.distributed import World
from segengine.engine.wrap_model import moving_average, with_shared_statistics
from segengine.errors import RunError
from tests.engine.tiny import CPU, network


def test_statistics_shared_by_processes_keep_the_names_of_weights_and_need_gpus() -> None:
    model = network()
    names = list(model.state_dict())
    assert with_shared_statistics(model, World(CPU)) is model
    with pytest.raises(
        RunError, match=r"training\.sync_batch_norm among several processes needs GPUs; set it to false"
    ):
        with_shared_statistics(model, World(CPU, 0, 2))
    converted = with_shared_statistics(model, World(torch.device("cuda"), 0, 2))
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules()) == 1
    assert list(converted.state_dict()) == names


def test_the_moving_average_has_the_bits_of_torchs_own() -> None:
    model = network()
    ours = moving_average(model, 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)  # type: ignore[no-untyped-call]
    for _ in range(4):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(1)
        ours.update_parameters(model)
        theirs.update_parameters(model)
    assert weights_hash(ours) == weights_hash(theirs)
