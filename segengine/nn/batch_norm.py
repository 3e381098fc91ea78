"""Batch normalisation that supports a batch of one after global pooling."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, except that in training a single value per channel (a pooled map with batch size 1) is normalised by
    the running statistics, without updating them; torch raises, since one value has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def with_safe_batch_norm(module: nn.Module) -> nn.Module:
    """Replace each `nn.BatchNorm2d` in a newly initialised `module` by the class above (values aren't copied)."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            safe = BatchNorm2d(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
            setattr(module, name, safe)
        else:
            with_safe_batch_norm(child)
    return module
