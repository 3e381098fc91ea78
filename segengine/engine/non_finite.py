"""Detection of infinite or NaN losses, gradients and weights, on the device and before the optimizer step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segengine.errors import RunError

_NAMED = 5


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """L2 norm over all gradients, a scalar on their device; infinite or NaN if any gradient is."""
    return nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def not_usable(norm: Tensor, scaler: torch.amp.GradScaler | None) -> Tensor:
    """Bool scalar on the device: a gradient of this norm is an error.

    A gradient scaler skips steps whose scaled gradients overflow and lowers its scale, which is not an error while the
    scale is above 1.
    """
    bad = ~torch.isfinite(norm)
    if scaler is None:
        return bad
    return bad & (scaler.scale(torch.ones((), device=norm.device)) <= 1).to(norm.device)


@dataclass
class NonFiniteLatch:
    """Disables weight updates from the first non-finite step on, without host synchronisation.

    `found` is float32 on the device: 0 until then, 1 afterwards.
    """

    found: Tensor | None = None

    def remember(self, flags: Tensor) -> None:
        """Set the latch where any of `flags` is above 0."""
        now = (flags > 0).any().float()
        self.found = now if self.found is None else torch.maximum(self.found, now)

    def loss(self, loss: Tensor) -> Tensor:
        """The loss, NaN once the latch is set: a gradient scaler then skips the step itself."""
        return loss if self.found is None else torch.where(self.found > 0, torch.nan, loss)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """One optimizer step; fused optimizer kernels skip it once the latch is set (`found_inf`, as with torch's GradScaler)."""
        if self.found is None:
            optimizer.step()
            return
        optimizer.found_inf, optimizer.grad_scale = self.found, None  # type: ignore[attr-defined]
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf, optimizer.grad_scale  # type: ignore[attr-defined]


def queue_depth(optimizer: torch.optim.Optimizer, device: torch.device) -> int:
    """Number of further steps queued on the device before a step's loss is read back: 1 on a GPU.

    0 if the optimizer doesn't support `found_inf`, and on a CPU, which has no queue.
    """
    return int(device.type == "cuda" and bool(getattr(optimizer, "_step_supports_amp_scaling", False)))


def images_with_bad_loss(logits: Tensor, target: Tensor, loss: nn.Module) -> list[int]:
    """Positions in the batch of the images whose loss is infinite or NaN; all if only the loss of the whole batch is."""
    with torch.no_grad():
        if torch.isfinite(loss(logits, target)):
            return []
        each = [loss(logits[i : i + 1], target[i : i + 1]) for i in range(len(logits))]
    return [i for i, value in enumerate(each) if not torch.isfinite(value)] or list(range(len(each)))


def images_with_bad_gradient(
    logits_of: Callable[[], Tensor], target: Tensor, loss: nn.Module, parameters: Sequence[nn.Parameter]
) -> list[int]:
    """Positions of the images whose gradient is infinite or NaN: with respect to the logits, else to the weights.

    Empty if no single image's is, as for a loss over the whole batch, or if memory runs out during the search.
    """
    try:
        with torch.enable_grad():
            logits = logits_of()
            leaf = logits.detach().requires_grad_()
            return _bad(leaf, target, loss, [leaf]) or _bad(logits, target, loss, parameters)
    except RuntimeError:
        return []


def _bad(logits: Tensor, target: Tensor, loss: nn.Module, inputs: Sequence[Tensor]) -> list[int]:
    found = []
    for i in range(len(logits)):
        value = loss(logits[i : i + 1], target[i : i + 1])
        if value.requires_grad:
            gradients = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
            if not all(bool(torch.isfinite(each).all()) for each in gradients if each is not None):
                found.append(i)
    return found


def step_error(names: Sequence[str], *, loss_is_bad: bool, learning_rate: float) -> RunError:
    """The error for a step whose loss, or only whose gradient, is infinite or NaN at the images `names`."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    where = f"at images {', '.join(names[:_NAMED])}{more} (learning rate {learning_rate:.3g})"
    if loss_is_bad:
        return RunError(
            f"the loss became infinite or NaN {where}; the weights "
            "were not changed; lower training.optimizer.learning_rate, set training.clip_norm: 1, or look at these images"
        )
    return RunError(
        f"the gradient became infinite or NaN {where}, though the loss is finite; the weights were not changed; check the "
        "loss at these images (a square root or a logarithm has an infinite gradient at 0), or lower "
        "training.optimizer.learning_rate"
    )


def non_finite_tensors(state: Mapping[str, object]) -> list[str]:
    """Names of the tensors of a state dict that contain an infinite or NaN value."""
    floats = {
        name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor) and tensor.is_floating_point()
    }
    if not floats:
        return []
    # One transfer to the host for all of them.
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in floats.values()]).tolist()
    return [name for name, fine in zip(floats, finite, strict=True) if not fine]


def weights_error(names: Sequence[str]) -> RunError:
    """The error for weights that steps with finite losses and gradients have made infinite or NaN."""
    more = f" and {len(names) - 1} more tensors" if len(names) > 1 else ""
    return RunError(
        f"the weights became infinite or NaN ({names[0]}{more}), though losses and gradients were finite; the last checkpoint "
        "is kept; lower training.optimizer.learning_rate, or set training.clip_norm: 1"
    )
