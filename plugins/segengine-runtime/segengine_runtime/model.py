"""An exported model: an ONNX file, executed by onnxruntime."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine_runtime.errors import ModelError
from segengine_runtime.images import prepared, read, through_image_window
from segengine_runtime.predicting import Predicting
from segengine_runtime.prediction import Encoding, Label, Prediction, encoding_of, labels_of, raw_table
from segengine_runtime.tiles import Floats, tiled_probabilities

METADATA_KEY = "segengine"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class OnnxModel(Predicting):
    """A segmentation model from an ONNX file.

    Attributes:
        facts: metadata of the file: classes, provenance, scores, parity report.
        tile, overlap: side of tiles in pixels and the fraction by which they overlap, for images above `largest_pass` pixels.
        largest_pixels: images with more pixels, according to their header, are rejected before decoding.
        raw: value in mask files of each class index, [256] or [256, 3].
    """

    path: Path
    session: Any
    facts: Mapping[str, Any]
    labels: tuple[Label, ...]
    encoding: Encoding
    tile: int = 1024
    overlap: float = 0.5
    largest_pass: int = 2048 * 2048
    largest_pixels: int = 2**28
    raw: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names by index."""
        return tuple(label.name for label in self.labels)

    def predict_image(self, image: Path | NDArray[Any], *, flips: bool) -> Prediction:
        """Predict one image; see `predict`. Raises ModelError."""
        source = None if isinstance(image, np.ndarray) else image
        values = image if isinstance(image, np.ndarray) else read(image, self.largest_pixels)
        pixels = self._prepared(values, source or "the array")
        classes = self.classes(pixels, flips=flips)
        seen = pixels if pixels.dtype == np.uint8 else through_image_window(pixels)
        return Prediction(
            self.raw[classes], classes, seen, self.labels, self.encoding, source,
            partial(self.probabilities, pixels, flips=flips),
        )  # fmt: skip

    def probabilities(self, pixels: NDArray[Any], *, flips: bool = False) -> Floats:
        """Class probabilities float32 [K, H, W] of pixels [H, W, C] in the dtype of the network's input."""
        return np.concatenate(list(self._bands(pixels, flips=flips)), axis=1)

    def _prepared(self, values: NDArray[Any], where: str | os.PathLike[str]) -> NDArray[Any]:
        window = self.facts["image"]["window"]
        pixels = prepared(values, where, channels=self.facts["image"]["channels"], deep=window is not None)
        if window == "per-image":
            return through_image_window(pixels)
        return np.ascontiguousarray(pixels, dtype=np.uint8 if window is None else np.float32)

    def classes(self, pixels: NDArray[Any], *, flips: bool = False) -> NDArray[np.uint8]:
        """Class indices uint8 [H, W] of pixels [H, W, C] in the dtype of the network's input."""
        if not flips and not self._large(pixels):
            return np.asarray(self.session.run(["classes"], {"image": pixels[None]})[0][0])
        bands = self._bands(pixels, flips=flips)
        return np.concatenate([band.argmax(0).astype(np.uint8) for band in bands])

    def classes_of_batch(self, images: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
        """Class indices uint8 [B, H, W] of images [H, W, C] of one size, in one pass unless they are predicted in tiles."""
        if self._large(images[0]):
            return np.stack([self.classes(image) for image in images])
        return np.asarray(self.session.run(["classes"], {"image": np.stack(images)})[0])

    def _large(self, pixels: NDArray[Any]) -> bool:
        return bool(pixels.shape[0] * pixels.shape[1] > self.largest_pass)

    def _bands(self, pixels: NDArray[Any], *, flips: bool) -> Iterator[Floats]:
        once = self._flipped_mean if flips else self._once
        if self._large(pixels):
            yield from tiled_probabilities(once, pixels, self.tile, self.overlap)
        else:
            yield once(pixels)

    def _once(self, pixels: NDArray[Any]) -> Floats:
        return np.asarray(self.probabilities_of_batch(np.ascontiguousarray(pixels)[None])[0])

    def probabilities_of_batch(self, pixels: NDArray[Any]) -> Floats:
        """Class probabilities float32 [B, K, H, W] of pixels [B, H, W, C] in the dtype that the network takes, in one pass."""
        logits = self.session.run(["logits"], {"image": pixels})[0]
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), dtype=np.float32)

    def _flipped_mean(self, pixels: NDArray[Any]) -> Floats:
        mean = self._once(pixels)
        for axes in ((0,), (1,), (0, 1)):
            mean += np.flip(self._once(np.flip(pixels, axes)), tuple(axis + 1 for axis in axes))
        return np.asarray(mean / 4, dtype=np.float32)


def load(path: str | os.PathLike[str], *, threads: int | None = None) -> OnnxModel:
    """Load a model exported by `segengine export`.

    Args:
        path: the ONNX file.
        threads: number of CPU threads; None: onnxruntime's default.

    Raises:
        ModelError: the file does not exist, was not exported by segengine or has a newer format, or onnxruntime is missing.
    """
    file = Path(path)
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(f"{file}: onnxruntime is required; pip install onnxruntime") from None
    if not file.is_file():
        raise ModelError(f"{file}: no such file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=onnxruntime.get_available_providers())
        facts = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        if facts["format"] != FORMAT:
            raise ModelError(
                f"{file}: has format {facts['format']}, but this package supports format {FORMAT}; upgrade segengine-runtime"
            )
        labels, encoding = labels_of(facts["labels"]), encoding_of(facts["masks"])
    except KeyError as error:
        raise ModelError(f"{file}: not exported by segengine (no {error} in its metadata)") from None
    except ModelError:
        raise
    except Exception as error:  # onnxruntime raises one exception type per status
        raise ModelError(
            f"{file}: not a readable ONNX model, it is damaged or incomplete; export it again, or copy it again"
        ) from error
    return OnnxModel(file, session, facts, labels, encoding, raw=raw_table(labels, facts["ignored"], encoding))
