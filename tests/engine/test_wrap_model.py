from __future__ import annotations

import pytest
import torch
from torch import nn

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


def test_the_moving_average_follows_its_formula_with_a_warm_up() -> None:
    model = network()
    ours = moving_average(model, 0.9)
    expected: dict[str, torch.Tensor] = {}
    for n in range(1, 60):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(1)
        ours.update_parameters(model)
        decay = min(0.9, 1 - n ** (-2 / 3))
        for name, tensor in model.state_dict().items():
            old = expected.get(name, tensor)
            expected[name] = decay * old + (1 - decay) * tensor if tensor.is_floating_point() else tensor.clone()
    found = ours.module.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], tensor, rtol=1e-5) for name, tensor in expected.items())
    assert int(ours.n_averaged) == 59
