"""Checks of losses: a finite scalar that decreases in training and is independent of ignored pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segengine.data.masks.mapping import IGNORE
from segengine.testing.networks import seeded
from segengine.testing.subject import Check, Subject

if TYPE_CHECKING:
    from torch import Tensor

_CLASSES = 3
_PIXELS = (900, 80, 20)
_STEPS = 40


def is_a_finite_scalar(subject: Subject) -> Iterator[str]:
    """The loss is one finite number with a finite gradient, for any logits."""
    import torch

    loss = _built(subject)
    if not isinstance(loss, torch.nn.Module):
        yield f"build() returns {type(loss).__name__}; return a torch.nn.Module"
        return
    for scale in (1, 100):
        logits, target = _example(scale)
        before = logits.detach().clone(), target.clone()
        value = loss(logits, target)
        if not isinstance(value, torch.Tensor) or value.ndim or not value.is_floating_point():
            yield f"forward() returns {_described(value)}; return a scalar tensor, the mean over valid pixels or classes"
            return
        if not value.requires_grad:
            yield "the loss has no gradient; do not detach the logits"
            return
        value.backward()  # type: ignore[no-untyped-call]
        if not bool(value.isfinite()) or not bool(logits.grad.isfinite().all()):  # type: ignore[union-attr]
            yield (
                f"loss or gradient is not finite for logits of up to {4 * scale}; use log_softmax, and clamp before "
                "logarithms and divisions"
            )
        if not (torch.equal(before[0], logits.detach()) and torch.equal(before[1], target)):
            yield "forward() modifies logits or target; do not use in-place operations on them"


def _built(subject: Subject, pixels: tuple[int, ...] = _PIXELS) -> Any:
    return subject.component.build(num_classes=len(pixels), ignore_index=IGNORE, class_pixels=list(pixels))


def _example(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits float32 [2, 3, 8, 8] with requires_grad, and a target int64 [2, 8, 8] with all classes and ignored pixels."""
    import torch

    with seeded(3):
        logits = (torch.randn(2, _CLASSES, 8, 8) * scale).requires_grad_()
        target = torch.randint(0, _CLASSES, (2, 8, 8))
    target[:, :2] = IGNORE
    return logits, target


def _described(value: Any) -> str:
    return f"a tensor of shape {list(value.shape)}, {value.dtype}" if hasattr(value, "shape") else type(value).__name__


def ignored_pixels_count_nowhere(subject: Subject) -> Iterator[str]:
    """Logits of ignored pixels change neither the loss nor the gradient."""
    import torch

    loss, (logits, target) = _built(subject), _example()
    value = loss(logits, target)
    value.backward()
    ignored = (target == IGNORE).unsqueeze(1).expand_as(logits)
    if bool(logits.grad[ignored].any()):  # type: ignore[index]
        yield "ignored pixels have a gradient; exclude pixels where target == ignore_index"
    other = torch.where(ignored, logits.detach() + 5.0 * torch.arange(_CLASSES).view(1, -1, 1, 1), logits.detach())
    if not torch.allclose(loss(other, target), value, rtol=1e-6, atol=0):
        yield "logits of ignored pixels change the loss; exclude pixels where target == ignore_index"


def nothing_valid_is_zero(subject: Subject) -> Iterator[str]:
    """Loss and gradient of a batch in which all pixels are ignored are 0."""
    import torch

    loss, (logits, target) = _built(subject), _example()
    value = loss(logits, torch.full_like(target, IGNORE))
    if value.item() != 0:
        yield (
            f"the loss of a batch in which all pixels are ignored is {value.item()}; return 0: divide by the number of valid "
            "pixels, at least 1"
        )
    elif not value.requires_grad:
        yield (
            "the loss of a batch in which all pixels are ignored has no gradient; compute it from the logits: "
            "(logits * 0).sum()"
        )
    else:
        value.backward()
        if logits.grad is None or bool((logits.grad != 0).any()):  # true for NaN as well
            yield "the gradient of a batch in which all pixels are ignored is not 0; mask the pixels before dividing"


def absent_classes_are_finite(subject: Subject) -> Iterator[str]:
    """Loss and gradient are finite if a class is absent from a batch or from the whole training set."""
    logits, target = _example()
    target = target.masked_fill(target == 2, 0)
    for pixels, where in ((_PIXELS, "a batch"), ((900, 100, 0), "the training set")):
        value = _built(subject, pixels)(logits, target)
        logits.grad = None
        value.backward()
        if not bool(value.isfinite()) or not bool(logits.grad.isfinite().all()):  # type: ignore[attr-defined]
            yield f"loss or gradient is not finite if a class is absent from {where}; avoid dividing by its number of pixels"


def falls_in_training(subject: Subject) -> Iterator[str]:
    """The loss decreases along its gradient, and is lower for a correct prediction than for a wrong one."""
    import torch

    logits, target = _example()
    loss = _built(subject)
    with torch.no_grad():
        right = torch.nn.functional.one_hot(target.clamp(max=_CLASSES - 1), _CLASSES).permute(0, 3, 1, 2) * 8.0
        best, worst = float(loss(right, target)), float(loss(right.roll(1, dims=1), target))
        start = float(loss(logits, target))
    if not best < worst:
        yield f"the loss of a correct prediction is {best:.4g}, of a wrong one {worst:.4g}; check its sign"
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    end = float(loss(logits.detach(), target))
    if not end < start:
        yield (
            f"the loss does not decrease: {start:.4g} before and {end:.4g} after {_STEPS} steps of gradient descent; check "
            "its sign and its graph"
        )


CHECKS: tuple[Check, ...] = (
    is_a_finite_scalar,
    ignored_pixels_count_nowhere,
    nothing_valid_is_zero,
    absent_classes_are_finite,
    falls_in_training,
)
