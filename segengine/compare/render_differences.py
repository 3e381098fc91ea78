"""The section "differences" of a comparison: tables, sentences and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segengine.compare.differences import Differences, PairDifference
from segengine.compare.verdict import WORDS
from segengine.compare.words import methods, order, points, sentence, shown_p

_MOST_CLASS_ROWS = 60


@dataclass(frozen=True)
class DifferencesText:
    """What a page shows: caption, header and rows of each table, then lines, then the methods."""

    tables: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    lines: tuple[str, ...]
    methods: str


def section(found: Sequence[Differences]) -> DifferencesText | None:
    """The differences of one metric, pooled and per image; None where there is no pair."""
    if not found or not found[0].rows:
        return None
    tables = [_means(found)]
    by_class = [row for row in found[0].rows if row.score is not None]
    if 0 < len(by_class) <= _MOST_CLASS_ROWS:
        tables.append(_classes(found[0], by_class))
    lines = [sentence(found[0], row) for row in found[0].means]
    lines += [line for each in found[:1] for line in order(each)]
    lines += [
        f"the means compared are without {', '.join(each.undefined)}, which some model has in neither truth nor prediction "
        f"({WORDS[each.kind]})"
        for each in found[:1]
        if each.undefined
    ]
    if any(row.about == "models" for row in found[0].rows):
        lines.append("one seed shows what these models do; what another training would give needs at least 2 seeds")
    return DifferencesText(tuple(tables), tuple(lines), f"Methods: {methods(found[0])}")


def as_data(found: Sequence[Differences]) -> list[dict[str, Any]]:
    """All differences as plain data."""
    return [
        {
            "metric": each.metric, "kind": each.kind, "margin": each.choices.margin, "confidence": each.choices.confidence,
            "resamples": each.choices.resamples, "unit": "group" if each.grouped else "image", "units": each.units,
            "undefined": list(each.undefined),
            "pairs": [{**asdict(row), "seeds": list(row.seeds), "words": sentence(each, row)} for row in each.rows],
            "ranking": _ranking(each), "methods": methods(each) if each.rows else "",
        }
        for each in found
    ]  # fmt: skip


def _ranking(found: Differences) -> dict[str, Any] | None:
    if found.ranking is None:
        return None
    names = dict.fromkeys(name for row in found.means for name in (row.first, row.second))
    rank = found.ranking
    each = zip(names, rank.best, rank.mean_rank, rank.ranks, strict=True)
    return {
        "stability": rank.stability,
        "variants": [{"name": n, "best": b, "mean_rank": m, "ranks": list(r)} for n, b, m, r in each],
    }


def _means(found: Sequence[Differences]) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    rows = [
        (f"{row.first} - {row.second}", WORDS[each.kind], *_numbers(row), _sources(row), row.verdict)
        for each in found
        for row in each.means
    ]
    level = f"{100 * found[0].choices.confidence:g} % interval"
    header = ("pair", "kind", "difference", level, "p (Holm)", "SD units, seeds", "verdict")
    caption = f"differences of mean {WORDS[found[0].metric]} in points; SD: parts of the standard error"
    return caption, header, tuple(rows)


def _classes(found: Differences, by_class: Sequence[PairDifference]) -> tuple[str, tuple[str, ...], Any]:
    rows = [
        (f"{row.first} - {row.second}", row.score or "", str(row.units), *_numbers(row), row.verdict)
        for row in by_class
    ]
    unit = "groups" if found.grouped else "images"
    header = (
        "pair",
        "class",
        unit,
        "difference",
        f"{100 * found.choices.confidence:g} % interval",
        "p (Holm)",
        "verdict",
    )
    return f"differences of {WORDS[found.metric]} by class in points, {WORDS[found.kind]}", header, tuple(rows)


def _numbers(row: PairDifference) -> tuple[str, str, str]:
    interval = "–" if row.low is None else f"{points(row.low)} to {points(row.high)}"
    return points(row.difference), interval, shown_p(row.p_holm)


def _sources(row: PairDifference) -> str:
    if row.sd_units is None or row.sd_seeds is None:
        return "–"
    return f"{100 * row.sd_units:.2f}, " + (f"{100 * row.sd_seeds:.2f}" if row.about == "variants" else "–")
