"""Checks of trackers, executors and exporters: build() returns a callable, and trackers accept all events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segengine.testing.subject import Check, Subject


def builds_something_to_call(subject: Subject) -> Iterator[str]:
    """build() returns a callable: a listener, an executor of jobs, or a writer of files."""
    facts = {"folder": subject.scratch} if subject.cls.kind == "trackers" else {}
    built = subject.component.build(**facts)
    if not callable(built):
        yield f"build() returns {type(built).__name__}, which is not callable; return a function"


def a_tracker_takes_every_event(subject: Subject) -> Iterator[str]:
    """The listener accepts every event of a run and of a resumed run, including events that it ignores."""
    if subject.cls.kind != "trackers":
        return
    folder = subject.scratch / "experiment" / "variant-seed0"
    folder.mkdir(parents=True)
    for resumed_step in (0, 1):
        listener = subject.component.build(folder=folder)
        for event in _events(folder, resumed_step):
            listener(event)
    yield from ()


def _events(folder: Path, resumed_step: int) -> list[Any]:
    """The events of a short run; the scores of the second class are undefined."""
    from segengine import events
    from segengine.events import Doing, EpochScored, Note, RunEnded, RunStarted
    from segengine.metrics.names import OVERLAPS, SCORES

    names = (*SCORES, *(f"{name}_per_image" for name in OVERLAPS))
    known, unknown = dict.fromkeys(names, 0.5), dict.fromkeys(names)
    scores = {
        "loss": None, "images": 2, "mean": {**known, "over": ["liver"]},
        "classes": {"liver": {**known, "pixels": 9, "images": 2}, "a, b (c)": {**unknown, "pixels": 0, "images": 0}},
    }  # fmt: skip
    row = {"epoch": 1, "step": 1, "train_loss": 1.0, "learning_rate": 0.1, "seconds": 1.0, "images_per_second": 2.0}
    return [
        RunStarted(folder, {"model": "vgg 11 + unet"}, 2, 1, resumed_step),
        Note("something"),
        Doing("evaluating", 1, 2),
        events.StepDone(epoch=1, step=1, steps_per_epoch=1, loss=1.0, learning_rate=0.1, images=2),
        events.EpochDone(1, 1, 1.0, 0.1, 1.0, 2.0, counts=None, score=None, best=False),
        events.Saved("last", 1, 1),
        EpochScored(row, best=False),
        EpochScored({**row, "epoch": 2, "step": 2, "validation": scores}, best=True),
        events.Ended("finished", 2, 2),
        object(),  # an event type that a later version may add
        RunEnded(folder, "interrupted", "stopped")
        if not resumed_step
        else RunEnded(folder, "finished", "", "test", scores),
    ]


CHECKS: tuple[Check, ...] = (builds_something_to_call, a_tracker_takes_every_event)
