"""Costs of variants, with the Pareto front of each cost against the score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from segengine.comparison.load import LoadedRun
from segengine.comparison.measures import Metric
from segengine.comparison.summary import Comparison


@dataclass(frozen=True)
class VariantCost:
    """One variant's cost: median, minimum and maximum over its runs (None: unknown), and its mean score.

    `busy`: a run was measured on a busy machine, so the value is unreliable.
    """

    variant: str
    value: float | None
    minimum: float | None
    maximum: float | None
    score: float | None
    on_front: bool
    busy: bool = False


@dataclass(frozen=True)
class Cost:
    """One kind of cost, by variant in the comparison's order. `label` and `unit` are display texts: `latency`, `ms`.

    `condition` describes the measurement. If the conditions of runs differ, or the machine was busy, `problem` is the reason
    why there is no front. The front uses mean scores without their uncertainty.
    """

    key: str
    label: str
    unit: str
    lower_is_better: bool
    variants: tuple[VariantCost, ...]
    condition: str
    problem: str

    @property
    def front(self) -> tuple[str, ...]:
        """The variants on the Pareto front of score and this cost, by ascending cost."""
        chosen = [v for v in self.variants if v.on_front]
        chosen.sort(key=lambda v: v.value or 0.0, reverse=not self.lower_is_better)
        return tuple(v.variant for v in chosen)


@dataclass(frozen=True)
class _Column:
    key: str
    label: str
    unit: str
    value: Callable[[LoadedRun], float | None]
    conditions: Callable[[LoadedRun], dict[str, Any]]
    lower_is_better: bool = True
    busy: Callable[[LoadedRun], bool] = lambda _: False


def costs_of(comparison: Comparison, metric: Metric) -> tuple[Cost, ...]:
    """All costs recorded by at least one run, each with its Pareto front against the headline's mean score."""
    runs = {
        name: [r for model in models for r in model.runs] for name, models in comparison.models.by_variant().items()
    }
    scores = [variant.scores[metric, comparison.headline(metric)].mean.mean for variant in comparison.variants]
    found = (_cost(kind, runs, scores, comparison.measure(metric).sign) for kind in _KINDS)
    return tuple(cost for cost in found if any(variant.value is not None for variant in cost.variants))


def cost_problems(comparison: Comparison) -> list[str]:
    """One line per run whose cost.json can't be read."""
    return [run.cost_problem for model in comparison.models.models for run in model.runs if run.cost_problem]


def _cost(column: _Column, runs: dict[str, list[LoadedRun]], scores: Sequence[float | None], sign: int) -> Cost:
    by_run = {name: [(run, column.value(run)) for run in members] for name, members in runs.items()}
    known = {name: [value for _, value in pairs if value is not None] for name, pairs in by_run.items()}
    conditions = [column.conditions(run) for pairs in by_run.values() for run, value in pairs if value is not None]
    values = [float(median(each)) if each else None for each in known.values()]
    busy = [any(column.busy(run) for run, value in pairs if value is not None) for pairs in by_run.values()]
    problem = _problem(conditions, [name for name, was in zip(by_run, busy, strict=True) if was])
    front = pareto_front(
        [None if s is None else sign * s for s in scores], values, lower_is_better=column.lower_is_better
    )
    return Cost(
        column.key, column.label, column.unit, column.lower_is_better,
        tuple(
            VariantCost(name, value, min(each, default=None), max(each, default=None), score, on and not problem, was)
            for (name, each), value, score, on, was in zip(known.items(), values, scores, front, busy, strict=True)
        ),
        "" if problem or not conditions else ", ".join(_said(*item) for item in conditions[0].items()), problem,
    )  # fmt: skip


def _problem(conditions: Sequence[dict[str, Any]], busy: Sequence[str]) -> str:
    """The reason why the values of variants can't be compared, or ''; `busy` are variants measured on a busy machine."""
    said = []
    if unequal := list(_unequal(conditions)):
        said.append(f"measured differently: {'; '.join(unequal)}")
    if busy:
        said.append(f"measured on a busy machine: {', '.join(busy)}; repeat with `segengine cost`")
    return "; ".join(said)


def _unequal(conditions: Sequence[dict[str, Any]]) -> Iterator[str]:
    for name in dict.fromkeys(name for each in conditions for name in each):
        values = list(dict.fromkeys(_said(name, each[name]) for each in conditions if name in each))
        if len(values) > 1:
            yield " and ".join(values)


def _said(name: str, value: Any) -> str:
    if name == "size":
        return f"{value[0]}x{value[1]} pixels"
    if name == "by":
        return "measured by `segengine cost`" if value == "cost" else "measured at the run's end"
    if name in ("device", "memory"):
        return str(value)
    if name == "threads":
        return f"{value} thread{'s' * (value != 1)}"
    return f"{name} {value}"


def _network(_: LoadedRun) -> dict[str, Any]:
    return {}


def _counted(run: LoadedRun) -> dict[str, Any]:
    return {"size": run.record.macs_size} if run.record.macs_size else {}


def _measured(run: LoadedRun) -> dict[str, Any]:
    cost = run.cost
    if cost is None:
        return {}
    threads = {} if cost.threads is None else {"threads": cost.threads}
    return {
        "device": cost.device, **threads, "precision": cost.precision, "size": cost.size, "torch": cost.torch, "by": cost.by,
    }  # fmt: skip


def _of_batches(run: LoadedRun) -> dict[str, Any]:
    part = run.cost.throughput if run.cost else None
    return {**({"batch": part.batch} if part else {}), **_measured(run)}


def _of_memory(run: LoadedRun) -> dict[str, Any]:
    part = run.cost.memory if run.cost else None
    return {**({"batch": part.batch, "memory": _MEMORY[part.kind]} if part else {}), **_measured(run)}


def _trained(run: LoadedRun) -> dict[str, Any]:
    record = run.record
    threads = {} if record.threads is None else {"threads": record.threads}
    again = " with gradient checkpointing" if run.settings.get("training", {}).get("gradient_checkpointing") else ""
    return {
        "device": ", ".join(record.devices) + again, **threads, "precision": record.precision, "torch": record.versions.get("torch", "?")
    }  # fmt: skip


def _of_training_memory(run: LoadedRun) -> dict[str, Any]:
    part = run.record.train_memory
    return {**({"memory": _MEMORY[part.kind]} if part else {}), **_trained(run)}


def _on_busy_machine(run: LoadedRun) -> bool:
    return run.cost is not None and run.cost.rounds is not None and run.cost.rounds.busy


def _mib(memory: Any) -> float | None:
    return memory.peak_bytes / 2**20 if memory is not None else None


_MEMORY = {"cuda": "memory allocated on the GPU", "resident": "growth of the process's resident memory"}
_KINDS = (
    _Column("parameters", "parameters", "", lambda run: run.record.parameters, _network),
    _Column("macs", "multiply-adds per image", "", lambda run: run.record.macs, _counted),
    _Column("latency", "latency", "ms", lambda run: run.cost.latency.median_ms if run.cost else None, _measured,
          busy=_on_busy_machine),
    _Column(
        "throughput", "throughput", "images/s",
        lambda run: run.cost.throughput.images_per_second if run.cost and run.cost.throughput else None,
        _of_batches, lower_is_better=False, busy=_on_busy_machine,
    ),
    _Column("memory", "memory of inference", "MiB", lambda run: _mib(run.cost.memory if run.cost else None), _of_memory),
    _Column("train_memory", "memory of training", "MiB", lambda run: _mib(run.record.train_memory), _of_training_memory),
    _Column(
        "minutes", "training time", "min",
        lambda run: None if run.record.train_seconds is None else run.record.train_seconds / 60, _trained,
    ),
    _Column(
        "images_per_second", "training speed", "images/s", lambda run: run.record.images_per_second, _trained,
        lower_is_better=False,
    ),
)  # fmt: skip
"""All costs, in the order of a table's columns."""


def pareto_front(
    scores: Sequence[float | None], costs: Sequence[float | None], *, lower_is_better: bool = True
) -> tuple[bool, ...]:
    """Whether each choice is on the Pareto front: no other choice is at least as good in both and better in one.

    Higher scores are better, and lower costs, or higher ones if `lower_is_better` is False (a speed). Equal choices
    are on the front together. A choice without score or cost is not on the front and dominates no other.
    """
    sign = 1.0 if lower_is_better else -1.0
    points = [None if s is None or c is None else (s, sign * c) for s, c in zip(scores, costs, strict=True)]
    known = [point for point in points if point is not None]
    return tuple(point is not None and not any(_dominates(other, point) for other in known) for point in points)


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b
