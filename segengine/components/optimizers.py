"""Built-in optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from segengine.components.base import Optimizer

if TYPE_CHECKING:
    import torch

_MOST = 1e30
"""Upper bound that keeps float32 optimizer arithmetic far from overflow."""
Rate = Annotated[float, Field(gt=0, le=_MOST)]
Decay = Annotated[float, Field(ge=0, le=_MOST)]
Beta = Annotated[float, Field(ge=0, lt=1)]

_RATE = "peak learning rate; the schedule scales it"
_PENALTY = "L2 penalty added to the gradient; norms and biases have none"


class _Rated(Optimizer):
    """An optimizer with a learning rate that schedules scale."""

    learning_rate: Rate = Field(default=1e-3, description=_RATE)

    @property
    def peak_learning_rate(self) -> float:
        return self.learning_rate


class _AdamFamily(_Rated):
    """Common parameters of Adam and AdamW, which differ in weight decay."""

    weight_decay: Decay = Field(default=0.0, description=_PENALTY)
    betas: tuple[Beta, Beta] = Field(
        default=(0.9, 0.999), description="decay of the running means of the gradient and of the squared gradient"
    )

    def _arguments(self, parameters: Sequence[dict[str, Any]], *, fused: bool) -> dict[str, Any]:
        return {
            "params": list(parameters), "lr": self.learning_rate, "betas": self.betas, "weight_decay": self.weight_decay,
            "fused": fused or None,
        }  # fmt: skip


class AdamW(_AdamFamily):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""

    name: Literal["adamw"] = "adamw"
    weight_decay: Decay = Field(
        default=1e-2, description="decay of weights per step, times the learning rate; norms and biases have none"
    )

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(**self._arguments(parameters, fused=fused))


class Adam(_AdamFamily):
    """Adam (Kingma & Ba, 2015), weight decay as an L2 penalty."""

    name: Literal["adam"] = "adam"

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(**self._arguments(parameters, fused=fused))


class Sgd(_Rated):
    """Stochastic gradient descent with momentum (Sutskever et al., 2013)."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Rate = Field(default=1e-2, description=_RATE)
    momentum: Beta = Field(default=0.9, description="fraction of the previous update that is kept")
    nesterov: bool = Field(default=True, description="Nesterov momentum (needs momentum above 0)")
    weight_decay: Decay = Field(default=1e-4, description=_PENALTY)

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            list(parameters), lr=self.learning_rate, momentum=self.momentum, nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay, fused=fused or None,
        )  # fmt: skip
