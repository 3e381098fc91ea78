"""Wraps any albumentations transform as a pixel transform with checked parameters, our seeds and exact masks.

albumentations 2.0 only warns about unknown parameters, fills masks with 0 (the first class), draws from its own
generator, which is identical in all workers, and checks the network for updates unless disabled.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel, ValidationError

from segengine.data.augment.transforms import IGNORE, Image, Mask
from segengine.errors import DataError, SpecError
from segengine.registry import suggest

_NEAREST, _NEAREST_EXACT = 0, 6  # OpenCV's constants; exact is pixel-centred and available for resizing only
_PROBES = ((96, 128), (128, 96), (160, 160))
_LARGE = 16  # probe enlargement for transforms that require larger images
_PROBED_CLASSES = (0, 200)


class AlbumentationsTransform:
    """A `PixelTransform` around one albumentations transform."""

    def __init__(self, name: str, parameters: Mapping[str, Any], *, size: tuple[int, int] | None = None) -> None:
        """The transform `name` with its own `parameters`, for samples of `size` (height, width), None if sizes vary.

        Masks are filled with 255 unless `parameters` say `fill_mask`, and never interpolated. The transform is tried
        on small images, to report invalid settings before any data is read.

        Raises:
            SpecError: no such transform, an invalid parameter, or a transform that is unsuitable for segmentation.
        """
        self.name = name
        known = _known_parameters(name)
        _check_names(name, parameters, known)
        complete = _safe_for_masks(name, parameters, known)
        self._compose = _compose(name, complete)
        always = _compose(name, {**complete, "p": 1.0})
        filled = {
            *_PROBED_CLASSES,
            IGNORE,
            *_numbers(complete.get("fill_mask")),
            *_numbers(complete.get("mask_drop_value")),
        }
        sizes = _probed_sizes(name, always, filled, _PROBES if size is None else (size,))
        self.size = _size_after(sizes, size, certain=complete.get("p", known["p"]) == 1)

    def apply(self, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
        """The transformed image and mask.

        Raises:
            DataError: albumentations fails on this image.
        """
        try:
            return _run(self._compose, image, mask, int(rng.integers(2**32)))
        except Exception as error:
            raise DataError(
                f"albumentations transform '{self.name}' fails on an image of shape {image.shape} "
                f"(height, width, channels): {_line(error)}; change its parameters or remove it"
            ) from error


def _run(compose: Any, image: Image, mask: Mask, seed: int) -> tuple[Image, Mask]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compose.set_random_seed(seed)
        # Copies, because some transforms modify their input.
        changed = compose(image=image.copy(), mask=mask.copy())
    return changed["image"], changed["mask"]


@cache
def _library() -> ModuleType:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations
    library: ModuleType = albumentations
    return library


@cache
def _transforms() -> dict[str, Any]:
    """All image transforms by name."""
    library = _library()
    abstract = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D", "Lambda"}
    return {
        name: found
        for name, found in vars(library).items()
        if isinstance(found, type)
        and issubclass(found, library.BasicTransform)
        and not issubclass(found, library.Transform3D)
        and name not in abstract
    }


def _known_parameters(name: str) -> dict[str, Any]:
    """The parameters of a transform with their defaults (`inspect.Parameter.empty` for none)."""
    if name not in _transforms():
        near = suggest(name, _transforms()) or "see albumentations' documentation for its names"
        raise SpecError(f"albumentations {_library().__version__} has no transform '{name}'; {near}")
    parameters = inspect.signature(_transforms()[name].__init__).parameters.values()
    named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return {p.name: p.default for p in named if p.name not in ("self", "strict")}


def _check_names(name: str, parameters: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for given in parameters:
        if given not in known:
            near = suggest(given, known)
            raise SpecError(
                f"albumentations transform '{name}' has no parameter '{given}'; {near + ' ' if near else ''}"
                f"its parameters are {', '.join(sorted(known))}"
            )


def _safe_for_masks(name: str, parameters: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with mask fill 255 instead of 0, and nearest-neighbour mask interpolation."""
    safe = dict(parameters)
    if known.get("fill_mask") is not None:  # None for dropouts, which don't change the mask
        safe.setdefault("fill_mask", IGNORE)
    if "mask_interpolation" not in known:
        return safe
    if parameters.get("mask_interpolation", _NEAREST) not in (_NEAREST, _NEAREST_EXACT):
        raise SpecError(
            f"albumentations transform '{name}' would mix classes with mask_interpolation "
            f"{parameters['mask_interpolation']}; remove it: masks are resampled by nearest neighbour"
        )
    if "mask_interpolation" not in parameters:
        schema: type[BaseModel] = _transforms()[name].InitSchema
        centred = _NEAREST_EXACT in get_args(schema.model_fields["mask_interpolation"].annotation)
        safe["mask_interpolation"] = _NEAREST_EXACT if centred else _NEAREST
    return safe


def _compose(name: str, parameters: Mapping[str, Any]) -> Any:
    cls = _transforms()[name]
    initialised = next(base for base in cls.__mro__ if "__init__" in vars(base))
    # Unless strict, a validator that fails with anything but ValidationError keeps the defaults.
    strict = {"strict": True} if "InitSchema" in vars(initialised) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _library().Compose([cls(**parameters, **strict)])
        except Exception as error:
            cause = error.__cause__
            found = cause.errors() if isinstance(cause, ValidationError) else [{"loc": (), "msg": error}]
            raise SpecError(f"albumentations transform '{name}': {'; '.join(map(_problem_of, found))}") from error


def _problem_of(error: Mapping[str, Any]) -> str:
    message = _line(error["msg"]).removeprefix("Value error, ")
    return ": ".join(filter(None, [".".join(map(str, error["loc"])), message]))


def _probed_sizes(
    name: str, compose: Any, classes: set[float], sizes: Sequence[tuple[int, int]]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Sizes before and after the transform for random probe images.

    Raises:
        SpecError: it fails, or its output is unsuitable for training.
    """
    rng = np.random.default_rng(0)
    before_and_after = []
    for height, width in sizes:
        for seed in range(3):
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            mask = np.full((height, width), _PROBED_CLASSES[0], np.uint8)
            mask[height // 4 : height // 2, width // 4 :] = _PROBED_CLASSES[1]
            try:
                changed, classified = _run(compose, image, mask, seed)
            except Exception as error:
                if max(height, width) < 1000:  # possibly a crop larger than the probe
                    return _probed_sizes(name, compose, classes, [(h * _LARGE, w * _LARGE) for h, w in sizes])
                raise SpecError(
                    f"albumentations transform '{name}' fails on an image of {width}x{height} pixels: {_line(error)}"
                ) from error
            problem = _problem(changed, classified, classes)
            if problem:
                raise SpecError(f"albumentations transform '{name}' can't be used: {problem}")
            before_and_after.append(((height, width), (classified.shape[0], classified.shape[1])))
    return before_and_after


def _problem(image: Any, mask: Any, classes: set[float]) -> str:
    if getattr(image, "dtype", None) != np.uint8 or getattr(mask, "dtype", None) != np.uint8:
        return "its output is not 8-bit (the model normalises its input itself)"
    if image.ndim != 3 or image.shape[2] != 3:
        return f"its output has shape {image.shape} for an input with 3 channels"
    if image.shape[:2] != mask.shape:
        return f"its output has an image of shape {image.shape} and a mask of shape {mask.shape}"
    invented = sorted(set(np.unique(mask).tolist()) - classes)
    return f"it adds new values to masks: {invented[:5]}" if invented else ""


def _size_after(
    probed: Sequence[tuple[tuple[int, int], tuple[int, int]]], size: tuple[int, int] | None, *, certain: bool
) -> tuple[int, int] | None:
    if all(before == after for before, after in probed):
        return size
    after = {after for _, after in probed}
    return after.pop() if certain and len(after) == 1 else None


def _numbers(value: Any) -> list[float]:
    return [] if value is None else list(np.ravel(value))


def _line(message: object) -> str:
    return " ".join(str(message).split()) or type(message).__name__
