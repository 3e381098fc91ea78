"""The arguments of `predict`, for every kind of model: one image, or a list of images."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from segengine_runtime.prediction import Prediction

Source = str | os.PathLike[str] | NDArray[Any]


class Predicting(ABC):
    """A model that predicts images; subclasses define `predict_image`."""

    @overload
    def predict(self, image: Source, *, flips: bool = False) -> Prediction: ...
    @overload
    def predict(self, image: list[Any] | tuple[Any, ...], *, flips: bool = False) -> list[Prediction]: ...
    def predict(
        self, image: Source | list[Any] | tuple[Any, ...], *, flips: bool = False
    ) -> Prediction | list[Prediction]:
        """Predict an image file, an array [H, W] or [H, W, C] in stored values, or each of a list of these.

        `flips` averages the class probabilities of the image and its three mirror images.

        Raises:
            ModelError or DataError: unreadable image, or one that doesn't match the model.
        """
        if isinstance(image, list | tuple):
            return [self.predict(each, flips=flips) for each in image]
        return self.predict_image(image if isinstance(image, np.ndarray) else Path(os.fspath(image)), flips=flips)

    @abstractmethod
    def predict_image(self, image: Path | NDArray[Any], *, flips: bool) -> Prediction:
        """Predict one image."""
