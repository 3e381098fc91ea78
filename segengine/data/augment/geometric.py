"""Built-in geometric transforms; each samples one affine map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from segengine.data.augment.geometry import Geometry, cropped, flipped, identity, resized, rotated

Size = tuple[int, int]


@dataclass(frozen=True)
class MultiScale:
    """Rescales the longer side to `base_size` times a factor drawn from `scale`, then takes a window of `size`.

    The aspect ratio is kept. If the rescaled image is smaller than the window, it is placed at random in it and padded
    (255 in the mask). `attempts`: maximum number of draws until the window has a valid pixel; `rare_share`: fraction of
    samples whose window is centred on a pixel of a uniformly drawn class (see `RareCentred`).
    """

    base_size: int
    scale: tuple[float, float]
    size: Size
    attempts: int = 10
    rare_share: float = 0.0

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        scaled = self._scaled(rng, height, width)
        return resized(height, width, to=scaled).then(_random_window(rng, scaled, self.size))

    def draw_about(self, rng: np.random.Generator, height: int, width: int, row: float, column: float) -> Geometry:
        scaled = self._scaled(rng, height, width)
        row, column = (row + 0.5) * scaled[0] / height - 0.5, (column + 0.5) * scaled[1] / width - 0.5
        return resized(height, width, to=scaled).then(_window_about(row, column, scaled, self.size))

    def _scaled(self, rng: np.random.Generator, height: int, width: int) -> Size:
        factor = self.base_size * rng.uniform(*self.scale) / max(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))


@dataclass(frozen=True)
class Flip:
    """Flips horizontally and vertically, each with its own probability."""

    horizontal: float
    vertical: float
    size: Size | None = None

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        horizontal, vertical = rng.random(2) < (self.horizontal, self.vertical)
        return flipped(height, width, horizontal=bool(horizontal), vertical=bool(vertical))


@dataclass(frozen=True)
class Rotate:
    """Rotates about the centre by an angle drawn from `degrees` (low, high; counter-clockwise); keeps the size."""

    degrees: tuple[float, float]
    probability: float = 1.0
    size: Size | None = None

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        chance, angle = rng.random(), rng.uniform(*self.degrees)
        return rotated(height, width, degrees=angle) if chance < self.probability else identity(height, width)


@dataclass(frozen=True)
class Crop:
    """Crops a window of `size`, at random or in the centre; a smaller image is padded.

    `attempts`: maximum number of draws until a random window has a valid pixel; `rare_share`: fraction of samples whose
    window is centred on a pixel of a uniformly drawn class (see `RareCentred`).
    """

    size: Size
    position: Literal["random", "centre"] = "random"
    attempts: int = 10
    rare_share: float = 0.0

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        if self.position == "random":
            return _random_window(rng, (height, width), self.size)
        return cropped((height - self.size[0]) // 2, (width - self.size[1]) // 2, to=self.size)

    def draw_about(self, rng: np.random.Generator, height: int, width: int, row: float, column: float) -> Geometry:  # noqa: ARG002
        return _window_about(row, column, (height, width), self.size)


def _random_window(rng: np.random.Generator, available: Size, size: Size) -> Geometry:
    """A random window inside the image, or the image at random inside a larger window, per axis."""
    spare = available[0] - size[0], available[1] - size[1]
    low, high = [min(n, 0) for n in spare], [max(n, 0) for n in spare]
    top, left = rng.integers(low, high, endpoint=True).tolist()
    return cropped(top, left, to=size)


def _window_about(row: float, column: float, available: Size, size: Size) -> Geometry:
    """The window centred on (row, column), shifted minimally into the range of random windows."""
    spare = np.subtract(available, size)
    wanted = np.rint((row - (size[0] - 1) / 2, column - (size[1] - 1) / 2)).astype(np.int64)
    top, left = np.clip(wanted, np.minimum(spare, 0), np.maximum(spare, 0)).tolist()
    return cropped(top, left, to=size)
