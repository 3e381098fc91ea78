"""Writes a run's state to its folder, and forwards events to the listeners."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from segengine.building.labels import mapping_facts
from segengine.data.batches.dataset import Dataset
from segengine.engine.checkpoint import Progress
from segengine.engine.distributed import World, device_name
from segengine.engine.machine_errors import explained
from segengine.engine.memory import Peak
from segengine.engine.prediction import size_of_a_pass
from segengine.engine.timing import threads
from segengine.errors import DataError, SegengineError, counted, unexpected
from segengine.events import (
    Counts,
    Ended,
    EpochDone,
    EpochScored,
    Event,
    Note,
    RunEnded,
    RunStarted,
    Saved,
    Status,
)
from segengine.files import write_text
from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import MetricPolicy, as_row, evaluate_counts
from segengine.runs import names
from segengine.runs.changed_data import changed_data
from segengine.runs.plugins import packages, recorded
from segengine.runs.provenance import command, git_state, host, now, versions
from segengine.runs.tables import ImageRow, append_metrics, keep_epochs, write_counts, write_digests, write_images
from segengine.specs.sections import TrainingSection
from segengine.training.context import MemoryPlan
from segengine.training.listeners import Listeners
from segengine.training.request import RunRequest


class Recorder:
    """Keeps one run's folder up to date; only rank 0 writes."""

    def __init__(
        self, request: RunRequest, dataset: Dataset, world: World, policy: MetricPolicy, listeners: Listeners
    ) -> None:
        self.request, self.folder, self.dataset = request, request.folder, dataset
        self.world, self.policy, self.listeners = world, policy, listeners
        self.names = [label.name for label in dataset.mapper.labels]
        self.interrupted = False
        self.best_counts: Counts | None = None
        self.began = time.monotonic()
        self.seconds_before = 0.0
        self.progress = Progress()
        self.steps_per_epoch = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Record an exception in run.json before it propagates.

        Raises:
            MachineError: replaces errors of torch or the system that are machine errors.
        """
        try:
            yield
        except BaseException as raised:
            error = (None if isinstance(raised, SegengineError) else explained(raised)) or raised
            if self.folder.exists:
                interrupted = isinstance(error, KeyboardInterrupt)
                self._end_early(
                    "interrupted" if interrupted else "failed",
                    "stopped immediately" if interrupted else self._why(error),
                )
            elif not isinstance(error, SegengineError | KeyboardInterrupt):
                self._why(error)
            if error is raised:
                raise
            raise error from raised

    def _end_early(self, status: Status, message: str) -> None:
        try:
            self.end(status, message)
        except Exception:  # such as a full disk; the first error is reported
            self.emit(RunEnded(self.folder.path, status, message))

    def _why(self, error: BaseException) -> str:
        """The message of an error; the traceback of an unexpected error goes to log.txt."""
        if isinstance(error, SegengineError):
            return str(error)
        if self.world.main:
            with suppress(OSError), (self.folder / names.LOG).open("a", encoding="utf-8") as file:
                file.writelines(traceback.format_exception(error))
        return unexpected(error)

    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels for cost measurements: those of the first test image, or of a tile of a large image."""
        height, width = self.dataset.sizes[(self.dataset.splits.get("test") or self.dataset.splits["train"])[0]]
        return size_of_a_pass(int(height), int(width))

    def start(self, progress: Progress, *, steps_per_epoch: int, precision: str, **cost: Any) -> None:
        """Write the state before the first step."""
        self.progress, self.steps_per_epoch = progress, steps_per_epoch
        resumed = self.folder.exists and progress.step > 0
        training = self.request.experiment.training
        if self.world.main:
            if resumed:
                keep_epochs(self.folder / names.METRICS, progress.epoch)
                before = self.folder.read()
                self.seconds_before = float(before.get("seconds") or 0.0)
                devices = [*str(before.get("augmented_on", "cpu")).split(" and "), cost["augmented_on"]]
                self.folder.update(
                    status="running", message="", resumed=[*before.get("resumed", []), now()],
                    augmented_on=" and ".join(dict.fromkeys(devices)),
                )  # fmt: skip
            else:
                self._write_new(precision, cost, steps_per_epoch)
            for tracker in self.request.experiment.trackers:
                self.listeners.add_tracker(tracker, self.folder.path)
        facts = {
            "model": self.model_text(),
            "data": self._data(),
            "device": f"{device_name(self.world.device)}, {precision}"
            + (f", {self.world.size} processes" if self.world.size > 1 else ""),
            "parameters": f"{cost['parameters'] / 1e6:.1f} million",
        }
        self.emit(
            RunStarted(
                self.folder.path, facts, training.epochs, steps_per_epoch, progress.step if resumed else 0, training.minutes
            )
        )  # fmt: skip

    def check_same_data(self) -> None:
        """Raises DataError if the data of a resumed run has changed; the folder is left unchanged."""
        before, now = self.folder.read(), mapping_facts(self.dataset.mapper)
        then, today = (([label["raw"] for label in facts["labels"]], facts["ignored"]) for facts in (before, now))
        if then != today:
            raise DataError(
                f"{self.folder.path}: the mask values of the classes have changed since this run started ({then[0]} and now "
                f"{today[0]}); restore them (or gray-values.txt), or start over with --fresh"
            )
        if before["data"]["fingerprint"] != self.dataset.fingerprint:
            changed = changed_data(self.folder, self.dataset.states()) or "images, masks or their split"
            raise DataError(
                f"{self.folder.path}: the data has changed since this run started: {changed}; "
                "restore it, or start over with --fresh"
            )

    def model_text(self) -> str:
        """Short description of the network: `vgg 11 + unet`."""
        model = self.request.experiment.model
        facts = [getattr(model.backbone, name) for name in ("depth", "model") if hasattr(model.backbone, name)]
        return f"{' '.join(map(str, [model.backbone.name, *facts]))} + {model.decoder.name}"

    def _data(self) -> str:
        counts = ", ".join(f"{len(indices)} {split}" for split, indices in self.dataset.splits.items() if indices)
        return f"{counts} images, {counted(len(self.names), 'class', 'classes')}"

    def _write_new(self, precision: str, cost: Mapping[str, Any], steps_per_epoch: int) -> None:
        folder, data, request = self.folder, self.dataset, self.request
        folder.path.mkdir(parents=True, exist_ok=True)
        write_text(folder / names.EXPERIMENT, request.loaded.text)
        write_text(folder / names.SPEC, request.spec_text())
        splits = {index: split for split, indices in data.splits.items() for index in indices}
        write_images(
            folder / names.IMAGES,
            (
                ImageRow(i, r.id, r.group, splits.get(i, ""), int(data.sizes[i][0]), int(data.sizes[i][1]))
                for i, r in enumerate(data.records)
            ),
        )
        write_digests(folder / names.FILES, data.digests)
        if text := getattr(data.mapper, "values_file", ""):
            write_text(folder / names.GRAY_VALUES, text)
        (folder / names.METRICS).unlink(missing_ok=True)
        training = request.experiment.training
        folder.update(
            status="running", message="", experiment=request.loaded.name, title=request.experiment.title, variant=request.variant,
            seed=request.seed, fold=request.fold, started=now(), ended=None, seconds=0.0, command=command(), host=host(),
            devices=[device_name(self.world.device)] * self.world.size, precision=precision, versions=versions(),
            **recorded(packages(request.resolved())), git=git_state(request.loaded.path.resolve().parent),
            overrides=list(request.loaded.overrides), parameters=cost["parameters"], strides=list(cost["strides"]),
            training_size=cost["training_size"], augmented_on=cost["augmented_on"],
            compilation=cost["compilation"], initial_weights=cost["initial_weights"],
            data={
                "fingerprint": data.fingerprint, "images": {split: len(ids) for split, ids in data.splits.items()},
                "channels": data.channels, **data.window.as_record(), "warnings": list(data.warnings),
            },
            **mapping_facts(data.mapper), metric_policy=self.policy.as_dict(),
            budget=_budget(training, steps_per_epoch, cost["batch_size"]), found_batch=cost["found_batch"],
            best=None, images_per_second=None, train_seconds=0.0, threads=threads(self.world.device), train_memory=None, trained=None,
        )  # fmt: skip

    def take(self, event: Event) -> None:
        """Record an event of the training loop."""
        match event:
            case EpochDone():
                self._epoch(event)
            case Saved(kind="best"):
                self._best(event)
            case Ended():
                self.interrupted = event.reason == "interrupted"
                self._trained()
        self.emit(event)

    def record_memory_plan(self, plan: MemoryPlan) -> None:
        """Record the batch sizes that fit into memory; a note if batches are split."""
        if self.world.main:
            found: dict[str, Any] = {"evaluation_batch": plan.evaluation_batch}
            if plan.micro_batch is not None:
                found["micro_batch"] = {"images": plan.micro_batch, "from_step": 1}
            self.folder.update(**found)
        if plan.note:
            self.emit(Note(plan.note))

    def _trained(self) -> None:
        """Record the budget used so far; an incomplete last epoch counts fractionally."""
        at = self.progress
        if self.world.main:
            self.folder.update(
                trained={
                    "epochs": round(at.step / self.steps_per_epoch, 3), "steps": at.step, "images": at.images,
                    "minutes": round(at.train_seconds / 60, 3),
                }
            )  # fmt: skip

    def record_peak_memory(self, peak: Peak | None) -> None:
        """Record the peak memory of training over all processes and attempts."""
        found = [each for each in self.world.gathered(peak) if each is not None]
        if found and self.world.main:
            most = max(found, key=lambda each: each.peak_bytes)
            before = self.folder.read().get("train_memory") or {"peak_bytes": 0}
            if most.peak_bytes > before["peak_bytes"]:
                self.folder.update(train_memory={"kind": most.kind, "peak_bytes": most.peak_bytes})

    def _epoch(self, event: EpochDone) -> None:
        row: dict[str, Any] = {
            "epoch": event.epoch, "step": event.step, "train_loss": event.train_loss, "learning_rate": event.learning_rate,
            "gradient_norm": _rounded(event.gradient_norm), "largest_gradient_norm": _rounded(event.largest_gradient_norm),
            "seconds": round(event.seconds, 3), "images_per_second": round(event.images_per_second, 3),
        }  # fmt: skip
        if event.counts is not None:
            scores = evaluate_counts(ImageCounts.of(event.counts, len(self.names)))
            row["validation"] = as_row(scores, self.names, self.policy)
        self.best_counts = event.counts if event.best else None
        if self.world.main:
            append_metrics(self.folder / names.METRICS, row)
        self.emit(EpochScored(row, event.best))

    def _best(self, event: Saved) -> None:
        if not self.world.main:
            return
        if self.best_counts is not None:
            write_counts(
                self.folder / names.counts_file("validation"), ImageCounts.of(self.best_counts, len(self.names))
            )
        score = self.progress.best_score
        finite = score is not None and math.isfinite(score)
        without_images = self.best_counts is None  # no validation images: the last epoch is kept
        metric = None if without_images else "validation mean Dice, pooled"
        self.folder.update(best={"epoch": event.epoch, "metric": metric, "score": score if finite else None})

    def end(self, status: Any, message: str, **facts: Any) -> dict[str, Any]:
        """Record the status of the run, and emit RunEnded unless finished."""
        seconds = self.seconds_before + time.monotonic() - self.began
        document: dict[str, Any] = {"status": status}
        if self.world.main:
            document = self.folder.update(
                status=status, message=message, ended=now(), seconds=round(seconds, 3), **facts
            )
        if status != "finished":
            self.emit(RunEnded(self.folder.path, status, message))
        return document

    def emit(self, event: Any) -> None:
        """Forward an event to the listeners (rank 0 only)."""
        if self.world.main:
            self.listeners(event)


def _rounded(norm: float | None) -> float | None:
    """Six significant digits."""
    return None if norm is None else float(f"{norm:.6g}")


def _budget(training: TrainingSection, steps_per_epoch: int, batch_size: int) -> dict[str, Any]:
    """Budget of a run: minutes, or epochs with steps and images."""
    if training.epochs is None:
        return {"minutes": training.minutes}
    steps = training.epochs * steps_per_epoch
    return {"epochs": training.epochs, "steps": steps, "images": steps * training.accumulate * batch_size}
