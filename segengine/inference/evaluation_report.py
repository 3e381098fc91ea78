"""Files of an evaluation: scores, a table by image and by group, and pictures of the worst images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import DataError
from segengine.files import csv_cell, write_bytes, write_json, write_text
from segengine.inference.ensemble import Ensemble
from segengine.inference.evaluate import Evaluated
from segengine.inference.sources import Source
from segengine.metrics.scores import scores_of

_WHOLE = 2**40


def check_folder(folder: Path) -> None:
    """Raises DataError unless `folder` is new or empty: nothing is replaced."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists and is not an empty folder; choose another one with --out")


def write_report(folder: Path, found: Evaluated, ensemble: Ensemble, *, worst: int) -> None:
    """Write scores.json, images.csv, groups.csv if there are groups, and worst/NN-NAME.png of the images with the lowest Dice.

    Pictures show image, prediction and truth side by side.
    """
    names = [label.name for label in ensemble.first.mapping.labels]
    averaged = [k for k, name in enumerate(names) if name in found.scores["mean"]["over"]]
    from segengine.figures.encoding import png_of

    write_json(folder / "scores.json", {"split": found.split, "scores": found.scores, "metrics": found.metrics})
    table, indices = found.counts.stacked(), found.counts.indices
    images = [found.images[index] for index in indices]
    dice = scores_of(table[:, 0], table[:, 1], table[:, 2])["dice"]
    means = _means(dice, averaged)
    rows = [[image.id, image.group, mean, *of] for image, mean, of in zip(images, means, dice, strict=True)]
    write_text(folder / "images.csv", _csv(["image", "group", "mean", *names], rows))
    groups = [image.group for image in images]
    if len(set(groups)) < len(groups):
        order, place = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        by_group = np.zeros((len(order), *table.shape[1:]), np.int64)
        np.add.at(by_group, place, table)
        of_groups = scores_of(by_group[:, 0], by_group[:, 1], by_group[:, 2])["dice"]
        group_rows = [
            [g, m, *of] for g, m, of in zip(order.tolist(), _means(of_groups, averaged), of_groups, strict=True)
        ]
        write_text(folder / "groups.csv", _csv(["group", "mean", *names], group_rows))
    ranked = sorted((mean, row) for row, mean in enumerate(means) if not np.isnan(mean))
    for number, (_, row) in enumerate(ranked[:worst], start=1):
        name = images[row].id.replace("/", "_")
        write_bytes(
            folder / "worst" / f"{number:02d}-{name}.png",
            png_of(_panels(found, ensemble, indices[row]), limit_bytes=_WHOLE),
        )


def _panels(found: Evaluated, ensemble: Ensemble, index: int) -> NDArray[np.uint8]:
    from segengine.figures.panels import triptych

    assert found.pair is not None
    image, truth = found.pair(index)
    channels = [slice(0, image.shape[2])] * len(ensemble.members)
    predicted = ensemble.predict(Source([image], channels, None)).classes
    return triptych(image, predicted, truth, ensemble.first.mapping.labels)


def _means(values: NDArray[np.float64], averaged: Sequence[int]) -> list[float]:
    """The mean over the defined averaged classes of each row; NaN without any."""
    found = []
    for row in values[:, list(averaged)]:
        defined = row[~np.isnan(row)]
        found.append(float(defined.mean()) if defined.size else float("nan"))
    return found


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_cell, header))
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return csv_cell(value)
    return "" if np.isnan(value) else f"{value:.6f}"
