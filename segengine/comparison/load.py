"""Reading of run folders for a comparison: record, settings, images, and the counts of one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.errors import ComparisonError, RunError, SpecError
from segengine.metrics.stacked import Stacked, stacked_of_rows
from segengine.runs import names
from segengine.runs.costs import CostRecord, read_cost
from segengine.runs.find import find_runs
from segengine.runs.folder import RunFolder
from segengine.runs.record import RunRecord, read_record
from segengine.runs.tables import ImageRow, counts_exist, read_count_rows, read_images
from segengine.yaml_source import parse

SPLITS = ("test", "validation", "train")
"""Order of precedence of the split to compare."""


@dataclass(frozen=True)
class LoadedRun:
    """One run. `settings` are those of spec.yaml, with the selected number for training.batch_size: auto; `images` are the rows
    of images.csv by index, `cost` is the content of cost.json.

    `cost_problem` is the reason why cost.json can't be read; the run is compared nevertheless.
    """

    folder: RunFolder
    record: RunRecord
    settings: Mapping[str, Any]
    images: Mapping[int, ImageRow]
    cost: CostRecord | None = None
    cost_problem: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    def has(self, split: str) -> bool:
        """Whether the best checkpoint was evaluated on `split`."""
        return counts_exist(self.folder / names.counts_file(split))

    def indices(self, split: str) -> tuple[int, ...]:
        """The images of a split, ascending."""
        return tuple(sorted(index for index, row in self.images.items() if row.split == split))

    def stacked(self, split: str) -> Stacked:
        """True positive, true and predicted pixels, int64 [N, 3, K], of the split's images in order of `indices`.

        Raises:
            RunError: the counts are missing or damaged, or belong to other images.
        """
        path, classes = self.folder / names.counts_file(split), len(self.record.labels)
        rows = read_count_rows(path, classes)
        try:
            return stacked_of_rows(rows, self.indices(split), classes)
        except ValueError as error:
            raise RunError(f"{path}: {error} by {names.IMAGES}; the run folder is damaged") from error


@dataclass(frozen=True)
class LeftOut:
    """A run excluded from the comparison, and the reason: its status, or `unreadable`."""

    name: str
    status: str
    message: str


@dataclass(frozen=True)
class Candidates:
    """The runs of one table: finished runs, and excluded ones."""

    title: str
    runs: tuple[LoadedRun, ...]
    others: tuple[LeftOut, ...]


def candidates(paths: Sequence[Path], root: Path) -> list[Candidates]:
    """The runs of each table.

    Without `paths`, or for a path that contains several runs: one table per experiment. Paths that are runs form one table
    together, so that runs of different experiments can be compared.

    Raises:
        ComparisonError: a path doesn't exist or contains no run.
    """
    alone: list[RunFolder] = []
    below: list[RunFolder] = []
    for path in paths or [root]:
        folders = find_runs(path) if path.is_dir() else []
        if not folders:
            what = "there is no such folder" if not path.exists() else "there is no run in it"
            raise ComparisonError(f"{path}: {what}; make runs with `segengine run SPEC`, or name a folder of runs")
        (alone if folders[0].path == path else below).extend(folders)
    tables = [alone] if alone else []
    by_experiment: dict[Path, list[RunFolder]] = {}
    for folder in dict.fromkeys(below):
        by_experiment.setdefault(folder.path.parent, []).append(folder)
    return [_load(list(dict.fromkeys(folders))) for folders in [*tables, *by_experiment.values()]]


def _load(folders: Sequence[RunFolder]) -> Candidates:
    runs, others = [], []
    seen: dict[bytes, Mapping[int, ImageRow]] = {}
    for folder in folders:
        try:
            record = read_record(folder)
            if record.status == "finished":
                images = _images(folder / names.IMAGES, seen)
                runs.append(LoadedRun(folder, record, _settings(folder, record), images, *_cost(folder)))
            else:
                others.append(LeftOut(folder.name, record.status, _one_line(record.message)))
        except RunError as error:
            others.append(LeftOut(folder.name, "unreadable", str(error)))
    place = _places_of_variants(runs)
    runs.sort(
        key=lambda run: (*place[run.record.experiment, run.record.variant], run.record.seed, run.record.fold or 0)
    )
    titles = dict.fromkeys(run.record.title or run.record.experiment for run in runs)
    return Candidates(" and ".join(titles) or folders[0].path.parent.name, tuple(runs), tuple(others))


def _settings(folder: RunFolder, record: RunRecord) -> dict[str, Any]:
    settings, found = folder.spec(), (record.found_batch or {}).get("images")
    return settings if found is None else settings | {"training": settings["training"] | {"batch_size": found}}


def _places_of_variants(runs: Sequence[LoadedRun]) -> dict[tuple[str, str], tuple[str, int, str]]:
    """Position of each variant: as in the file of the experiment's latest run; else by name."""
    latest: dict[str, LoadedRun] = {}
    for run in sorted(runs, key=lambda run: run.record.started or ""):
        latest[run.record.experiment] = run
    order = {experiment: _variants_of_file(run.folder / names.EXPERIMENT) for experiment, run in latest.items()}
    places = {}
    for run in runs:
        experiment, variant = run.record.experiment, run.record.variant
        listed = order[experiment]
        place = listed.index(variant) if variant in listed else len(listed)
        places[experiment, variant] = (experiment, place, variant)
    return places


def _variants_of_file(path: Path) -> list[str]:
    """The names in `variants` of an experiment file, in order; empty if it can't be read."""
    try:
        document = parse(path.read_text(encoding="utf-8"), str(path)).data
        variants = document.get("variants") if isinstance(document, dict) else None
    except (OSError, UnicodeDecodeError, SpecError):
        return []
    return list(variants) if isinstance(variants, dict) else []


def _images(path: Path, seen: dict[bytes, Mapping[int, ImageRow]]) -> Mapping[int, ImageRow]:
    """Parsed images.csv, cached by content, because runs on the same data have identical tables."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: not readable ({error.strerror}); the run folder is damaged") from error
    if content not in seen:
        seen[content] = {row.index: row for row in read_images(path)}
    return seen[content]


def _cost(folder: RunFolder) -> tuple[CostRecord | None, str]:
    try:
        return read_cost(folder), ""
    except RunError as error:
        return None, str(error)


def _one_line(message: str) -> str:
    return " ".join(message.split())
