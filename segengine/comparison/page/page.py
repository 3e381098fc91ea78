"""The page of one or several comparisons: one HTML file that loads nothing, with one small script for sorting and hints."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from segengine.comparison.page.contents import Contents
from segengine.comparison.page.fairness import fairness
from segengine.comparison.page.gallery import Gallery, Picture
from segengine.comparison.page.methods import paragraph, references
from segengine.comparison.page.pictures import tiles
from segengine.comparison.page.view import View
from segengine.comparison.page.words import verdict
from segengine.comparison.render import preface
from segengine.comparison.statistics.verdict import WORDS
from segengine.figures import palette
from segengine.figures.encoding import data_uri, png_of
from segengine.figures.figure import page_css
from segengine.figures.labels import hexadecimal
from segengine.figures.numbers import score
from segengine.figures.sheets import legend_name, present

GENERATOR = "segengine compare"
TILE_BYTES = 70_000


def comparison_page(all_contents: Sequence[Contents]) -> str:
    """The whole page as HTML: a part for each comparison, every text from outside escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("segengine.comparison.page", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    folder = importlib.resources.files("segengine.comparison.page") / "templates"
    script = (folder / "comparison.js").read_text(encoding="utf-8")
    style = palette.css() + page_css() + (folder / "comparison.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return templates.get_template("comparison.html").render(
        parts=[_part(contents, f"c{place}-") for place, contents in enumerate(all_contents, start=1)],
        style=style, script=script, policy=policy, generator=GENERATOR, made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )  # fmt: skip


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _part(contents: Contents, prefix: str) -> dict[str, Any]:
    view = contents.view
    methods = paragraph(view)
    return {
        "prefix": prefix, "title": view.comparison.title, "verdict": verdict(view), "about": preface(view.comparison),
        "contents": contents, "figures": contents.figures, "fairness": fairness(view), "methods": methods,
        "references": references(methods), "gallery": _gallery(contents.gallery, view, prefix),
        "level": f"{100 * view.choices.confidence:g} %", "margin": f"{view.measure.factor * view.choices.margin:g} {view.measure.unit}",
        "pairs": len(view.names) > 1, "split": view.comparison.split, "from_counts": view.from_counts,
        "most": "highest" if view.measure.sign > 0 else "lowest", "curves_of": WORDS[view.curve_metric], "word": view.word,
        "units": view.units_word, "seeds": max(len(variant.seeds) for variant in view.comparison.variants),
    }  # fmt: skip


def _gallery(gallery: Gallery | None, view: View, prefix: str) -> dict[str, Any] | None:
    if gallery is None:
        return None
    names = view.names
    shown = (
        present(gallery.labels, [m for p in gallery.pictures for m in (p.truth, *p.predictions.values())])
        if gallery.pictures
        else []
    )
    return {
        "metric": view.word, "measured": f"{view.word}{view.measure.in_unit}", "rule": gallery.chosen.rule,
        "pictures": [_picture(p, gallery, names) for p in gallery.pictures],
        "listed": [(d.id, score(d.spread), [score(s) for s in d.scores]) for d in gallery.chosen.images],
        "names": names, "tied": gallery.chosen.tied, "problems": gallery.problems, "notes": gallery.notes,
        "legend": [(legend_name(label), hexadecimal(label.colour) if label else None) for label in shown],
        "id": f"{prefix}gallery",
    }  # fmt: skip


def _picture(picture: Picture, gallery: Gallery, names: Sequence[str]) -> dict[str, Any]:
    about, shown = picture.about, []
    for name, alt, painted in tiles(picture, gallery, names):
        data = png_of(painted, keep=[label.colour for label in gallery.labels], limit_bytes=TILE_BYTES)
        shown.append(
            {"name": name, "alt": alt, "uri": data_uri(data), "width": painted.shape[1], "height": painted.shape[0]}
        )
    return {"id": about.id, "group": about.group, "spread": score(about.spread), "tiles": shown}
