"""The tables of a run folder: images.csv, files.csv, metrics.jsonl, counts/*.csv or *.csv.gz."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.errors import RunError, SpecError
from segengine.files import csv_cell, csv_text, parse_json, write_bytes, write_text
from segengine.metrics.confusion import ImageCounts

COUNTS_HEADER = "index,truth,predicted,pixels"
LARGEST_PLAIN_BYTES = 2**20
"""Larger tables of counts are compressed."""


@dataclass(frozen=True)
class ImageRow:
    """A row of images.csv; counts refer to `index`."""

    index: int
    id: str
    group: str
    split: str
    height: int
    width: int


def write_images(path: Path, rows: Iterable[ImageRow]) -> None:
    """Write images.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "id", "group", "split", "height", "width"])
    writer.writerows([r.index, csv_cell(r.id), csv_cell(r.group), r.split, r.height, r.width] for r in rows)
    write_text(path, text.getvalue())


def read_images(path: Path) -> list[ImageRow]:
    """Read images.csv.

    Raises:
        RunError: missing or invalid file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                ImageRow(
                    int(r["index"]),
                    csv_text(r["id"]),
                    csv_text(r["group"]),
                    r["split"],
                    int(r["height"]),
                    int(r["width"]),
                )
                for r in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: not a readable table of images ({error}); the run folder is damaged") from error


def write_digests(path: Path, digests: Iterable[tuple[str, str]]) -> None:
    """Write files.csv: SHA-256 of the image and mask file of each row of images.csv."""
    lines = ["index,image,mask", *(f"{index},{image},{mask}" for index, (image, mask) in enumerate(digests))]
    write_text(path, "\n".join(lines) + "\n")


def read_digests(path: Path) -> dict[int, tuple[str, str]]:
    """Read files.csv: SHA-256 of image and mask by index; empty if missing, as in runs of older versions.

    Raises:
        RunError: invalid file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {int(r["index"]): (r["image"], r["mask"]) for r in csv.DictReader(file)}
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: not a readable table of files ({error}); the run folder is damaged") from error


def counts_text(counts: ImageCounts) -> str:
    """The table of the confusion counts of images, non-zero cells only."""
    return "\n".join([COUNTS_HEADER, *map("%d,%d,%d,%d".__mod__, counts.rows())]) + "\n"


def write_counts(path: Path, counts: ImageCounts, *, compress: bool | None = None) -> Path:
    """Write a run's confusion counts of images, non-zero cells only, and return the file written.

    With `compress`, or by default above `LARGEST_PLAIN_BYTES`, the table is gzip-compressed to `path` + .gz; only one of the
    two files is kept.
    """
    content, packed = counts_text(counts).encode(), _compressed(path)
    if not (len(content) > LARGEST_PLAIN_BYTES if compress is None else compress):
        write_bytes(path, content)
        packed.unlink(missing_ok=True)
        return path
    write_bytes(packed, gzip.compress(content, 6, mtime=0))
    path.unlink(missing_ok=True)
    return packed


def check_counts_target(path: Path) -> None:
    """Check that `path` does not exist or is an earlier table of counts, before counts are computed.

    Raises:
        SpecError: `path` is a folder, or a file that is not a table of counts.
    """
    if path.is_dir():
        raise SpecError(f"{path}: is a folder; give --counts the name of a file, such as {path / 'counts.csv'}")
    if path.exists():
        with path.open("rb") as file:
            known = file.read(len(COUNTS_HEADER)) == COUNTS_HEADER.encode()
        if not known:
            raise SpecError(f"{path}: exists and is not a table of counts; choose another name, or remove it")


def counts_exist(path: Path) -> bool:
    """Whether there are counts, plain at `path` or compressed beside it."""
    return path.exists() or _compressed(path).exists()


def _compressed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def _counts_content(path: Path) -> bytes:
    """Content of a table of counts; the newer file if both forms exist."""
    packed = _compressed(path)
    if not packed.exists() or (path.exists() and path.stat().st_mtime_ns > packed.stat().st_mtime_ns):
        return path.read_bytes()
    return gzip.decompress(packed.read_bytes())


def read_count_rows(path: Path, num_classes: int) -> NDArray[np.int64]:
    """The rows of a counts file as int64 [n, 4]: image index, class in the truth, class predicted, pixels.

    `path` is the uncompressed file; `path`.gz is read if it exists instead.

    Raises:
        RunError: missing or invalid file.
    """
    try:
        header, _, text = _counts_content(path).partition(b"\n")
        if header.decode().strip() != COUNTS_HEADER:
            raise ValueError(f"the first line is not {COUNTS_HEADER}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy only warns about invalid numbers
            numbers = np.fromstring(text.replace(b"\r", b"").replace(b"\n", b","), dtype=np.int64, sep=",")
        rows = numbers.reshape(-1, 4)
    except (OSError, ValueError, EOFError, zlib.error, DeprecationWarning) as error:
        raise RunError(f"{path}: not a readable table of counts ({error}); the run folder is damaged") from error
    if rows.size and (rows[:, 1:3].max() >= num_classes or rows.min() < 0):
        raise RunError(f"{path}: a class is not one of the {num_classes} of run.json; the run folder is damaged")
    return rows


def read_counts(path: Path, num_classes: int, indices: Sequence[int] = ()) -> ImageCounts:
    """Read confusion counts; images of `indices` without any row (all ignored) count as empty.

    Raises:
        RunError: missing or invalid file.
    """
    rows = read_count_rows(path, num_classes)
    counts = ImageCounts(num_classes)
    empty = np.zeros((num_classes, num_classes), dtype=np.int64)
    for index in indices:
        counts.add(index, empty)
    ordered = rows[np.argsort(rows[:, 0], kind="stable")]
    counts.add_rows(ordered[:, 0], ordered[:, 1], ordered[:, 2], ordered[:, 3])
    return counts


def append_metrics(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line to metrics.jsonl and sync it; an incomplete last line is replaced."""
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    with path.open("ab+") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; an incomplete last line of a killed process is ignored.

    Raises:
        RunError: another line isn't a JSON object.
    """
    rows: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # text after the last newline is incomplete
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line.decode())
            if not isinstance(row, dict):
                raise ValueError("not an object")
            rows.append(row)
        except ValueError as error:
            if number < len(lines):
                raise RunError(f"{path}:{number}: not a line of JSON ({error}); the run folder is damaged") from error
    return rows


def keep_epochs(path: Path, epochs: int) -> None:
    """Remove the rows after epoch `epochs`, which a resumed run writes again."""
    rows = [row for row in read_metrics(path) if row["epoch"] <= epochs]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))
