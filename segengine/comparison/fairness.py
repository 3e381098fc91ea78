"""Fairness of the comparison: the factor, other differences, and what was verified to be equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segengine.comparison.confounders import short
from segengine.comparison.summary import Comparison, Refusal
from segengine.figures.numbers import plural

_SETTINGS = (
    ("pretraining", "model.backbone.weights"), ("backbone", "model.backbone"), ("decoder", "model.decoder"), ("loss", "loss"),
    ("augmentations", "augmentations"), ("epochs", "training.epochs"), ("batch size", "training.batch_size"),
    ("optimizer", "training.optimizer"), ("schedule", "training.schedule"), ("early stopping", "training.early_stopping"),
)  # fmt: skip


@dataclass(frozen=True)
class Fairness:
    """The factor, other differences, verified equalities (name, value), notes, and excluded runs."""

    factor: str
    confounders: tuple[str, ...]
    equal: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """Lines below the verdict in text outputs."""
        return [self.factor, *self.confounders, *self.notes, *self.left_out]


NO_FACTOR = "no setting differs between the variants"


def fairness(comparison: Comparison, notes: Sequence[str] = ()) -> Fairness:
    """Contents of the fairness section; `notes` are additional remarks."""
    others = tuple(f"{'within a variant: ' if d.within else ''}{d.text()}" for d in comparison.confounders)
    return Fairness(
        comparison.factor.text() if comparison.factor else NO_FACTOR,
        others,
        (*_always(comparison), *_if_equal(comparison)),
        (*(note for note in comparison.notes if note != NO_FACTOR), *notes),
        tuple(left_out(comparison)),
    )


def left_out(result: Comparison | Refusal) -> list[str]:
    """One line per run excluded from the comparison."""
    return [f"{o.name} ({o.status}{f': {o.message}' if o.message else ''})" for o in result.others]


def _always(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Properties that every accepted comparison has in common."""
    record = comparison.models.models[0].runs[0].record
    runs = [run for model in comparison.models.models for run in model.runs]
    prints = sorted({run.record.data.fingerprint[:12] for run in runs})
    yield "images", f"{plural(comparison.image_count, f'{comparison.split} image')}, the same ones in every run"
    yield "data fingerprint", ", ".join(prints)
    yield "truth", "as many pixels of each class in each image"
    yield "classes", ", ".join(f"{label.name} ({_flow(label.raw)})" for label in record.labels)
    yield "ignored mask values", ", ".join(_flow(raw) for raw in record.ignored) or "none"
    yield "means", f"over {', '.join(comparison.averaged)}; what is undefined is left out"
    yield "evaluation", "at the images' own size"


def _if_equal(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Settings and circumstances that are equal in all runs."""
    first = comparison.models.models[0].runs[0]
    differing = [d.path for d in (comparison.factor, *comparison.confounders) if d is not None]

    def equal(path: str) -> bool:
        return not any(path == d or path.startswith(f"{d}.") or d.startswith(f"{path}.") for d in differing)

    for name, path in _SETTINGS:
        value = _look_up(first.settings, path)
        own = path == "model.backbone.weights" and path not in differing
        if value is not None and (equal(path) or own):
            yield name, _flow(value)
    record, budget = first.record, first.record.budget
    if budget and equal("budget") and equal("training.epochs"):
        yield (
            "budget",
            ", ".join(
                f"{value:,} {key}" if isinstance(value, int) else f"{key} {value}" for key, value in budget.items()
            ),
        )
    rule = getattr(record.metric_policy, "checkpoint", None)
    circumstances = [
        ("checkpoint", "checkpoint_rule", rule), ("precision", "precision", record.precision),
        ("device", "device", ", ".join(dict.fromkeys(record.devices))), ("torch", "versions.torch", record.versions.get("torch")),
    ]  # fmt: skip
    yield from (
        (name, str(value)) for name, path, value in circumstances if value and equal(path) and equal(f"{path}s")
    )


def _look_up(settings: Mapping[str, Any], path: str) -> Any:
    value: Any = settings
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _flow(value: Any) -> str:
    """A setting on one line; `none` if absent."""
    return "none" if value is None or value == [] else short(value)
