"""The page of one run: self-contained HTML that needs no script and no network."""

from collections.abc import Mapping, Sequence
from typing import Any

from segengine.figures.encoding import data_uri, png_of
from segengine.figures.examples import Augmented, Example
from segengine.figures.figure import page_css
from segengine.figures.labels import LabelLike, hexadecimal
from segengine.figures.numbers import count, finite, plural, score
from segengine.figures.panels import Pixels, tile
from segengine.figures.series import look_up
from segengine.figures.sheets import augmented_caption, legend_name, present
from segengine.figures.theme import DARK, LIGHT
from segengine.report import words
from segengine.report.classes import describe_classes
from segengine.report.confusion import describe_confusion
from segengine.report.curves import describe_curves
from segengine.report.run_report import RunReport, charts

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
TILE, SMALL_TILE = 360, 270  # pixels of a tile's longer side
TILE_BYTES, SMALL_TILE_BYTES = 130_000, 70_000


def run_page(report: RunReport, drawn: Mapping[str, bytes] | None = None) -> str:
    """The whole page as HTML, every text from outside escaped; `drawn` are light figures that are there already."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("segengine.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("run.html").render(
        report=report,
        style=page_css(),
        headline=words.headline(report),
        training=words.training(report),
        notes=words.notes(report),
        tiles=_headline_numbers(report),
        tables=[score_table(split, scores, report.labels) for split, scores in report.scores.items()],
        charts=_charts(report, dict(charts(report, LIGHT)) if drawn is None else drawn),
        examples=[_example(example, report.labels) for example in report.examples],
        example_legend=_legend(report.labels, [m for e in report.examples for m in (e.prediction, e.truth)]),
        augmentations=[_augmented(row, report.labels) for row in report.augmentations],
        augmentation_legend=_legend(
            report.labels, [m for row in report.augmentations for m in (row.classes, row.augmented_classes)]
        ),
        facts=fact_groups(report.facts),
    )


def score_table(split: str, scores: Mapping[str, Any], labels: Sequence[LabelLike]) -> dict[str, Any]:
    """One split's scores as a table of text: a row a class, and the mean with what it is over."""
    columns = [column for column in COLUMNS if column[0] in scores["mean"] or not column[0].endswith("_per_group")]
    rows = []
    for label in labels:
        values = scores["classes"].get(label.name, {})
        rows.append(
            {
                "name": label.name,
                "colour": hexadecimal(label.colour),
                "raw": str(label.raw),
                "counted": label.name in scores["mean"].get("over", ()),
                "cells": [_cell(values.get(key)) for key, _ in columns],
                "pixels": count(values.get("pixels")),
                "images": count(values.get("images")),
            }
        )
    return {
        "split": split,
        "images": plural(int(scores.get("images") or 0), "image"),
        "headings": [heading for _, heading in columns],
        "rows": rows,
        "mean": [_cell(scores["mean"].get(key)) for key, _ in columns],
        "over": words.classes(list(scores["mean"].get("over", ()))),
    }


def fact_groups(facts: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Facts as groups of name and text; what isn't in a group of its own comes first, under "Run"."""
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
    shown = [("Mean Dice", "dice"), ("Dice per image", "dice_per_image"), ("Mean IoU", "iou")]
    if "dice_per_group" in scores["mean"]:
        shown = [("Dice per group", "dice_per_group"), *shown[:2]]
    numbers = [(name, score(look_up(scores, ("mean", key)))) for name, key in shown]
    return [*numbers, (f"{report.split} images", count(scores.get("images")))]


def _charts(report: RunReport, light: Mapping[str, bytes]) -> list[dict[str, str]]:
    """The figures with numbers, light and dark, with their words."""
    about = {
        "curves": ("Training", describe_curves(report.rows, report.marked_epoch)),
        "classes": ("Each class on the validation images", describe_classes(report.rows, report.labels)),
    }
    if report.confusion is not None:
        about["confusion"] = (
            f"Confusion on the {report.split} images",
            describe_confusion(report.confusion, report.labels),
        )
    return [
        {
            "name": name,
            "heading": about[name][0],
            "alt": about[name][1],
            "light": data_uri(light[name]),
            "dark": data_uri(data),
        }
        for name, data in charts(report, DARK)
    ]


def _example(example: Example, labels: Sequence[LabelLike]) -> dict[str, Any]:
    kinds = (("image", None), ("prediction", example.prediction), ("truth", example.truth))
    return {
        "id": example.id,
        "rank": example.rank,
        "score": score(example.score),
        "tiles": [_tile(name, f"{name} of {example.id}", example.image, mask, labels) for name, mask in kinds],
    }


def _augmented(row: Augmented, labels: Sequence[LabelLike]) -> dict[str, Any]:
    return {
        "caption": augmented_caption(row),
        "tiles": [
            _tile("original", f"{row.id} as it is", row.image, row.classes, labels, small=True),
            _tile("augmented", f"{row.id} augmented", row.augmented_image, row.augmented_classes, labels, small=True),
        ],
    }


def _tile(
    name: str, alt: str, image: Pixels, classes: Pixels | None, labels: Sequence[LabelLike], *, small: bool = False
) -> dict[str, str | int]:
    painted = tile(image, classes, labels, SMALL_TILE if small else TILE)
    limit = SMALL_TILE_BYTES if small else TILE_BYTES
    data = png_of(painted, keep=[label.colour for label in labels], limit_bytes=limit)
    return {"name": name, "alt": alt, "uri": data_uri(data), "width": painted.shape[1], "height": painted.shape[0]}


def _legend(labels: Sequence[LabelLike], masks: Sequence[Pixels]) -> list[tuple[str, str | None]]:
    """Names and colours of what is painted; no colour for ignored pixels, which are hatched."""
    return [(legend_name(label), hexadecimal(label.colour) if label else None) for label in present(labels, masks)]
