"""What trackers do with the events of a run. Events are known by the names of their classes: they come from layers above."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN_ID = "mlflow-run.txt"
_ENDS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def numbers(event: Any, every: int) -> tuple[int | None, dict[str, float]]:
    """The step, and name -> number of what an event says; the step is None where the run is over.

    Of StepDone only each `every`-th and the first count; undefined scores are left out.
    """
    match type(event).__name__:
        case "StepDone" if event.step % every == 0 or event.step == 1:
            return event.step, {"train/loss": event.loss, "train/learning_rate": event.learning_rate}
        case "EpochScored":
            row = event.row
            epoch = {"train/epoch_loss": row["train_loss"], "train/images_per_second": row["images_per_second"]}
            return row["step"], epoch | _scores("validation", row.get("validation"))
        case "RunEnded":
            return None, _scores(event.split, event.row)
    return None, {}


def _scores(split: str, scores: Mapping[str, Any] | None) -> dict[str, float]:
    if scores is None:
        return {}
    found = {f"{split}/mean_{name}": scores["mean"][name] for name in ("dice", "iou", "precision", "recall")}
    for label, values in scores["classes"].items():
        found |= {f"{split}/{name}/{label}": values[name] for name in ("dice", "iou")}
    return {name: float(value) for name, value in found.items() if value is not None}


class TensorBoardListener:
    """Writes event files; what a killed run wrote after its last checkpoint is marked as void when it goes on."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.writer: Any = None
        self.step = 0

    def __call__(self, event: Any) -> None:
        kind = type(event).__name__
        if kind == "RunStarted":
            from torch.utils.tensorboard import SummaryWriter

            purge = event.resumed_step + 1 if event.resumed_step else None
            self.writer = SummaryWriter(str(self.folder), purge_step=purge)
            self.step = event.resumed_step
            facts = "\n".join(f"- {name}: {value}" for name, value in event.facts.items())
            self.writer.add_text("run", facts, self.step)
        if self.writer is None:
            return
        step, values = numbers(event, self.every)
        self.step = self.step if step is None else step
        for name, value in values.items():
            self.writer.add_scalar(name, value, self.step)
        if kind == "EpochScored":
            self.writer.flush()
        if kind == "RunEnded":
            self.writer.close()
            self.writer = None


class MlFlowListener:
    """Sends numbers in batches, an epoch at a time; asks a server that doesn't answer only briefly."""

    def __init__(self, folder: Path, uri: str | None, experiment: str, every: int) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # by default it would try for minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)
        self.folder, self.experiment, self.every = folder, experiment, every
        self.run = ""
        self.step = 0
        self.waiting: list[Any] = []

    def __call__(self, event: Any) -> None:
        kind = type(event).__name__
        if kind == "RunStarted":
            self._start(event)
        if not self.run:
            return
        self._collect(event)
        if kind in ("EpochScored", "RunEnded"):
            for first in range(0, len(self.waiting), 1000):  # the most that a server takes at once
                self.client.log_batch(self.run, metrics=self.waiting[first : first + 1000])
            self.waiting = []
        if kind == "RunEnded":
            self.client.set_tag(self.run, "message", event.message)
            self.client.set_terminated(self.run, _ENDS[event.status])
            self.run = ""

    def _start(self, event: Any) -> None:
        known = self.folder / RUN_ID
        self.step = event.resumed_step
        if event.resumed_step and known.exists():
            self.run = known.read_text(encoding="utf-8").strip()
            self.client.update_run(self.run, status="RUNNING")
            return
        found = self.client.get_experiment_by_name(self.experiment)
        place = found.experiment_id if found else self.client.create_experiment(self.experiment)
        self.run = self.client.create_run(place, run_name=self.folder.name).info.run_id
        known.write_text(self.run + "\n", encoding="utf-8")
        for name, value in {**event.facts, "folder": str(event.folder)}.items():
            self.client.log_param(self.run, _allowed(name), value)

    def _collect(self, event: Any) -> None:
        from mlflow.entities import Metric

        step, values = numbers(event, self.every)
        self.step = self.step if step is None else step
        now = int(time.time() * 1000)
        self.waiting += [Metric(_allowed(name), value, now, self.step) for name, value in values.items()]


def _allowed(name: str) -> str:
    """A name with nothing in it that MLflow refuses."""
    return re.sub(r"[^\w.\- /]", "_", name)
