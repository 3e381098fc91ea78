"""The HTML page of one run: self-contained, without scripts or network access."""

from collections.abc import Mapping, Sequence
from typing import Any

from segengine.figures.encoding import data_uri, png_of
from segengine.figures.examples import Augmented, Example
from segengine.figures.figure import Figure
from segengine.figures.labels import LabelLike, hexadecimal
from segengine.figures.numbers import count, finite, score
from segengine.figures.pages import page_css, policy, resource, templates
from segengine.figures.panels import Pixels, tile
from segengine.figures.series import look_up
from segengine.figures.sheets import augmented_caption, legend_name, present
from segengine.metrics.names import DEFAULT_METRIC, LABELS
from segengine.report import words
from segengine.report.charts import charts, extremes
from segengine.report.run_report import RunReport

COLUMNS = (  # key in a class's scores, heading
    ("dice", "Dice"),
    ("iou", "IoU"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("dice_per_group", "Dice per group"),
    ("dice_per_image", "Dice per image"),
    ("iou_per_group", "IoU per group"),
    ("iou_per_image", "IoU per image"),
)
TILE, SMALL_TILE = 360, 270  # longer side of a tile in pixels
MOST_TILE_BYTES, PICTURE_BYTES = 130_000, 600_000  # maximum size of one tile and of all tiles together


def run_page(report: RunReport, figures: Sequence[Figure] | None = None) -> str:
    """The page as HTML; all texts are escaped. `figures` are the run's charts, computed from the report if not given."""
    style = page_css(resource("segengine.report", "run.css"))
    pictures = 3 * len(report.examples) + 2 * len(report.augmentations)
    limit = min(MOST_TILE_BYTES, PICTURE_BYTES // max(1, pictures))
    return (
        templates("segengine.report")
        .get_template("run.html")
        .render(
            report=report, style=style, policy=policy(style),
            headline=words.headline(report), training=words.training(report), notes=words.notes(report),
            tiles=_headline_numbers(report),
            tables=[score_table(split, scores, report.labels) for split, scores in report.scores.items()],
            figures=list(charts(report)) if figures is None else figures,
            examples=[_example(example, report.labels, limit) for example in report.examples],
            example_legend=_legend(report.labels, [m for e in report.examples for m in (e.prediction, e.truth)]),
            augmentations=[_augmented(row, report.labels, limit) for row in report.augmentations],
            augmentation_legend=_legend(
                report.labels, [m for row in report.augmentations for m in (row.classes, row.augmented_classes)]
            ),
            facts=fact_groups(report.facts),
        )
    )  # fmt: skip


def score_table(split: str, scores: Mapping[str, Any], labels: Sequence[LabelLike]) -> dict[str, Any]:
    """The score table of one split: the mean, the classes that it covers, and one row per class.

    `parts` are pairs of a heading and rows; with more than 20 classes these are the ten lowest and the ten highest by Dice, and
    `rest` has the others.
    """
    columns = [column for column in COLUMNS if column[0] in scores["mean"] or not column[0].endswith("_per_group")]
    over = scores["mean"].get("over", ())
    keys = [key for key, _ in columns]
    rows = {
        label.name: _row(label, scores["classes"].get(label.name, {}), keys, counted=label.name in over)
        for label in labels
    }
    low, high = extremes(
        [name for name in rows if name in over],
        {n: finite(v.get(DEFAULT_METRIC)) for n, v in scores["classes"].items()},
    )
    parts = [("", list(rows.values()))]
    if low:
        parts = [
            (f"Lowest {LABELS[DEFAULT_METRIC]}", [rows[name] for name in low]),
            (f"Highest {LABELS[DEFAULT_METRIC]}", [rows[name] for name in high]),
        ]
    return {
        "split": split,
        "images": count(scores.get("images")),
        "headings": [heading for _, heading in columns],
        "parts": parts,
        "rest": [row for name, row in rows.items() if low and name not in (*low, *high)],
        "mean": [_cell(scores["mean"].get(key)) for key in keys],
        "over": words.classes(list(over)),
    }


def _row(label: LabelLike, values: Mapping[str, Any], keys: Sequence[str], *, counted: bool) -> dict[str, Any]:
    return {
        "name": label.name,
        "colour": hexadecimal(label.colour),
        "raw": str(label.raw),
        "counted": counted,
        "cells": [_cell(values.get(key)) for key in keys],
        "pixels": count(values.get("pixels")),
        "images": count(values.get("images")),
    }


def fact_groups(facts: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Facts as groups of (name, text); facts that are not nested form the first group, "Run"."""
    single = [(name, _text(value)) for name, value in facts.items() if not isinstance(value, Mapping)]
    groups = [
        (name, [(str(key), _text(inner)) for key, inner in value.items()])
        for name, value in facts.items()
        if isinstance(value, Mapping) and value
    ]
    return [("Run", single), *groups] if single else groups


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(inner) for inner in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _cell(value: Any) -> dict[str, Any]:
    number = finite(value)
    return {"text": score(value), "percent": None if number is None else round(100 * min(max(number, 0), 1), 1)}


def _headline_numbers(report: RunReport) -> list[tuple[str, str]]:
    if report.split is None:
        return []
    scores = report.scores[report.split]
    label, grouped = LABELS[DEFAULT_METRIC], f"{DEFAULT_METRIC}_per_group"
    shown = [
        (f"Mean {label}", DEFAULT_METRIC),
        (f"{label} per image", f"{DEFAULT_METRIC}_per_image"),
        ("Mean IoU", "iou"),
    ]
    if grouped in scores["mean"]:
        shown = [(f"{label} per group", grouped), *shown[:2]]
    numbers = [(name, score(look_up(scores, ("mean", key)))) for name, key in shown]
    return [*numbers, (f"{report.split} images", count(scores.get("images")))]


def _example(example: Example, labels: Sequence[LabelLike], limit: int) -> dict[str, Any]:
    kinds = (("image", None), ("prediction", example.prediction), ("truth", example.truth))
    return {
        "id": example.id,
        "rank": example.rank,
        "score": score(example.score),
        "tiles": [
            _tile(name, f"{name} of {example.id}", example.image, mask, labels, side=TILE, limit=limit)
            for name, mask in kinds
        ],
    }


def _augmented(row: Augmented, labels: Sequence[LabelLike], limit: int) -> dict[str, Any]:
    return {
        "caption": augmented_caption(row),
        "tiles": [
            _tile("original", f"{row.id} original", row.image, row.classes, labels, side=SMALL_TILE, limit=limit),
            _tile(
                "augmented",
                f"{row.id} augmented",
                row.augmented_image,
                row.augmented_classes,
                labels,
                side=SMALL_TILE,
                limit=limit,
            ),
        ],
    }


def _tile(
    name: str, alt: str, image: Pixels, classes: Pixels | None, labels: Sequence[LabelLike], *, side: int, limit: int
) -> dict[str, str | int]:
    painted = tile(image, classes, labels, side)
    data = png_of(painted, keep=[label.colour for label in labels], limit_bytes=limit)
    return {"name": name, "alt": alt, "uri": data_uri(data), "width": painted.shape[1], "height": painted.shape[0]}


def _legend(labels: Sequence[LabelLike], masks: Sequence[Pixels]) -> list[tuple[str, str | None]]:
    """Names and colours of the legend; the colour is None for ignored pixels, which are hatched."""
    return [(legend_name(label), hexadecimal(label.colour) if label else None) for label in present(labels, masks)]
