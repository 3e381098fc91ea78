"""Pictures of a comparison's gallery: images with the largest disagreement between variants, predicted from saved runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from segengine.comparison.gallery import MOST_VARIANTS, Chosen, Disagreement, Gallery, Picture
from segengine.errors import DataError, SegengineError, unexpected

if TYPE_CHECKING:
    from pathlib import Path

    from segengine.comparison.gallery import Pixels
    from segengine.comparison.load import LoadedRun
    from segengine.comparison.summary import Comparison
    from segengine.figures.labels import LabelLike
    from segengine.inference.load import Trained


def pictures(comparison: Comparison, chosen: Chosen, device: str = "auto") -> Gallery:
    """Predict the chosen images with the best checkpoint of each variant's first seed, for at most the MOST_VARIANTS best variants.

    Images, masks and models are read with the runs' saved settings. Failures are listed in the gallery's problems and not
    raised.
    """
    if not chosen.images:
        return Gallery(chosen)
    shown = _best(comparison, chosen)
    units = [members[0] for members in comparison.models.by_variant().values()]
    run_of_row = _run_of_rows(units[0].runs, comparison.split)
    problems: dict[str, None] = {}
    labels: Sequence[LabelLike] = ()
    seen: dict[int, tuple[Pixels, Pixels]] = {}
    predicted: dict[int, dict[int, Pixels]] = {about.row: {} for about in chosen.images}
    for i in shown:
        for part, run in enumerate(units[i].runs):
            wanted = [about for about in chosen.images if run_of_row[about.row] == part]
            if not wanted:
                continue
            try:
                trained = _trained(run, device)
                labels = labels or trained.mapping.labels
                for about, image, truth, classes in _of_run(run, trained, wanted, units[i].stacked):
                    seen.setdefault(about.row, (image, truth))
                    predicted[about.row][i] = classes
            except (SegengineError, OSError, ImportError) as error:
                reason = str(error) if isinstance(error, SegengineError) else unexpected(error)
                problems[f"{run.name}: {' '.join(reason.split())}"] = None
    made = tuple(Picture(about, *seen[about.row], predicted[about.row]) for about in chosen.images if about.row in seen)
    notes = (f"shown are the predictions of the best {MOST_VARIANTS} variants",) if len(units) > len(shown) else ()
    return Gallery(chosen, labels, made, tuple(problems), notes)


def _best(comparison: Comparison, chosen: Chosen) -> list[int]:
    """The best variants by mean score; undefined scores last."""
    kind, sign = comparison.headline(chosen.metric), comparison.measure(chosen.metric).sign
    means = [variant.scores[chosen.metric, kind].mean.mean for variant in comparison.variants]
    return sorted(range(len(means)), key=lambda i: np.inf if (mean := means[i]) is None else -sign * mean)[
        :MOST_VARIANTS
    ]


def _run_of_rows(runs: Sequence[LoadedRun], split: str) -> list[int]:
    """The position of the run (fold) that contains each row of the comparison."""
    return [part for part, run in enumerate(runs) for _ in run.indices(split)]


def _trained(run: LoadedRun, device: str) -> Trained:
    from segengine.inference.load import load_trained

    return load_trained(run.folder.path, device, postprocess=False)


def _of_run(
    run: LoadedRun, trained: Trained, wanted: Sequence[Disagreement], stacked: np.ndarray
) -> Iterator[tuple[Disagreement, Pixels, Pixels, Pixels]]:
    """Image, truth and prediction of each image.

    Raises:
        DataError: a file is missing or was changed after the evaluation.
    """
    files = _files(run)
    for about in wanted:
        if about.id not in files:
            raise DataError(f"{about.id}: the image is no longer in the data")
        path, mask = files[about.id]
        image = trained.read(path)
        truth = _truth(trained, mask, image.shape[:2])
        pixels = np.bincount(truth.ravel(), minlength=256)[: stacked.shape[2]]
        if (pixels != stacked[about.row, 1]).any():
            raise DataError(f"{mask}: the mask changed since the run was evaluated")
        yield about, image, truth, trained.classes(image)


def _files(run: LoadedRun) -> dict[str, tuple[Path, Path]]:
    """Image and mask file of every record of the run's data."""
    from segengine.building.guarded import records_of
    from segengine.inference.saved import saved_data

    records = records_of(saved_data(run.folder, run.folder.read())[0].data.source)
    return {record.id: (record.image, record.mask) for record in records if record.mask is not None}


def _truth(trained: Trained, mask: Path, shape: tuple[int, ...]) -> Pixels:
    from segengine.data.files.reading import read_mask

    raw = read_mask(mask)
    if raw.shape[:2] != shape:
        raise DataError(f"{mask}: the mask has {raw.shape[1]}x{raw.shape[0]} pixels, its image {shape[1]}x{shape[0]}")
    return trained.mapping.to_classes(raw, where=str(mask))
