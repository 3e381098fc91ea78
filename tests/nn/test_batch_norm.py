"""Batch normalisation of one value a channel."""

import pytest
import torch
from torch import nn

from segengine.nn.batch_norm import BatchNorm2d, with_safe_batch_norm


def test_one_value_a_channel_is_normalised_by_the_running_statistics():
    layer = BatchNorm2d(2).train()
    layer.running_mean.copy_(torch.tensor([1.0, 2.0]))
    layer.running_var.copy_(torch.tensor([4.0, 1.0]))
    x = torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(layer(x).flatten(), torch.tensor([1.0, 3.0]), rtol=1e-4, atol=1e-4)
    assert layer.running_mean.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(2).train()(x)


def test_more_values_are_normalised_as_torch_does():
    x = torch.rand(2, 3, 1, 1)
    ours, torchs = BatchNorm2d(3), nn.BatchNorm2d(3)
    assert torch.equal(ours(x), torchs(x))
    assert torch.equal(ours.running_var, torchs.running_var)


def test_nested_layers_are_exchanged_under_the_same_names():
    module = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=0.1)), nn.BatchNorm2d(4))
    names = list(module.state_dict())
    with_safe_batch_norm(module)
    assert [type(m) for m in module.modules() if isinstance(m, nn.BatchNorm2d)] == [BatchNorm2d, BatchNorm2d]
    assert list(module.state_dict()) == names
    assert module[0][1].eps == 0.1
