"""What variants cost, as tables, lines and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from segengine.comparison.costs import Cost, VariantCost, cost_problems, costs_of
from segengine.comparison.summary import Comparison, Metric

Table = tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Caption, header, rows."""

_DASH = "–"
_HEADERS = {
    "parameters": "parameters", "macs": "MACs an image", "latency": "latency ms", "throughput": "images/s", "memory": "memory MiB",
    "minutes": "minutes", "images_per_second": "images/s", "train_memory": "memory MiB",
}  # fmt: skip
_USE = ("parameters", "macs", "latency", "throughput", "memory")
_TRAINING = ("minutes", "images_per_second", "train_memory")


def cost_tables(comparison: Comparison, metric: Metric) -> list[Table]:
    """What using a variant's network costs, and what training it took; medians over runs."""
    costs = {cost.key: cost for cost in costs_of(comparison, metric)}
    tables = [
        _table("what using a network costs", [costs[key] for key in _USE if key in costs], "latency"),
        _table("what training took", [costs[key] for key in _TRAINING if key in costs], "minutes"),
    ]
    return [table for table in tables if table[2]]


def _table(caption: str, costs: Sequence[Cost], about: str) -> Table:
    condition = next((cost.condition for cost in costs if cost.key == about), "")
    marks = len(costs[0].variants) > 1 and any(cost.front for cost in costs) if costs else False
    text = caption + (f" ({condition})" if condition else "") + ("; * is on the Pareto front" if marks else "")
    names = [variant.variant for variant in costs[0].variants] if costs else []
    rows = tuple((name, *(_shown(c, c.variants[place], marks) for c in costs)) for place, name in enumerate(names))
    return text, ("variant", *(_HEADERS[cost.key] for cost in costs)), rows


def _shown(cost: Cost, variant: VariantCost, marks: bool) -> str:
    if variant.value is None:
        return _DASH
    number = large(variant.value) if cost.key in ("parameters", "macs") else _small(variant.value)
    return f"*{number}" if marks and variant.on_front else number


def large(value: float) -> str:
    """`9.2 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def _small(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def cost_lines(comparison: Comparison, metric: Metric) -> list[str]:
    """What fronts mean, which costs can't be compared and why, and what a budget of minutes came to."""
    costs = costs_of(comparison, metric)
    lines = [*_budget(comparison)]
    if len(comparison.variants) > 1 and any(cost.front for cost in costs):
        lines.append(
            "Pareto front: no other variant has at least the same mean score at no more of that cost; it is drawn by mean "
            "scores alone, whose differences may be chance"
        )
    labels: dict[str, list[str]] = {}
    for cost in costs:
        if cost.problem:
            labels.setdefault(cost.problem, []).append(cost.label)
    lines += [
        f"costs that can't be compared, measured differently ({why}): {', '.join(which)}"
        for why, which in labels.items()
    ]
    return lines + cost_problems(comparison)


def _budget(comparison: Comparison) -> Iterator[str]:
    """Facts of runs that had equal minutes; epochs, steps and images are medians over a variant's runs."""
    runs = {
        name: [r.record for unit in units for r in unit.runs] for name, units in comparison.units.by_variant().items()
    }
    minutes = {record.budget.get("minutes") for records in runs.values() for record in records}
    if len(minutes) != 1 or None in minutes:
        return
    came = []
    for name, records in runs.items():
        trained = [record.trained for record in records if record.trained is not None]
        if trained:
            epochs, steps, images = (median(getattr(t, key) for t in trained) for key in ("epochs", "steps", "images"))
            came.append(f"{name} {epochs:.1f} epochs ({steps:,.0f} steps, {images:,.0f} images)")
    yield f"budget: {minutes.pop():g} minutes of training each, which came to: {'; '.join(came)}"


def cost_data(comparison: Comparison, metric: Metric) -> list[dict[str, Any]]:
    """Every cost with its values, its Pareto front and how it was measured, as plain data."""
    return [{**asdict(cost), "front": list(cost.front)} for cost in costs_of(comparison, metric)]
