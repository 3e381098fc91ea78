"""Number of parameters and of multiply-accumulate operations (torch's FlopCounterMode)."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def macs(model: nn.Module, channels: int, height: int, width: int) -> int:
    """Multiply-accumulates of the forward pass of one image, counting convolutions and matrix products only."""
    device = next(model.parameters()).device
    image = torch.zeros(1, channels, height, width, dtype=torch.uint8, device=device)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        model.train(was_training)
    return int(counter.get_total_flops()) // 2
