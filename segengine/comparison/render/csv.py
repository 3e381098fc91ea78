"""All values of a comparison as tidy rows: one CSV per subject, without rounding."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from segengine.comparison.judge import Judged
from segengine.comparison.statistics.ratios import unit_ratios
from segengine.comparison.table import Table
from segengine.files import csv_cell

Rows = list[dict[str, Any]]


def records(judged: Judged) -> dict[str, Rows]:
    """File name -> rows; subjects without rows are omitted."""
    found = {
        "scores": list(_scores(judged)), "differences": list(_differences(judged)), "ranking": list(_ranking(judged)),
        "costs": list(_costs(judged)), "curves": list(_curves(judged)), "confusion": list(_confusion(judged)),
        "images": list(_images(judged)),
    }  # fmt: skip
    return {name: rows for name, rows in found.items() if rows}


def as_csv(rows: Rows) -> str:
    """Rows as CSV with a header; undefined values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def table_csv(table: Table) -> str:
    """A table's unrounded values, an interval in two columns."""
    text = io.StringIO()
    keys, rows = table.values()
    csv.writer(text, lineterminator="\n").writerows([list(map(_cell, keys)), *([*map(_cell, row)] for row in rows)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else value


def _scores(judged: Judged) -> Iterator[dict[str, Any]]:
    for i, variant in enumerate(judged.comparison.variants):
        for kind in judged.intervals:
            table, ends = variant.scores[judged.metric, kind], judged.intervals[kind][i]
            parts = [("(mean)", table.mean, ends.mean), *zip(judged.classes, table.classes, ends.classes, strict=True)]
            for score, spread, interval in parts:
                low, high = interval or (None, None)
                head = {"variant": variant.name, "metric": judged.metric, "kind": kind, "class": score}
                own = {
                    "mean": spread.mean,
                    "low": low,
                    "high": high,
                    "sd_over_seeds": spread.sd,
                    "seeds": len(variant.seeds),
                }
                yield {**head, **own, **{f"seed {s}": v for s, v in zip(variant.seeds, spread.values, strict=True)}}


def _differences(judged: Judged) -> Iterator[dict[str, Any]]:
    for found in judged.found:
        for row in found.rows:
            yield {
                "first": row.first, "second": row.second, "metric": found.metric, "kind": found.kind, "class": row.score or "(mean)",
                "about": row.about, "units": row.units, "difference": row.difference, "low": row.low, "high": row.high,
                "sd_units": row.sd_units, "sd_seeds": row.sd_seeds, "df": row.df, "p": row.p, "p_holm": row.p_holm, "verdict": row.verdict,
            }  # fmt: skip


def _ranking(judged: Judged) -> Iterator[dict[str, Any]]:
    for found in judged.found:
        rank = found.ranking
        for i, name in enumerate(judged.names if rank else ()):
            assert rank is not None
            yield {
                "variant": name, "metric": found.metric, "kind": found.kind, "came_first": rank.best[i], "mean_rank": rank.mean_rank[i],
                "rank_low": rank.ranks[i][0], "rank_high": rank.ranks[i][1], "kendall_tau": rank.stability,
            }  # fmt: skip


def _costs(judged: Judged) -> Iterator[dict[str, Any]]:
    for cost in judged.costs:
        for v in cost.variants:
            yield {
                "variant": v.variant, "cost": cost.key, "unit": cost.unit, "median": v.value, "lowest": v.minimum, "highest": v.maximum,
                "score": v.score, "on_front": v.on_front, "lower_is_better": cost.lower_is_better,
                "condition": cost.condition, "problem": cost.problem,
            }  # fmt: skip


def _curves(judged: Judged) -> Iterator[dict[str, Any]]:
    for name, course in zip(judged.names, judged.courses, strict=True):
        for what, values in ((f"validation mean {judged.curve_metric}", course.score), ("training loss", course.loss)):
            for epoch, each in values.items():
                for run, value in enumerate(each):
                    yield {"variant": name, "what": what, "epoch": epoch, "run": run, "value": value}


def _confusion(judged: Judged) -> Iterator[dict[str, Any]]:
    """Non-zero entries of the confusion matrices."""
    if judged.confusions is None:
        return
    for i, name in enumerate(judged.names):
        for (truth, predicted), pixels in np.ndenumerate(judged.confusions[i]):
            if not pixels:
                continue
            yield {
                "variant": name,
                "truth": judged.classes[truth],
                "predicted": judged.classes[predicted],
                "pixels": int(pixels),
            }


def _images(judged: Judged) -> Iterator[dict[str, Any]]:
    """Scores per image and model, for further analysis."""
    ids, groups = judged.comparison.models.ids, judged.comparison.models.groups
    for model in judged.comparison.models.models:
        above, below = unit_ratios(model, np.arange(len(ids)), judged.metric, judged.comparison.kinds(judged.metric)[0])
        for id_, group, tops, bottoms in zip(ids, groups, above.tolist(), below.tolist(), strict=True):
            head = {"image": id_, "group": group, "variant": model.variant, "seed": model.seed}
            pairs = zip(judged.classes, tops, bottoms, strict=True)
            yield {**head, **{f"{judged.metric} {name}": a / b if b else None for name, a, b in pairs}}
