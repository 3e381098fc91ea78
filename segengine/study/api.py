"""Running experiments from Python: `segengine.run`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from segengine.errors import RunError
from segengine.events import Listener
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import read_metrics
from segengine.specs.experiment import Experiment
from segengine.specs.load import LoadedExperiment, load_experiment, read_experiment
from segengine.study.plan import plans

if TYPE_CHECKING:
    from segengine.inference.model import Model

DEFAULT_FILE = "experiment.yaml"
"""Name in messages of an experiment that isn't a file; its paths are relative to the current folder."""


@dataclass(frozen=True)
class Run:
    """One run's folder and its contents."""

    path: Path

    @property
    def document(self) -> dict[str, Any]:
        """run.json."""
        return RunFolder(self.path).read()

    @property
    def status(self) -> str:
        """running, finished, failed or interrupted."""
        return str(self.document.get("status"))

    @property
    def scores(self) -> dict[str, Any]:
        """Scores of the chosen checkpoint by split, shaped as in metrics.jsonl."""
        return dict(self.document.get("scores") or {})

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl: one dictionary per epoch."""
        return [dict(row) for row in read_metrics(self.path / names.METRICS)]

    def load(self, device: str = "auto") -> Model:
        """The model of the chosen checkpoint. Raises RunError if training isn't finished."""
        return load(self.path, device=device)

    def __repr__(self) -> str:
        return f"Run({self.path}, {self.status})"


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    device: str = "auto",
    tta: str = "",
    tile: int | None = None,
    overlap: float = 0.5,
    postprocess: bool = True,
) -> Model:
    """The model of a run folder or exported file, or the ensemble of several; see `segengine.inference.model.load`."""
    from segengine.inference import model
    from segengine.study.labelled import labelled_images

    loaded = model.load(path, device=device, tta=tta, tile=tile, overlap=overlap, postprocess=postprocess)
    return replace(loaded, find_labelled=labelled_images)


def run(
    spec: str | os.PathLike[str] | Mapping[str, Any] | Experiment,
    overrides: Sequence[str] = (),
    *,
    out: str | os.PathLike[str] = "runs",
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (),
    device: str = "auto",
    fresh: bool = False,
    accept_changed_plugins: bool = False,
    listener: Listener | None = None,
) -> list[Run]:
    """Train every variant and seed of an experiment in this process: finished runs are kept, interrupted runs resume.

    Args:
        spec: an experiment file, the same as a dictionary, or an `Experiment`.
        overrides: settings as on the command line: `["training.epochs=3"]`.
        out: folder for runs.
        variants: names of variants; default: all.
        seeds: seeds to run; default: all.
        device: auto, cpu, cuda or cuda:N.
        fresh: start over; earlier runs are set aside, not deleted.
        accept_changed_plugins: resume interrupted runs with other versions of their plugins, which run.json records.
        listener: receives the runs' events (`segengine.events`).

    Raises:
        SpecError: invalid spec.
        DataError: invalid data.
        RunError: a run failed; the other runs were completed.
    """
    from segengine.building.build import preflight
    from segengine.engine.distributed import open_world
    from segengine.study.local import accept_plugins, execute, prepare_folders

    listen = listener or (lambda _: None)
    chosen = plans(_loaded(spec, overrides), Path(out), variants, seeds)
    for experiment in {id(plan.experiment): plan.experiment for plan in chosen}.values():
        preflight(experiment)
    with open_world(device) as world:
        if accept_changed_plugins:
            accept_plugins(chosen, listen)
        prepare_folders(chosen, fresh=fresh, listener=listen)
        outcomes = list(execute(chosen, world, listen, lambda: False))
    failed = [f"{outcome.plan.folder}: {outcome.message}" for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise RunError("\n".join(failed))
    return [Run(outcome.plan.folder) for outcome in outcomes]


def _loaded(
    spec: str | os.PathLike[str] | Mapping[str, Any] | Experiment, overrides: Sequence[str]
) -> LoadedExperiment:
    if isinstance(spec, Experiment):
        spec = spec.model_dump(mode="json", exclude_unset=True)
    if isinstance(spec, Mapping):
        text = yaml.safe_dump(dict(spec), sort_keys=False)
        return read_experiment(Path.cwd() / DEFAULT_FILE, text, overrides)
    return load_experiment(Path(spec), overrides)
