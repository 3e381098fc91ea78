"""The page of one or several comparisons: a self-contained HTML file with a small script for sorting and tooltips."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from segengine.comparison.contents import Contents
from segengine.comparison.gallery import Gallery, Picture
from segengine.comparison.judge import Judged
from segengine.comparison.measures import OF_COUNTS
from segengine.comparison.render.pictures import tiles
from segengine.figures.encoding import data_uri, png_of
from segengine.figures.labels import hexadecimal
from segengine.figures.numbers import score
from segengine.figures.pages import page_css, policy, resource, templates
from segengine.figures.sheets import legend_name, present

GENERATOR = "segengine compare"
TILE_BYTES = 70_000


def comparison_page(all_contents: Sequence[Contents]) -> str:
    """The page as HTML, with one part per comparison; all texts are escaped."""
    package = "segengine.comparison.render"
    script = resource(package, "comparison.js")
    style = page_css(resource(package, "comparison.css"))
    return templates(package).get_template("comparison.html").render(
        parts=[_part(contents, f"c{place}-") for place, contents in enumerate(all_contents, start=1)],
        style=style, script=script, policy=policy(style, script), generator=GENERATOR,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )  # fmt: skip


def _part(contents: Contents, prefix: str) -> dict[str, Any]:
    judged, said = contents.judged, contents.judged.said
    measure, choices = judged.measure, judged.choices
    return {
        "prefix": prefix, "title": judged.comparison.title, "said": said, "tables": contents.tables,
        "figures": contents.figures, "gallery": _gallery(contents.gallery, judged, prefix),
        "class_tables": [table for name, table in contents.tables.items() if name.startswith("classes-")],
        "cost_tables": [contents.tables[name] for name in ("costs", "training-costs") if name in contents.tables],
        "costs": judged.costs, "level": f"{100 * choices.confidence:g} %", "margin": f"{measure.factor * choices.margin:g} {measure.unit}",
        "pairs": len(judged.names) > 1, "split": judged.comparison.split, "from_counts": judged.from_counts,
        "most": "highest" if measure.sign > 0 else "lowest", "curves_of": OF_COUNTS[judged.curve_metric].label,
        "word": judged.word, "many_classes": len(judged.classes) > 8,
        "seeds": max(len(variant.seeds) for variant in judged.comparison.variants),
    }  # fmt: skip


def _gallery(gallery: Gallery | None, judged: Judged, prefix: str) -> dict[str, Any] | None:
    if gallery is None:
        return None
    names = judged.names
    shown = (
        present(gallery.labels, [m for p in gallery.pictures for m in (p.truth, *p.predictions.values())])
        if gallery.pictures
        else []
    )
    return {
        "metric": judged.word, "measured": f"{judged.word}{judged.measure.in_unit}", "rule": gallery.chosen.rule,
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
