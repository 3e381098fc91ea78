"""MLflow listener: logs a run to a tracking server."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from segengine.events import EpochScored, RunEnded, RunStarted
from segengine.training.trackers.numbers import numbers

RUN_ID = "mlflow-run.txt"
_ENDS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MlFlowListener:
    """Logs metrics in batches, once per epoch; short timeout for an unresponsive server."""

    def __init__(self, folder: Path, uri: str | None, experiment: str, every: int) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default retries for minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)
        self.folder, self.experiment, self.every = folder, experiment, every
        self.run = ""
        self.step = 0
        self.waiting: list[Any] = []

    def __call__(self, event: Any) -> None:
        if isinstance(event, RunStarted):
            self._start(event)
        if not self.run:
            return
        self._collect(event)
        if isinstance(event, EpochScored | RunEnded):
            for first in range(0, len(self.waiting), 1000):  # the server's limit per request
                self.client.log_batch(self.run, metrics=self.waiting[first : first + 1000])
            self.waiting = []
        if isinstance(event, RunEnded):
            self.client.set_tag(self.run, "message", event.message)
            self.client.set_terminated(self.run, _ENDS[event.status])
            self.run = ""

    def _start(self, event: RunStarted) -> None:
        known = self.folder / RUN_ID
        self.step = event.resumed_step
        if event.resumed_step and known.exists():
            self.run = known.read_text(encoding="utf-8").strip()
            self.client.update_run(self.run, status="RUNNING")
            return
        found = self.client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found else self.client.create_experiment(self.experiment)
        self.run = self.client.create_run(experiment, run_name=self.folder.name).info.run_id
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
    """A name with characters invalid in MLflow replaced."""
    return re.sub(r"[^\w.\- /]", "_", name)
