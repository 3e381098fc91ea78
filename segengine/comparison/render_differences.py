"""The section "differences" of a comparison: tables, sentences and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.verdict import WORDS, word
from segengine.comparison.summary import METRICS
from segengine.comparison.words import leading, methods, order, points, ranked, sentence, shown_p

_MOST_CLASS_ROWS = 60
_MOST_PAIRS = 60


@dataclass(frozen=True)
class DifferencesText:
    """What a page shows: caption, header and rows of each table, then lines, then the methods."""

    tables: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    lines: tuple[str, ...]
    methods: str


def section(found: Sequence[Differences]) -> DifferencesText | None:
    """The differences of one metric, pooled and per image; None where there is no pair.

    The lines leave out what the verdict says: the pair of the two best variants. Of very many pairs only those with the
    best variant are shown.
    """
    if not found or not found[0].rows:
        return None
    first, lead = found[0], leading(found[0])
    shown = [_shown(each) for each in found]
    tables = [_means(found, shown)]
    by_class = [row for row in first.rows if row.score is not None]
    if 0 < len(by_class) <= _MOST_CLASS_ROWS:
        tables.append(_classes(first, by_class))
    lines = [sentence(first, row) for row in shown[0] if row is not lead]
    if len(shown[0]) < len(first.means):
        lines.append(
            f"of {len(first.means):,} pairs those with {ranked(first)[0]}, the first by mean "
            f"{word(first.metric, first.measure)}, are shown; --json has all"
        )
    lines += order(first)
    if first.undefined:
        lines.append(
            f"the means compared are without {', '.join(first.undefined)}, which some model has "
            + ("in neither truth nor prediction" if first.metric in METRICS else "without a value in any image")
            + f" ({WORDS[first.kind]})"
        )
    return DifferencesText(tuple(tables), tuple(lines), f"Methods: {methods(first)}")


def _shown(found: Differences) -> list[PairDifference]:
    if len(found.means) <= _MOST_PAIRS:
        return list(found.means)
    best = ranked(found)[0]
    return [row for row in found.means if best in (row.first, row.second)]


def as_data(found: Sequence[Differences]) -> list[dict[str, Any]]:
    """All differences as plain data."""
    return [
        {
            "metric": each.metric, "better": each.measure.better,
            "kind": each.kind, "margin": each.choices.margin, "confidence": each.choices.confidence,
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


def _means(
    found: Sequence[Differences], shown: Sequence[Sequence[PairDifference]]
) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    rows = [
        (f"{row.first} - {row.second}", WORDS[each.kind], *_numbers(each, row), _sources(each, row), row.verdict)
        for each, rows_of_kind in zip(found, shown, strict=True)
        for row in rows_of_kind
    ]
    level = f"{100 * found[0].choices.confidence:g} % interval"
    header = ("pair", "kind", "difference", level, "p (Holm)", "SD units, seeds", "verdict")
    caption = f"differences of mean {word(found[0].metric, found[0].measure)} in {found[0].measure.unit}; SD: parts of the standard error"
    return caption, header, tuple(rows)


def _classes(found: Differences, by_class: Sequence[PairDifference]) -> tuple[str, tuple[str, ...], Any]:
    rows = [
        (f"{row.first} - {row.second}", row.score or "", str(row.units), *_numbers(found, row), row.verdict)
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
    return (
        f"differences of {word(found.metric, found.measure)} by class in {found.measure.unit}, {WORDS[found.kind]}",
        header,
        tuple(rows),
    )


def _numbers(found: Differences, row: PairDifference) -> tuple[str, str, str]:
    interval = "–" if row.low is None else f"{points(row.low, found.measure)} to {points(row.high, found.measure)}"
    return points(row.difference, found.measure), interval, shown_p(row.p_holm)


def _sources(found: Differences, row: PairDifference) -> str:
    if row.sd_units is None or row.sd_seeds is None:
        return "–"
    factor = found.measure.factor
    return f"{factor * row.sd_units:.2f}, " + (f"{factor * row.sd_seeds:.2f}" if row.about == "variants" else "–")
