"""Python interface to a trained model, from a run folder or an exported file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from segengine_runtime import Encoding, Label, Prediction
from segengine_runtime.prediction import IGNORE

from segengine.errors import DataError, RunError
from segengine.inference import tta
from segengine.inference.exported import Exported, load_any
from segengine.inference.load import Trained

Source = str | os.PathLike[str] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model. `path`: its run folder or exported file."""

    path: Path
    trained: Trained | Exported

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes with name, mask value and colour."""
        return tuple(Label(each.index, each.name, each.raw, each.colour) for each in self.trained.mapping.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names by index."""
        return tuple(label.name for label in self.labels)

    @property
    def encoding(self) -> Encoding:
        """How mask files store their values."""
        encoding = self.trained.mapping.encoding
        return Encoding(encoding.kind, encoding.bits, encoding.suffix, encoding.palette)

    @overload
    def predict(self, image: Source, *, flips: bool = False) -> Prediction: ...
    @overload
    def predict(self, image: list[Any] | tuple[Any, ...], *, flips: bool = False) -> list[Prediction]: ...
    def predict(
        self, image: Source | list[Any] | tuple[Any, ...], *, flips: bool = False
    ) -> Prediction | list[Prediction]:
        """Predict an image file, an array [H, W] or [H, W, C] in stored values, or each of a list of these.

        `flips` averages the class probabilities of the image and its three mirror images. Pixels without measurement
        (NaN, nodata) get the masks' ignored value.

        Raises:
            DataError: unreadable image, or one that doesn't match the model.
        """
        if isinstance(image, list | tuple):
            return [self.predict(each, flips=flips) for each in image]
        if isinstance(image, np.ndarray):
            source = None
            pixels, missing = self.trained.from_array(image)
        else:
            source = Path(os.fspath(image))
            pixels, missing = self.trained.for_images([source]).read_with_missing(source)
        probabilities = partial(tta.probabilities, self.trained, pixels, flips=flips)
        classes = tta.classes(self.trained, pixels, flips=flips)
        if missing is not None:
            classes = np.where(missing, np.uint8(IGNORE), classes)
        mask = self.trained.mapping.to_raw(classes)
        return Prediction(mask, classes, pixels, self.labels, self.encoding, source, probabilities)

    def predict_folder(
        self,
        images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        out: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        flips: bool = False,
    ) -> list[Path]:
        """Predict image files and folders, write masks below `out` under the images' names, and list these files.

        As with the command, files that this model wrote for the same images are complete and stay, and other existing files
        are replaced only with `overwrite`.

        Raises:
            DataError: missing path, or an existing file, before anything is predicted; unreadable images, after all others
                were predicted.
        """
        from segengine.inference.predict.files import predict_files
        from segengine.inference.predict.inputs import images_in

        given = [images] if isinstance(images, str | os.PathLike) else list(images)
        found = images_in([Path(path) for path in given], Path(out))
        done = list(predict_files(self.trained, found, Path(out), flips=flips, overwrite=overwrite))
        if problems := [each.problem for each in done if each.problem]:
            raise DataError("\n".join(problems))
        return [path for each in done for path in (*each.written, *each.complete)]

    def evaluate(
        self, data: str | os.PathLike[str] | None = None, *, split: str | None = None, overrides: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Scores on a split of the run's data, or of the same layout in another folder, shaped as in metrics.jsonl.

        Raises:
            RunError: the model is an exported file.
            DataError: the data has different classes, or no image in the split.
        """
        from segengine.inference.evaluate import evaluate_run

        if isinstance(self.trained, Exported):
            raise RunError(f"{self.path}: is an exported file; evaluate the run that it was exported from")
        roots = [] if data is None else [f"data.source.root={Path(data).absolute()}"]
        return evaluate_run(self.path, split, [*roots, *overrides], "auto", lambda _: None).scores

    def __repr__(self) -> str:
        return f"Model({self.path}: {', '.join(self.names)})"


def load(path: str | os.PathLike[str], *, device: str = "auto") -> Model:
    """Load the model of a run folder, or of a file that `segengine export` wrote.

    Args:
        path: the run folder (`runs/abdomen/vgg11-seed0`) or an .onnx file.
        device: auto, cpu, cuda or cuda:N for run folders.

    Warns if a plugin of the network has another version, or other files, than in training.

    Raises:
        RunError: neither a finished run folder nor a valid exported file.
        RegistryError: a plugin of the network isn't installed; names package and version.
    """
    place = Path(path)
    trained = load_any(place, device)
    for note in trained.notes if isinstance(trained, Trained) else ():
        warnings.warn(note, stacklevel=2)
    return Model(place, trained)
