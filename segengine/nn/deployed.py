"""The network for export: from stored pixels to the user's mask values, without control flow on the image size."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segengine.nn.segmenter import Segmenter


class DeployedSegmenter(nn.Module):
    """Images [B, H, W, C], H, W >= 1 -> classes uint8 [B, H, W], mask values, logits float32 [B, K, H, W].

    Images are uint8, or float32 in stored values where `windows` (low and high, once or per channel) make them 0..255.
    Mask values are uint8 [B, H, W], int32 where one is above 255, [B, H, W, 3] for colours.

    Padding repeats the last row and column by clamped indices, because tracing would fix the conditional padding of
    `Segmenter` at the example's size.
    """

    raw: Tensor

    def __init__(
        self,
        segmenter: Segmenter,
        raw: Sequence[int] | Sequence[Sequence[int]],
        windows: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        super().__init__()
        self.segmenter = _without_adaptive_pooling(copy.deepcopy(segmenter))
        table = torch.tensor(raw)
        self.register_buffer("raw", table.to(torch.uint8 if int(table.max()) < 256 else torch.int32))
        self.windowed = windows is not None
        if windows is not None:
            lows, highs = (torch.tensor(side, dtype=torch.float32) for side in zip(*windows, strict=True))
            self.register_buffer("low", lows)
            self.register_buffer("width", highs - lows)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes, mask values and logits for images of any size (see the class)."""
        height, width = image.shape[1], image.shape[2]
        logits = self._logits(self._padded(self._pixels(image)))[..., :height, :width]
        classes = logits.argmax(1)
        return classes.to(torch.uint8), self.raw[classes], logits

    def _pixels(self, image: Tensor) -> Tensor:
        """float32 [B, C, H, W], 0..255."""
        if self.windowed:
            scaled = ((image - self.low) * 255 / self.width).nan_to_num(nan=0.0)  # type: ignore[operator]
            image = scaled.clamp(0, 255).round()
        return image.permute(0, 3, 1, 2).float()

    def _padded(self, x: Tensor) -> Tensor:
        multiple, (height, width) = self.segmenter.multiple, x.shape[-2:]
        rows = torch.arange((height + multiple - 1) // multiple * multiple, device=x.device).clamp(max=height - 1)
        columns = torch.arange((width + multiple - 1) // multiple * multiple, device=x.device).clamp(max=width - 1)
        return x.index_select(2, rows).index_select(3, columns)

    def _logits(self, x: Tensor) -> Tensor:
        segmenter = self.segmenter
        normalised = (x / 255 - segmenter.mean) / segmenter.std
        logits: Tensor = segmenter.head(segmenter.decoder(segmenter.backbone(normalised))).float()
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


class MatrixPooling(nn.Module):
    """Adaptive average pooling to a fixed grid as two matrix products: [B, C, H, W] -> [B, C, rows, columns].

    Cell i of n averages the pixels from floor(i H / n) to ceil((i + 1) H / n), like torch.nn.AdaptiveAvgPool2d, for
    which ONNX has no operator with a dynamic image size.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x: Tensor) -> Tensor:
        return _cells(self.rows, x.shape[-2], x) @ x @ _cells(self.columns, x.shape[-1], x).T


def _cells(number: int, length: int, like: Tensor) -> Tensor:
    """Weights of pixels in the mean of each cell, [number, length], with the dtype of `like`."""
    cell = torch.arange(number, device=like.device)[:, None]
    pixel = torch.arange(length, device=like.device)[None]
    first, end = cell * length // number, ((cell + 1) * length + number - 1) // number
    inside = ((pixel >= first) & (pixel < end)).to(like.dtype)
    return inside / (end - first).to(like.dtype)


def _without_adaptive_pooling(module: nn.Module) -> Segmenter:
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            size = child.output_size
            rows, columns = size if isinstance(size, tuple) else (size, size)
            if rows is not None and columns is not None and (rows, columns) != (1, 1):
                setattr(module, name, MatrixPooling(int(rows), int(columns)))
        else:
            _without_adaptive_pooling(child)
    return module  # type: ignore[return-value]
