"""A comparison as JSON-compatible data, `format: 1`: keys may be added, but not removed or changed in meaning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from segengine.comparison.fairness import left_out
from segengine.comparison.judge import Judged
from segengine.comparison.methods import statistics
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.summary import Refusal, ScoreTable, VariantSummary
from segengine.comparison.tables import tables_of

MOST_SAID = 300
"""With more pairs, there are no sentences per pair, and only pairs with the best variant have classes and other means."""


def refused(refusal: Refusal) -> dict[str, Any]:
    """The document of an experiment that can't be compared, with the reason."""
    others = [asdict(other) for other in refusal.others]
    return {"title": refusal.title, "refused": refusal.message, "left_out": others}


def document(judged: Judged) -> dict[str, Any]:
    """A comparison as JSON-compatible data; undefined scores are None. `refused` is None."""
    comparison, said = judged.comparison, judged.said
    return {
        "title": comparison.title,
        "refused": None,
        "split": comparison.split,
        "images": comparison.image_count,
        "groups": comparison.group_count,
        "averaged": list(comparison.averaged),
        "undefined": list(comparison.undefined),
        "headline": judged.kind,
        "classes": [asdict(facts) for facts in comparison.classes],
        "variants": [_variant(judged, variant) for variant in comparison.variants],
        "factor": asdict(comparison.factor) if comparison.factor else None,
        "confounders": [asdict(difference) for difference in comparison.confounders],
        "notes": list(said.fairness.notes),
        "verdict": " ".join(said.verdict),
        "differences": [_differences(judged, found) for found in _in_order(judged)],
        "costs": [{**asdict(cost), "front": list(cost.front)} for cost in judged.costs],
        "left_out": [asdict(other) for other in comparison.others],
        "sentences": {
            "about": list(said.about), "verdict": list(said.verdict), "compared": said.fairness.factor,
            "other_differences": list(said.fairness.confounders), "notes": list(said.fairness.notes),
            "left_out": left_out(comparison), "pairs": list(said.pairs), "order": list(said.order),
            "methods": said.methods, "references": list(said.references),
        },
        "tables": {table.name: _table(table) for table in tables_of(judged)},
    }  # fmt: skip


def as_text(content: Any, judged: Sequence[Judged]) -> str:
    """JSON text, indented unless there are very many pairs; then without white space."""
    many = any(len(found.means) > MOST_SAID for each in judged for found in each.found)
    layout: dict[str, Any] = {"separators": (",", ":")} if many else {"indent": 2}
    return json.dumps(content, ensure_ascii=False, allow_nan=False, **layout)


def _table(table: Any) -> dict[str, Any]:
    keys, rows = table.values()
    return {"caption": table.caption, "columns": keys, "rows": rows}


def _in_order(judged: Judged) -> list[Differences]:
    """Pooled, per image, per group."""
    kinds = judged.comparison.kinds(judged.metric)
    return sorted(judged.found, key=lambda found: kinds.index(found.kind))


def _differences(judged: Judged, found: Differences) -> dict[str, Any]:
    many = len(found.means) > MOST_SAID
    rows = [row for row in found.rows if not many or _kept(judged, found, row)]
    return {
        "metric": found.metric, "better": found.measure.better,
        "kind": found.kind, "margin": found.choices.margin, "confidence": found.choices.confidence,
        "resamples": found.choices.resamples, "unit": judged.case, "units": found.units,
        "undefined": list(judged.comparison.undefined), "pairs_in_all": len(found.means),
        "pairs": [
            {**asdict(row), "seeds": list(row.seeds), "words": None if many else judged.sentence(found, row)} for row in rows
        ],
        "ranking": _ranking(judged, found), "methods": statistics(found) if found.rows else "",
    }  # fmt: skip


def _kept(judged: Judged, found: Differences, row: PairDifference) -> bool:
    """The rows for very many pairs: the headline's mean of all pairs, and all rows of pairs with the best variant."""
    best = judged.names[judged.ranked[0]]
    return (row.score is None and found.kind == judged.kind) or best in (row.first, row.second)


def _ranking(judged: Judged, found: Differences) -> dict[str, Any] | None:
    if found.ranking is None:
        return None
    rank = found.ranking
    each = zip(judged.names, rank.best, rank.mean_rank, rank.ranks, strict=True)
    return {
        "stability": rank.stability,
        "variants": [{"name": n, "best": b, "mean_rank": m, "ranks": list(r)} for n, b, m, r in each],
    }


def _variant(judged: Judged, variant: VariantSummary) -> dict[str, Any]:
    names = [facts.name for facts in judged.comparison.classes]

    def scores(table: ScoreTable) -> dict[str, Any]:
        return {
            "mean": asdict(table.mean),
            "classes": {n: asdict(s) for n, s in zip(names, table.classes, strict=True)},
        }

    by_metric: dict[str, dict[str, Any]] = {}
    for (metric, kind), table in variant.scores.items():
        by_metric.setdefault(metric, {})[kind] = scores(table)
    return {
        "name": variant.name,
        "seeds": list(variant.seeds),
        "runs": list(variant.runs),
        **by_metric,
        "undefined": list(variant.undefined),
        "parameters": variant.parameters,
        "macs": variant.macs,
        "images_per_second": asdict(variant.images_per_second),
        "minutes": asdict(variant.minutes),
    }
