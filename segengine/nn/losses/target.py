"""What losses share: which pixels are valid, and a cheap check of the target's range."""

from __future__ import annotations

from torch import Tensor


def valid_pixels(target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Which pixels count, bool [B, H, W]: True where the target is a class.

    On the CPU the range is asserted; elsewhere the look would cost a synchronisation, and mappers guarantee it.
    """
    valid = target != ignore_index
    if target.device.type == "cpu" and target.numel():
        wrong = valid & ((target < 0) | (target >= num_classes))
        assert not bool(wrong.any()), (
            f"target has values outside 0..{num_classes - 1}: {sorted(set(target[wrong].tolist()))}"
        )
    return valid


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """The sum of `values` (0 where not valid) divided by the number of valid pixels, 0 where there is none."""
    return values.sum() / valid.sum().clamp(min=1)
