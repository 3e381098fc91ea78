"""Test-time augmentation: class probabilities averaged over flipped, rotated and scaled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segengine.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SCALE, LARGEST_SCALE = 0.1, 10.0


@dataclass(frozen=True)
class Views:
    """The transformed copies of an image whose probabilities are averaged.

    `flips`: also mirrored left to right, top to bottom, and both. `rotations`: also rotated by 90, 180 and 270 degrees; both
    together are the eight symmetries of a square. `scales`: factors of height and width; 1 is the image itself.
    """

    flips: bool = False
    rotations: bool = False
    scales: tuple[float, ...] = (1.0,)

    @classmethod
    def parse(cls, text: str) -> Views:
        """Read `flips,rotations,scale=0.75,1,1.25`; '' or `none` is the image alone.

        Raises:
            SpecError: an unknown word, or a scale outside 0.1 to 10.
        """
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        words = [] if words == ["none"] else words
        scales: list[float] | None = None
        for place, word in enumerate(words):
            number = word.removeprefix("scales=").removeprefix("scale=")
            if number == word and (scales is None or word in ("flips", "rotations")):
                if word not in ("flips", "rotations"):
                    raise SpecError(f"--tta {text}: '{word}' is unknown; write flips, rotations, scale=0.75,1,1.25")
                continue
            scales = [*(scales or []), _scale(text, number, place)]
        return cls("flips" in words, "rotations" in words, tuple(dict.fromkeys(scales or [1.0])))

    @property
    def plain(self) -> bool:
        """Whether the image itself is the only view."""
        return len(self) == 1 and self.scales == (1.0,)

    def __len__(self) -> int:
        """Number of views, and so of forward passes per image."""
        return len(list(self._symmetries())) * len(self.scales)

    def as_record(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {"flips": self.flips, "rotations": self.rotations, "scales": list(self.scales)}

    def mean(self, outputs_of: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """The mean float32 [B, M, H, W] of `outputs_of` over the views of images uint8 [B, C, H, W].

        `outputs_of` maps [B, C, h, w] to [B, M, h, w]. Flips and rotations are inverted exactly; scaled outputs are resampled
        bilinearly to the images' size.
        """
        if self.plain:
            return outputs_of(images)
        height, width = images.shape[-2:]
        total: Tensor | None = None
        for scale in self.scales:
            scaled = images if scale == 1 else _resized_pixels(images, scale)
            for turns, mirrored in self._symmetries():
                view = _undone(outputs_of(_transformed(scaled, turns, mirrored=mirrored)), turns, mirrored=mirrored)
                if view.shape[-2:] != (height, width):
                    view = _resized(view, height, width)
                total = view.float() if total is None else total + view
        assert total is not None
        return total / len(self)

    def _symmetries(self) -> Iterator[tuple[int, bool]]:
        """Quarter turns, and whether the result is mirrored left to right."""
        for turns in range(4):
            for mirrored in (False, True):
                rotated, flipped = self.rotations and not mirrored, self.flips and (turns, mirrored) in _FLIPS
                if (turns, mirrored) == (0, False) or rotated or flipped or (self.rotations and self.flips):
                    yield turns, mirrored


_FLIPS = ((0, True), (2, False), (2, True))
"""Left to right; both; top to bottom, as half a turn mirrored left to right."""


def _scale(text: str, word: str, place: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not SMALLEST_SCALE <= value <= LARGEST_SCALE:
        raise SpecError(
            f"--tta {text}: '{word}' (word {place + 1}) is no scale from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}; "
            "write flips, rotations, scale=0.75,1,1.25"
        )
    return value


def _transformed(images: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    turned = images.rot90(turns, (-2, -1))
    return turned.flip(-1) if mirrored else turned


def _undone(outputs: Tensor, turns: int, *, mirrored: bool) -> Tensor:
    """Inverse of `_transformed`."""
    return (outputs.flip(-1) if mirrored else outputs).rot90(-turns, (-2, -1))


def _resized_pixels(images: Tensor, scale: float) -> Tensor:
    """Images uint8 [B, C, H, W] scaled with antialiasing, rounded to uint8."""
    import torch

    height, width = (max(1, round(side * scale)) for side in images.shape[-2:])
    return _resized(images.float(), height, width).round().clamp(0, 255).to(torch.uint8)


def _resized(values: Tensor, height: int, width: int) -> Tensor:
    from torch.nn.functional import interpolate

    shrinks = height < values.shape[-2] or width < values.shape[-1]
    return interpolate(values, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)
