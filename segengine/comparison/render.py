"""A comparison as a terminal table, as Markdown and as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from segengine.comparison.measures import Measure
from segengine.comparison.render_costs import cost_data, cost_lines, cost_tables
from segengine.comparison.render_differences import as_data, section
from segengine.comparison.statistics.differences import DEFAULTS, Choices, Differences, differences
from segengine.comparison.statistics.verdict import WORDS, word
from segengine.comparison.summary import (
    Comparison,
    Kind,
    Metric,
    Refusal,
    ScoreTable,
    Spread,
    VariantSummary,
    kinds_of,
)
from segengine.comparison.words import verdict

if TYPE_CHECKING:
    from rich.console import Console

DASH = "–"
_MOST_COLUMNS = 8


@dataclass(frozen=True)
class Grid:
    """A table in words: the first column holds names, the others numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(comparison: Comparison, metric: Metric, found: Sequence[Differences] = ()) -> list[Grid]:
    """Means by variant, the scores of each class pooled and per image, costs, and the differences `found`."""
    text = section(found)
    return [
        _scores(comparison, metric),
        *(_by_class(comparison, metric, kind) for kind in kinds_of(metric)),
        *(Grid(*table) for table in cost_tables(comparison, metric)),
        *(Grid(*table) for table in (text.tables if text else ())),
    ]


def found_of(comparison: Comparison, metric: Metric, choices: Choices) -> list[Differences]:
    """The differences of one metric, pooled (from counts) and per image; none of a single variant."""
    if len(comparison.variants) < 2:
        return []
    return [differences(comparison, metric, kind, choices) for kind in kinds_of(metric)]


def judged(found: Sequence[Differences]) -> list[str]:
    """What the differences say, and how they were judged."""
    text = section(found)
    return [*text.lines, text.methods] if text else []


def preface(comparison: Comparison) -> list[str]:
    """What the scores are about: images, groups, classes of the means."""
    group_count = comparison.group_count
    groups = "" if group_count == comparison.image_count else f" of {group_count} group{'s' * (group_count != 1)}"
    images = f"{comparison.image_count} {comparison.split} image{'s' * (comparison.image_count != 1)}{groups}"
    left_out = [facts.name for facts in comparison.classes if not facts.averaged]
    without = f", without {', '.join(left_out)}" if left_out else ""
    plural = "class" if len(comparison.averaged) == 1 else "classes"
    return [f"{images}; means over {len(comparison.averaged)} {plural}: {', '.join(comparison.averaged)}{without}"]


def remarks(comparison: Comparison, metric: Metric, found: Sequence[Differences]) -> list[str]:
    """The verdict, what is compared, what else differs, and which runs are left out."""
    lines = [verdict(comparison, metric, found)]
    if comparison.factor is not None:
        lines.append(f"compared: {comparison.factor.text()}")
    if comparison.confounders:
        lines.append("besides, these differ, and may be the reason for any difference:")
        lines += [f"  {'within a variant: ' if d.within else ''}{d.text()}" for d in comparison.confounders]
    lines += [f"note: {note}" for note in (*comparison.notes, *cost_lines(comparison, metric))]
    return [*lines, *left_out(comparison)]


def left_out(result: Comparison | Refusal) -> list[str]:
    """A line for each run that is no part of the table."""
    return [f"left out: {o.name} ({o.status}{f': {o.message}' if o.message else ''})" for o in result.others]


def terminal(comparison: Comparison, metric: Metric, console: Console, choices: Choices = DEFAULTS) -> None:
    """Print a comparison."""
    from rich.markup import escape
    from rich.table import Table

    console.print(f"[bold]{escape(comparison.title)}[/bold]")
    for line in preface(comparison):
        console.print(escape(line), soft_wrap=True)
    found = found_of(comparison, metric, choices)
    for grid in grids(comparison, metric, found):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for place, name in enumerate(grid.header):
            table.add_column(escape(name), justify="right" if place else "left", no_wrap=place == 0)
        for row in grid.rows:
            table.add_row(*map(escape, row))
        console.print(f"\n[italic]{escape(grid.caption)}[/italic]", soft_wrap=True)
        console.print(table)
    console.print()
    for line in [*remarks(comparison, metric, found), *judged(found)]:
        console.print(escape(line), soft_wrap=True)


def markdown(comparison: Comparison, metric: Metric, choices: Choices = DEFAULTS) -> str:
    """A comparison as Markdown."""
    found = found_of(comparison, metric, choices)
    lines = [f"## {cell(comparison.title)}", "", *preface(comparison)]
    for grid in grids(comparison, metric, found):
        lines += ["", f"**{cell(grid.caption)}**", ""]
        lines.append("| " + " | ".join(map(cell, grid.header)) + " |")
        lines.append("| :-- |" + " --: |" * (len(grid.header) - 1))
        lines += ["| " + " | ".join(map(cell, row)) + " |" for row in grid.rows]
    said = [*remarks(comparison, metric, found), *judged(found)]
    lines += ["", *(f"{'  ' if line.startswith('  ') else ''}- {cell(line.strip())}" for line in said)]
    return "\n".join(lines) + "\n"


def document(result: Comparison | Refusal, metric: Metric, choices: Choices = DEFAULTS) -> dict[str, Any]:
    """A comparison as plain data; undefined scores are None. Has `refused` (the reason) where there is none."""
    others = [asdict(other) for other in result.others]
    if isinstance(result, Refusal):
        return {"title": result.title, "refused": result.message, "left_out": others}
    found = found_of(result, metric, choices)
    return {
        "title": result.title,
        "refused": None,
        "split": result.split,
        "images": result.image_count,
        "groups": result.group_count,
        "averaged": list(result.averaged),
        "classes": [asdict(facts) for facts in result.classes],
        "variants": [_variant(result, variant) for variant in result.variants],
        "factor": asdict(result.factor) if result.factor else None,
        "confounders": [asdict(difference) for difference in result.confounders],
        "notes": list(result.notes),
        "verdict": verdict(result, metric, found),
        "differences": as_data(found),
        "costs": cost_data(result, metric),
        "left_out": others,
    }


def _variant(comparison: Comparison, variant: VariantSummary) -> dict[str, Any]:
    names = [facts.name for facts in comparison.classes]

    def scores(table: ScoreTable) -> dict[str, Any]:
        return {
            "mean": asdict(table.mean),
            "classes": {n: asdict(s) for n, s in zip(names, table.classes, strict=True)},
        }

    return {
        "name": variant.name,
        "seeds": list(variant.seeds),
        "runs": list(variant.runs),
        **{
            metric: {kind: scores(variant.scores[metric, kind]) for kind in kinds_of(metric)}
            for metric in dict.fromkeys(metric for metric, _ in variant.scores)
        },
        "undefined": list(variant.undefined),
        "parameters": variant.parameters,
        "macs": variant.macs,
        "images_per_second": asdict(variant.images_per_second),
        "minutes": asdict(variant.minutes),
    }


def _scores(comparison: Comparison, metric: Metric) -> Grid:
    rows = []
    kinds = kinds_of(metric)
    for variant in comparison.variants:
        means = [variant.scores[metric, kind].mean for kind in kinds]
        extent = DASH if means[0].sd is None else f"{means[0].minimum:.3f}-{means[0].maximum:.3f}"
        rows.append((variant.name, str(len(variant.seeds)), *map(_score, means), extent))
    name = word(metric, comparison.measure(metric))
    header = ("variant", "seeds", *(f"{name} {WORDS[kind]}" for kind in kinds), f"range of {WORDS[kinds[0]]}")
    caption = (
        f"mean {name} over classes{_direction(comparison.measure(metric))}; ± is the standard deviation over seeds"
    )
    return Grid(caption, header, tuple(rows))


def _direction(measure: Measure) -> str:
    """What lengths are in, and that less of them is better: what a reader of scores doesn't expect."""
    return f"{measure.in_unit}; lower is better" if measure.better == "lower" else measure.in_unit


def _by_class(comparison: Comparison, metric: Metric, kind: Kind) -> Grid:
    """Variants by classes, or classes by variants, whichever is narrower."""
    caption = f"{word(metric, comparison.measure(metric))} by class, {'pooled over images' if kind == 'pooled' else 'mean over images'}"
    cells = [[_score(spread) for spread in variant.scores[metric, kind].classes] for variant in comparison.variants]
    names = [facts.name + ("" if facts.averaged else "*") for facts in comparison.classes]
    images = [str(facts.images) for facts in comparison.classes]
    if any(not facts.averaged for facts in comparison.classes):
        caption += " (* not in the means)"
    variants = [variant.name for variant in comparison.variants]
    if len(names) > _MOST_COLUMNS or len(variants) <= 3:
        rows = [(name, n, *(row[k] for row in cells)) for k, (name, n) in enumerate(zip(names, images, strict=True))]
        return Grid(caption, ("class", "images", *variants), tuple(rows))
    rows = [(name, *row) for name, row in zip(variants, cells, strict=True)]
    return Grid(caption, ("variant", *names), (*rows, ("images with the class", *images)))


def _score(spread: Spread) -> str:
    if spread.mean is None:
        return DASH
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.sd is not None else "")


def cell(text: str) -> str:
    """Text that Markdown takes as it is: no cell ends early, nothing turns into markup."""
    return "".join(f"\\{c}" if c in "\\|*_`<[]" else c for c in " ".join(text.split()))


def refusals(results: Sequence[Comparison | Refusal]) -> list[str]:
    """Why tables can't be made; that an experiment isn't finished is no reason to complain while another one is."""
    some = any(isinstance(result, Comparison) for result in results)
    return [f"{r.title}: {r.message}" for r in results if isinstance(r, Refusal) and not (some and r.unfinished)]
