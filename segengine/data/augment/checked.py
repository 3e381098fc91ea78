"""Transforms of plugins that check every result: dtype, shape and size, and errors with the plugin's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from segengine.data.augment.geometry import Geometry
from segengine.data.augment.transforms import (
    BatchTransform,
    GeometricTransform,
    Image,
    Levels,
    LevelTransform,
    Mask,
    PixelTransform,
    RareCentred,
)
from segengine.errors import RunError, SegengineError

if TYPE_CHECKING:
    from torch import Tensor

Raised = Callable[[BaseException], str]


def checked_transform(transform: object, what: str, raised: Raised) -> Any:
    """The transform with checks; `what` names it and `raised` describes an exception in messages.

    Raises:
        RunError: the object is not a transform.
    """
    kinds: tuple[tuple[type, type[_Checked]], ...] = (
        (BatchTransform, _Batch), (RareCentred, _Rare), (GeometricTransform, _Geometric), (LevelTransform, _Levels),
        (PixelTransform, _Pixels),
    )  # fmt: skip
    for protocol, checked in kinds:
        if isinstance(transform, protocol):
            size: object = getattr(transform, "size", None)
            if size is not None and not _is_size(size):
                raise RunError(f"{what}: `size` is {size!r}; use (height, width) of the result, or None if it varies")
            return checked(transform, what, raised)
    raise RunError(
        f"{what}: build() returns {type(transform).__name__}; return a transform with `size` and apply(image, mask, rng), "
        "draw(rng, height, width) or apply_batch(images, masks, rng)"
    )


def _is_size(size: object) -> bool:
    return isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)


class _Checked:
    """Delegates all attributes to `inner`."""

    def __init__(self, inner: Any, what: str, raised: Raised) -> None:
        self.inner, self.what, self._raised = inner, what, raised

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the result in pixels, None if they vary."""
        size = self.inner.size
        return None if size is None else (int(size[0]), int(size[1]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("inner", "what", "_raised"):  # not set yet while unpickling
            raise AttributeError(name)
        return getattr(self.inner, name)

    def called(self, method: str, *arguments: Any) -> Any:
        """The result of a method of the plugin's transform."""
        try:
            return getattr(self.inner, method)(*arguments)
        except SegengineError:
            raise
        except Exception as error:
            raise RunError(f"{self.what}: {method}() raises {self._raised(error)}") from error

    def refuse(self, problem: str) -> None:
        """Raise RunError for a violated contract."""
        if problem:
            raise RunError(f"{self.what}: {problem}")


class _Pixels(_Checked):
    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        result = self.called("apply", image, mask, rng)
        self.refuse(pair_problem(result, image.shape[2], self.size))
        return result[0], result[1]


class _Levels(_Pixels):
    def draw_levels(self, rng: np.random.Generator) -> Levels | None:
        levels = self.called("draw_levels", rng)
        if levels is not None and not isinstance(levels, Levels):
            self.refuse(f"draw_levels() returns {type(levels).__name__}; return Levels, or None for no change")
        return levels  # type: ignore[no-any-return]


class _Geometric(_Checked):
    def draw(self, rng: np.random.Generator, height: int, width: int) -> Geometry:
        return self._geometry("draw", rng, height, width)

    def _geometry(self, method: str, *arguments: Any) -> Geometry:
        geometry = self.called(method, *arguments)
        if not isinstance(geometry, Geometry):
            self.refuse(f"{method}() returns {type(geometry).__name__}; return a segengine.plugin.Geometry")
        if self.size is not None and (geometry.height, geometry.width) != self.size:
            self.refuse(
                f"{method}() returns {geometry.height}x{geometry.width} pixels, `size` declares {_by(self.size)}"
            )
        return geometry  # type: ignore[no-any-return]


class _Rare(_Geometric):
    def draw_about(self, rng: np.random.Generator, height: int, width: int, row: float, column: float) -> Geometry:
        return self._geometry("draw_about", rng, height, width, row, column)

    @property
    def rare_share(self) -> float:
        return float(self.inner.rare_share)


class _Batch(_Checked):
    def apply_batch(self, images: Tensor, masks: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        result = self.called("apply_batch", images, masks, rng)
        if not isinstance(result, tuple) or len(result) != 2:
            self.refuse("apply_batch() returns no pair; return images and masks")
        for name, given, wanted in (("images", result[0], images), ("masks", result[1], masks)):
            if given.dtype != wanted.dtype or given.shape != wanted.shape:
                self.refuse(
                    f"apply_batch() returns {name} {given.dtype} {list(given.shape)} for {wanted.dtype} {list(wanted.shape)}; "
                    "keep dtype and shape"
                )
        return result  # type: ignore[no-any-return]


def pair_problem(result: object, channels: int, size: tuple[int, int] | None) -> str:
    """Problem of an augmented image and mask, '' if there is none."""
    if not isinstance(result, tuple) or len(result) != 2:
        return "apply() returns no pair; return image and mask"
    image, mask = result
    if not isinstance(image, np.ndarray) or not isinstance(mask, np.ndarray):
        return "apply() returns no arrays; return numpy arrays"
    if image.dtype != np.uint8 or mask.dtype != np.uint8:
        return f"returns an image of {image.dtype} and a mask of {mask.dtype}; return uint8, clipped to 0..255"
    if image.ndim != 3 or image.shape[2] != channels or mask.ndim != 2:
        return f"returns shapes {list(image.shape)} and {list(mask.shape)}; return [H, W, {channels}] and [H, W]"
    if image.shape[:2] != mask.shape:
        return f"returns an image of {_by(image.shape)} and a mask of {_by(mask.shape)} pixels; transform both in the same way"
    if size is not None and mask.shape != size:
        return f"returns {_by(mask.shape)} pixels, `size` declares {_by(size)}; declare None if the size varies"
    return ""


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
