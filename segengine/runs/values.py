"""Per-image metric values in a run folder: metrics/SPLIT-LABEL.csv, with a description in JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from segengine.errors import RunError
from segengine.files import write_json, write_text
from segengine.metrics.pairs import STATES
from segengine.metrics.values import MetricValues
from segengine.runs import names
from segengine.runs.folder import RunFolder

_HEADER = ["index", "class", "value", "state"]


class MetricRecord(BaseModel):
    """Description of a table of values. `settings`: the component, with its qualified name. `unit`: of lengths; None for fractions 0..1.

    `spacing_by_image`: each image has the spacing that its file declares; `spacing` is the largest.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    label: str
    words: str
    better: Literal["higher", "lower"]
    by_class: bool
    unit: str | None = None
    spacing: tuple[float, float] | None = None
    spacing_by_image: bool = False
    settings: dict[str, Any]


def write_values(folder: RunFolder, split: str, record: MetricRecord, values: MetricValues) -> Path:
    """Write a metric's values on a split; undefined values are empty. Returns the table's path."""
    path = folder / names.values_file(split, record.label)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for i, index in enumerate(values.indices):
        for c, k in enumerate(values.classes or ("",)):
            value = float(values.values[i, c])
            writer.writerow([index, k, "" if math.isnan(value) else repr(value), STATES[values.states[i, c]]])
    write_json(path.with_suffix(".json"), record.model_dump(mode="json"))
    write_text(path, text.getvalue())
    return path


def stored_labels(folder: RunFolder, split: str) -> list[str]:
    """Labels of the metrics with stored values on a split."""
    start = f"{split}-"
    return sorted(path.stem.removeprefix(start) for path in (folder / names.VALUES).glob(f"{start}*.csv"))


def read_values(folder: RunFolder, split: str, label: str, indices: Sequence[int]) -> tuple[MetricRecord, MetricValues]:
    """A metric's values of the images `indices`, in this order.

    Raises:
        RunError: a file is missing or damaged, or covers other images.
    """
    path = folder / names.values_file(split, label)
    try:
        record = MetricRecord.model_validate_json(path.with_suffix(".json").read_text(encoding="utf-8"))
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if header != _HEADER:
            raise ValueError(f"the first line is not {','.join(_HEADER)}")
        return record, _values(rows, record, indices)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path}: not a readable table of values ({reason}); the run folder is damaged") from error


def _values(rows: Sequence[Sequence[str]], record: MetricRecord, indices: Sequence[int]) -> MetricValues:
    table = {(int(index), name): (float(value or "nan"), STATES.index(state)) for index, name, value, state in rows}
    columns = sorted({name for _, name in table}, key=lambda name: int(name or -1))
    if (
        {index for index, _ in table} != set(indices)
        or len(table) != len(indices) * len(columns)
        or len(rows) != len(table)
    ):
        raise ValueError("its images differ from those of the split")
    cells = np.array([[table[index, name] for name in columns] for index in indices], dtype=np.float64)
    cells = cells.reshape(len(indices), len(columns), 2)
    classes = tuple(int(name) for name in columns) if record.by_class else None
    return MetricValues(tuple(indices), classes, cells[..., 0], cells[..., 1].astype(np.uint8))
