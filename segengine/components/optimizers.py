"""Built-in optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from segengine.components.base import Optimizer

if TYPE_CHECKING:
    import torch

_BETAS = "decay of the running means of gradient and squared gradient"
_PENALTY = "L2 penalty added to the gradient; norms and biases have none"


class _Rated(Optimizer):
    """An optimizer with a learning rate that schedules scale."""

    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate; the schedule scales it")

    @property
    def peak_learning_rate(self) -> float:
        return self.learning_rate


class AdamW(_Rated):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(
        default=1e-2, ge=0, description="decay of weights a step, times the learning rate; norms and biases have none"
    )
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description=_BETAS)

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(list(parameters), fused=fused or None, **_of_adam(self))


class Adam(_Rated):
    """Adam (Kingma & Ba, 2015), weight decay as an L2 penalty."""

    name: Literal["adam"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0, description=_PENALTY)
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description=_BETAS)

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(list(parameters), fused=fused or None, **_of_adam(self))


class Sgd(_Rated):
    """Stochastic gradient descent with momentum (Sutskever et al., 2013)."""

    name: Literal["sgd"] = "sgd"
    learning_rate: float = Field(default=1e-2, gt=0, description="peak learning rate; the schedule scales it")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the previous step that is kept")
    nesterov: bool = Field(default=True, description="look ahead along the momentum (needs momentum above 0)")
    weight_decay: float = Field(default=1e-4, ge=0, description=_PENALTY)

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            list(parameters), lr=self.learning_rate, momentum=self.momentum, nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay, fused=fused or None,
        )  # fmt: skip


def _of_adam(optimizer: AdamW | Adam) -> dict[str, Any]:
    return {"lr": optimizer.learning_rate, "betas": optimizer.betas, "weight_decay": optimizer.weight_decay}
