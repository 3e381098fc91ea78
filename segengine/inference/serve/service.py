"""The served model: images from bytes, inference on batches, facts about the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.formats import UnknownFormatError
from segengine.data.files.limits import ImageTooLargeError, at_most_pixels
from segengine.data.masks.mapping import IGNORE
from segengine.errors import DataError
from segengine.inference.exported import Exported
from segengine.inference.load import Trained
from segengine.inference.serve.batching import Inferred
from segengine.inference.serve.limits import RefusedError

MOST_PROBABILITIES = 2**26
"""Maximum classes x height x width of an image whose probabilities are computed: 256 MiB as float32."""
_SHOWN_SIDE, _SHOWN_VALUES = 512, 2**21


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded upload: uint8 [H, W, C], and pixels without measurement as bool [H, W] or None."""

    pixels: NDArray[np.uint8]
    missing: NDArray[np.bool_] | None

    @property
    def size_bytes(self) -> int:
        """Size in memory, together with its class indices."""
        height, width = map(int, self.pixels.shape[:2])
        missing = 0 if self.missing is None else height * width
        return int(self.pixels.nbytes) + height * width + missing


@dataclass(frozen=True, eq=False)
class Service:
    """A trained model as the server uses it."""

    trained: Trained | Exported
    name: str

    def read(self, name: str, content: bytes, *, most_pixels: int) -> Picture:
        """Decode an uploaded file as `predict` reads it.

        Raises:
            RefusedError: 413 (too many pixels), 415 (not an image), 422 (damaged, or unsuitable for the model).
        """
        try:
            with at_most_pixels(most_pixels):
                return Picture(*self.trained.read_with_missing(Path(name), content))
        except ImageTooLargeError as error:
            raise RefusedError(413, "too-many-pixels", str(error)) from error
        except UnknownFormatError as error:
            raise RefusedError(415, "unknown-format", str(error)) from error
        except DataError as error:
            raise RefusedError(422, "unusable-image", str(error)) from error

    def infer(self, images: Sequence[NDArray[np.uint8]], probabilities: bool) -> list[Inferred]:
        """Results of images uint8 [H, W, C] of one size."""
        height, width = images[0].shape[:2]
        if not probabilities or len(self.trained.mapping.labels) * height * width > MOST_PROBABILITIES:
            return [Inferred(classes) for classes in self.trained.classes_of_batch(images)]
        found = []
        for image in images:
            full = self.trained.probabilities(image)
            classes = self.trained.finished(full.argmax(0).astype(np.uint8))
            found.append(Inferred(classes, reduced(full)))
        return found

    def finished(self, inferred: Inferred, picture: Picture) -> NDArray[np.uint8]:
        """Final class indices uint8 [H, W]: pixels without measurement are ignored."""
        if picture.missing is None:
            return inferred.classes
        return np.asarray(np.where(picture.missing, np.uint8(IGNORE), inferred.classes))

    @property
    def classes(self) -> list[dict[str, Any]]:
        """The classes as JSON: index, name, value in masks, colour as red, green, blue."""
        return [
            {
                "index": label.index,
                "name": label.name,
                "value": list(label.raw) if isinstance(label.raw, tuple) else int(label.raw),
                "colour": list(label.colour),
            }
            for label in self.trained.mapping.labels
        ]


def reduced(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities float32 [K, H, W] as uint8 [K, h, w] (255 is 1), area-averaged to at most 512 pixels a side."""
    import cv2

    count, height, width = probabilities.shape
    scale = min(1.0, _SHOWN_SIDE / max(height, width), (_SHOWN_VALUES / probabilities.size) ** 0.5)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in probabilities]
    shown = np.rint(np.clip(np.stack(planes), 0, 1) * 255).astype(np.uint8)
    return np.asarray(shown.reshape(count, size[1], size[0]))
