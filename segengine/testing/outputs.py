"""What trackers, executors and exporters promise: build() gives something to call."""

from __future__ import annotations

from collections.abc import Iterator

from segengine.testing.subject import Check, Subject


def builds_something_to_call(subject: Subject) -> Iterator[str]:
    """build() gives a callable: a listener, a runner of plans, or a writer of files."""
    facts = {"folder": subject.scratch} if subject.cls.kind == "trackers" else {}
    built = subject.component.build(**facts)
    if not callable(built):
        yield f"build() gives {type(built).__name__}, which can't be called; give a function"


def a_tracker_takes_every_event(subject: Subject) -> Iterator[str]:
    """A tracker takes every event of a run, those that it doesn't care for too."""
    if subject.cls.kind != "trackers":
        return
    from segengine.engine import events

    listener = subject.component.build(folder=subject.scratch)
    for event in (
        events.StepDone(epoch=1, step=1, steps_per_epoch=1, loss=1.0, learning_rate=0.1, images=2),
        events.EpochDone(1, 1, 1.0, 0.1, 1.0, 2.0, counts=None, score=None, best=False),
        events.Saved("last", 1, 1),
        events.Ended("finished", 1, 1),
        object(),  # an event of a later version
    ):
        listener(event)
    yield from ()


CHECKS: tuple[Check, ...] = (builds_something_to_call, a_tracker_takes_every_event)
