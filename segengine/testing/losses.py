"""What a loss promises: a finite scalar that falls while training, and ignored pixels that count nowhere."""

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
    """A loss gives one finite number, with a finite gradient, for any logits."""
    import torch

    loss = _built(subject)
    if not isinstance(loss, torch.nn.Module):
        yield f"build() gives {type(loss).__name__}; give a torch.nn.Module"
        return
    for scale in (1, 100):
        logits, target = _example(scale)
        before = logits.detach().clone(), target.clone()
        value = loss(logits, target)
        if not isinstance(value, torch.Tensor) or value.ndim or not value.is_floating_point():
            yield f"gives {_described(value)}; give a tensor of no dimension, the mean over valid pixels or classes"
            return
        if not value.requires_grad:
            yield "has no gradient; don't detach the logits"
            return
        value.backward()  # type: ignore[no-untyped-call]
        if not bool(value.isfinite()) or not bool(logits.grad.isfinite().all()):  # type: ignore[union-attr]
            yield (
                f"value or gradient is not finite for logits of up to {4 * scale}; use log_softmax, and clamp before "
                "logarithms and divisions"
            )
        if not (torch.equal(before[0], logits.detach()) and torch.equal(before[1], target)):
            yield "changes logits or target; don't use operations in place on them"


def _built(subject: Subject, pixels: tuple[int, ...] = _PIXELS) -> Any:
    return subject.component.build(num_classes=len(pixels), ignore_index=IGNORE, class_pixels=list(pixels))


def _example(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits float32 [2, 3, 8, 8] that want a gradient, and a target with all classes and some ignored pixels."""
    import torch

    with seeded(3):
        logits = (torch.randn(2, _CLASSES, 8, 8) * scale).requires_grad_()
        target = torch.randint(0, _CLASSES, (2, 8, 8))
    target[:, :2] = IGNORE
    return logits, target


def _described(value: Any) -> str:
    return f"a tensor of shape {list(value.shape)}, {value.dtype}" if hasattr(value, "shape") else type(value).__name__


def ignored_pixels_count_nowhere(subject: Subject) -> Iterator[str]:
    """Logits of ignored pixels change neither the value nor the gradient."""
    import torch

    loss, (logits, target) = _built(subject), _example()
    value = loss(logits, target)
    value.backward()
    ignored = (target == IGNORE).unsqueeze(1).expand_as(logits)
    if bool(logits.grad[ignored].any()):  # type: ignore[index]
        yield "ignored pixels have a gradient; leave out those where target == ignore_index"
    other = torch.where(ignored, logits.detach() + 5.0 * torch.arange(_CLASSES).view(1, -1, 1, 1), logits.detach())
    if not torch.allclose(loss(other, target), value, rtol=1e-6, atol=0):
        yield "logits of ignored pixels change the value; leave out those where target == ignore_index"


def nothing_valid_is_zero(subject: Subject) -> Iterator[str]:
    """A batch of ignored pixels only gives 0, and a gradient of 0."""
    import torch

    loss, (logits, target) = _built(subject), _example()
    value = loss(logits, torch.full_like(target, IGNORE))
    if value.item() != 0:
        yield f"a batch of ignored pixels only gives {value.item()}; give 0: divide by the number of valid pixels, at least 1"
    elif not value.requires_grad:
        yield "a batch of ignored pixels only gives a 0 without gradient; compute it from the logits: (logits * 0).sum()"
    else:
        value.backward()
        if logits.grad is None or bool((logits.grad != 0).any()):  # not-a-number differs from 0 too
            yield "a batch of ignored pixels only has a gradient that isn't 0; mask the pixels before dividing"


def absent_classes_are_finite(subject: Subject) -> Iterator[str]:
    """Classes that a batch, or all of training, lacks leave value and gradient finite."""
    logits, target = _example()
    target = target.masked_fill(target == 2, 0)
    for pixels, where in ((_PIXELS, "a batch"), ((900, 100, 0), "all of training")):
        value = _built(subject, pixels)(logits, target)
        logits.grad = None
        value.backward()
        if not bool(value.isfinite()) or not bool(logits.grad.isfinite().all()):  # type: ignore[attr-defined]
            yield f"a class that {where} lacks makes it not finite; guard divisions by the number of its pixels"


def falls_in_training(subject: Subject) -> Iterator[str]:
    """Following the gradient lowers it, and a right answer costs less than a wrong one."""
    import torch

    logits, target = _example()
    loss = _built(subject)
    with torch.no_grad():
        right = torch.nn.functional.one_hot(target.clamp(max=_CLASSES - 1), _CLASSES).permute(0, 3, 1, 2) * 8.0
        best, worst = float(loss(right, target)), float(loss(right.roll(1, dims=1), target))
        start = float(loss(logits, target))
    if not best < worst:
        yield f"a right answer costs {best:.4g} and a wrong one {worst:.4g}; check its sign"
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    end = float(loss(logits.detach(), target))
    if not end < start:
        yield f"doesn't fall: {start:.4g} before, {end:.4g} after {_STEPS} steps along its gradient; check its sign and graph"


CHECKS: tuple[Check, ...] = (
    is_a_finite_scalar,
    ignored_pixels_count_nowhere,
    nothing_valid_is_zero,
    absent_classes_are_finite,
    falls_in_training,
)
