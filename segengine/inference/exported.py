"""Inference with an exported file through onnxruntime, with the same image reading as for a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segengine.building.labels import StoredMapping
from segengine.data.files.decoding import decode
from segengine.data.files.reading import AnyWindow, check_fits, to_picture
from segengine.data.files.windows import Windowing
from segengine.data.masks.mapping import Postprocess
from segengine.engine.checkpoint_hash import sha256_of
from segengine.errors import NotARunError, RunError
from segengine.inference.load import Trained, load_trained, stored_array
from segengine.inference.postprocess.record import KEY, built, spacing_of

if TYPE_CHECKING:
    from segengine_runtime import OnnxModel
    from torch import Tensor

    from segengine.data.files.stored import Stored

ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Exported:
    """A model exported by `segengine export`; same interface as `Trained`."""

    path: Path
    model: OnnxModel
    mapping: StoredMapping
    windowing: Windowing
    finish: Postprocess | None = None

    @property
    def channels(self) -> int:
        """Number of image channels."""
        return int(self.model.facts["image"]["channels"])

    def picture(self, stored: Stored, path: Path, window: AnyWindow) -> NDArray[np.uint8]:
        """As `Trained.picture`."""
        check_fits(stored, path, channels=self.channels, deep=self.windowing.common is not None)
        return to_picture(stored, path, channels=self.channels, window=window)

    def window_of(self, path: Path) -> AnyWindow:  # noqa: ARG002 (its windows don't depend on the image)
        """As `Trained.window_of`."""
        return self.windowing.common

    def identity(self) -> str:
        """sha256 of the file, and whether its post-processing is applied."""
        return sha256_of(self.path) + ("" if self.finish is None else "-postprocess")

    def for_images(self, paths: Sequence[Path]) -> Exported:  # noqa: ARG002 (its windows don't depend on other images)
        """Returns self: an exported file has no windows per group."""
        return self

    def for_single_images(self) -> Exported:
        """Returns self: an exported file has no windows per group."""
        return self

    def read_with_missing(
        self, path: Path, content: bytes | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """As `Trained.read_with_missing`."""
        stored = decode(path, content)
        return self.picture(stored, path, self.windowing.common), stored.missing

    def from_array(self, values: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """As `Trained.from_array`."""
        return stored_array(values, channels=self.channels, window=self.windowing.common)

    def classes(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices uint8 [H, W] of an image uint8 [H, W, C], after the recorded post-processing."""
        return self.finished(self.model.classes(self._stored(image)))

    def finished(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As `Trained.finished`."""
        return classes if self.finish is None else self.finish(classes)

    def probabilities_of(self, images: Tensor) -> Tensor:
        """Class probabilities float32 [B, K, h, w] on the CPU of images uint8 [B, C, h, w], in one pass."""
        import torch

        pixels = self._stored(images.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        return torch.from_numpy(self.model.probabilities_of_batch(pixels))

    def classes_of_batch(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """As `Trained.classes_of_batch`."""
        found = self.model.classes_of_batch([self._stored(image) for image in images])
        return found if self.finish is None else np.stack([self.finish(each) for each in found])

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities float32 [K, H, W] of an image uint8 [H, W, C]."""
        return self.model.probabilities(self._stored(image))

    def _stored(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """Stored values that the graph's windows map back to exactly this image."""
        common = self.windowing.common
        if common is None or isinstance(common, str):
            return image
        low, high = (np.array(side) for side in zip(*common, strict=True))
        return np.asarray(low + image * ((high - low) / 255.0), dtype=np.float32)


def load_exported(path: Path, *, postprocess: bool = True) -> Exported:
    """Read an .onnx file. `postprocess`: apply the steps that it records.

    Raises:
        NotARunError: there is no such file.
        RunError: invalid file, or onnxruntime isn't installed.
    """
    from segengine_runtime import ModelError, load

    try:
        model = load(path)
    except ModelError as error:
        raise (RunError if path.exists() else NotARunError)(str(error)) from error
    recorded = model.facts.get(KEY) if postprocess else None
    finish = None
    if recorded:
        names = [label.name for label in model.labels]
        finish = built(recorded["steps"], classes=names, spacing=spacing_of({"evaluation": recorded}))
    return Exported(path, model, StoredMapping(model.facts), Windowing.from_record(model.facts["image"]), finish)


def load_any(path: Path, device: str = "auto", *, postprocess: bool = True) -> Trained | Exported:
    """The model of a run folder, or of an .onnx file. `postprocess`: apply recorded steps.

    Raises:
        RunError: not a run folder or .onnx file, or training isn't finished.
    """
    if path.suffix == ONNX_SUFFIX and not path.is_dir():
        return load_exported(path, postprocess=postprocess)
    return load_trained(path, device, postprocess=postprocess)
