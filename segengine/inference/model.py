"""Python interface to a trained model, from a run folder or an exported file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from segengine_runtime import Encoding, Label, Prediction
from segengine_runtime.predicting import Predicting

from segengine.errors import DataError, RunError, SpecError
from segengine.events import Listener
from segengine.inference.ensemble import Ensemble, Wanted, load_ensemble, tiling_of
from segengine.inference.exported import Exported
from segengine.inference.load import Trained
from segengine.inference.sources import array_source, read_source
from segengine.inference.tta import Views

if TYPE_CHECKING:
    from segengine.inference.evaluate_data import LabelledImages


@dataclass(frozen=True, eq=False)
class Model(Predicting):
    """A trained model, or an ensemble of models with the same classes. `path`: the first run folder or exported file."""

    path: Path
    ensemble: Ensemble
    find_labelled: Callable[[Path, Listener], LabelledImages] | None = None
    """Finds images and masks in a folder of any layout; None restricts `evaluate` to the run's own data."""

    @property
    def trained(self) -> Trained | Exported:
        """The model; the first of an ensemble."""
        return self.ensemble.first

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

    def predict_image(self, image: Path | NDArray[Any], *, flips: bool) -> Prediction:
        """Predict one image; see `predict`. Pixels without measurement (NaN, nodata) get the masks' ignored value.

        Raises:
            DataError: unreadable image, or one that doesn't match the model.
        """
        ensemble = self._with(flips=flips)
        if isinstance(image, np.ndarray):
            source = array_source(image, ensemble.members)
        else:
            source = read_source(image, ensemble.for_images([image]).members)
        picture = source.picture
        assert picture is not None, "the image is in memory"

        def probabilities() -> NDArray[np.float32]:
            found = ensemble.predict(source, Wanted(probabilities=True)).probabilities
            assert found is not None
            return found

        classes = ensemble.predict(source).classes
        mask = self.trained.mapping.to_raw(classes)
        where = None if isinstance(image, np.ndarray) else image
        return Prediction(mask, classes, picture, self.labels, self.encoding, where, probabilities)

    def _with(self, *, flips: bool) -> Ensemble:
        return replace(self.ensemble, views=replace(self.ensemble.views, flips=True)) if flips else self.ensemble

    def predict_folder(
        self,
        images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        out: str | os.PathLike[str],
        *,
        outputs: str | Sequence[str] = ("masks",),
        spacing: Sequence[float] | None = None,
        overwrite: bool = False,
        flips: bool = False,
    ) -> list[Path]:
        """Predict image files, folders and patterns, write outputs below `out` under the images' names, and list these files.

        As with the command, files that this model wrote for the same images are complete and stay, and other existing files
        are replaced only with `overwrite`.

        Args:
            images: files, folders, or patterns such as `a/*.png`.
            out: folder for the files.
            outputs: masks, palette, colours, overlay, probabilities, npz, entropy, disagreement, geojson, coco, csv.
            spacing: millimetres between rows, columns and slices, for areas in mm2 and volumes in ml.
            overwrite: replace existing files.
            flips: average with the mirror images.

        Raises:
            DataError: missing path, or an existing file, before anything is predicted; unreadable images, after all others
                were predicted.
        """
        from segengine.inference.predict.files import predict_files
        from segengine.inference.predict.inputs import images_in
        from segengine.inference.predict.outputs import parse_outputs

        given = [images] if isinstance(images, str | os.PathLike) else list(images)
        found = images_in([Path(path) for path in given], Path(out))
        kinds = parse_outputs(outputs if isinstance(outputs, str) else ",".join(outputs))
        ensemble = self._with(flips=flips)
        done = list(predict_files(ensemble, found, Path(out), outputs=kinds, spacing=spacing, overwrite=overwrite))
        if problems := [each.problem for each in done if each.problem]:
            raise DataError("\n".join(problems))
        return [path for each in done for path in (*each.written, *each.complete)]

    def evaluate(
        self,
        data: str | os.PathLike[str] | None = None,
        *,
        split: str | None = None,
        overrides: Sequence[str] = (),
        metrics: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Scores on a split of the run's own data, or on other labelled images, shaped as in metrics.jsonl.

        Args:
            data: a folder of images and masks in any layout that `segengine init` understands, or an experiment file; classes
                are matched by name, else by mask value. Default: the run's own data.
            split: train, validation or test; default: the test images, or all images of `data` without splits.
            overrides: settings below data and evaluation as on the command line, for the run's own data.
            metrics: additional metrics such as hd95, whose means are added under "metrics".

        Raises:
            RunError: an exported file or an ensemble without `data`.
            DataError: the data has different classes, or no image in the split.
        """
        from segengine.inference.evaluate import evaluate_run
        from segengine.inference.evaluate_data import evaluate_images

        if data is None or self.find_labelled is None:
            if len(self.ensemble.members) > 1 or isinstance(self.trained, Exported):
                raise RunError(f"{self.path}: has no data of its own; give a folder of labelled images")
            found = evaluate_run(self.path, split, overrides, "auto", lambda _: None, metrics=metrics)
        elif overrides:
            raise SpecError("overrides are for the run's own data; omit them, or `data`")
        else:
            images = self.find_labelled(Path(data), lambda _: None)
            found = evaluate_images(self.ensemble, images, lambda _: None, split=split, metrics=metrics)
        return {**found.scores, "metrics": found.metrics} if metrics else found.scores

    def __repr__(self) -> str:
        return f"Model({self.path}: {', '.join(self.names)})"


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    device: str = "auto",
    tta: str = "",
    tile: int | None = None,
    overlap: float = 0.5,
    postprocess: bool = True,
) -> Model:
    """Load the model of a run folder, or of a file that `segengine export` wrote; of several, their ensemble.

    Args:
        path: the run folder (`runs/abdomen/vgg11-seed0`) or an .onnx file, or a list of these with the same classes, whose
            probabilities are averaged.
        device: auto, cpu, cuda or cuda:N for run folders.
        tta: test-time augmentation, such as `flips,rotations,scale=0.75,1,1.25`.
        tile: side in pixels of the tiles of larger images; default: 1024 for images above 2048 x 2048 pixels.
        overlap: of neighbouring tiles, as a share of their side.
        postprocess: apply the steps that `segengine postprocess fit` has recorded, if there is one model.

    Warns if a plugin of a network has another version, or other files, than in training.

    Raises:
        RunError: neither a finished run folder nor a valid exported file.
        RegistryError: a plugin of a network isn't installed; names package and version.
        SpecError: models with different classes, or an invalid setting.
    """
    given = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not given:
        raise SpecError("load needs a run folder or an exported file, or a list of these")
    places = [Path(each) for each in given]
    ensemble = load_ensemble(
        places, device, views=Views.parse(tta), tiling=tiling_of(tile, overlap), postprocess=postprocess
    )
    for note in ensemble.notes:
        warnings.warn(note, stacklevel=2)
    return Model(places[0], ensemble)
