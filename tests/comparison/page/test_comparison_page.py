"""The page of a comparison: all its parts, nothing from elsewhere, every name as plain text."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from segengine.comparison.gallery import most_disagreed
from segengine.comparison.render.page import comparison_page
from segengine.figures.palette import STEPS, colours, contrast
from tests.comparison.conftest import make
from tests.comparison.page.comparisons import CLASSES, EVIL, comparison, contents, experiment, page, three

__all__ = ["make", "page", "three"]


class _Outline(HTMLParser):
    """Tags with their attributes, and the text that stands outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.texts.append(data)

    def handle_endtag(self, tag):
        self.inside = ""

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_name_is_nowhere_markup(page):
    outline = _Outline(page)
    assert len(outline.all("script")) == 1
    assert EVIL not in page
    said = "".join(outline.texts)
    for name in (f"Organs {EVIL}", f"vgg11 {EVIL}", *CLASSES[1:]):
        assert name in said


def test_the_page_asks_nobody_for_anything(page):
    outline = _Outline(page)
    for tag, attributes in outline.tags:
        for name in ("src", "href", "srcset", "action", "xlink:href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#")), (tag, name, value)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes, (tag, attributes)
    assert "url(" not in page
    assert "@import" not in page
    (policy,) = [m["content"] for m in outline.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/=]{44}'; script-src 'sha256-[\w+/=]{44}'; "
        r"base-uri 'none'; form-action 'none'",
        policy,
    )


def test_ids_are_unique_and_references_to_them_hold(three):
    twice = _Outline(comparison_page([three] * 2))
    ids = [attributes["id"] for _, attributes in twice.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in twice.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)
        href = attributes.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids
    assert len(twice.all("article")) == 2


def test_every_part_has_its_heading_and_every_figure_its_words(page):
    outline = _Outline(page)
    for heading in (
        "Scores", "Paired differences", "How firm the order is", "Score against cost", "Classes", "Training", "Confusion",
        "Was it fair?", "Methods, for a paper",
    ):  # fmt: skip
        assert heading in outline.texts
    drawings = [a for a in outline.all("svg") if a.get("class") != "swatch"]
    assert len(drawings) >= 2 * 12
    assert len(outline.all("title")) >= len(drawings)
    assert len(outline.all("desc")) == len(drawings)
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert all(a.get("scope") in ("col", "row") for a in outline.all("th"))


def test_scores_come_with_intervals_the_best_first(three):
    table = three.tables["scores"]
    assert table.header == (
        "variant", "seeds", "Dice per group", "95 % interval", "range over seeds", "Dice pooled", "Dice per image",
    )  # fmt: skip
    means = [row[2].sort for row in table.rows]
    assert means == sorted(means, reverse=True)
    assert [row[2].best for row in table.rows] == [True, False, False]
    for row in table.rows:
        low, high = map(float, row[3].text.split(" to "))
        assert low < float(row[2].text.split(" ± ")[0]) < high
        assert high - low < 0.2


def test_the_images_shown_are_those_of_the_widest_spread(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6}, 1)
    found = comparison(tmp_path / "runs")
    units = {name: members[0].stacked for name, members in found.models.by_variant().items()}
    expected = {}
    for row, id_ in enumerate(found.models.ids):
        dice = []
        for stacked in units.values():
            right, truth, predicted = stacked[row][:, 1:].astype(float)
            dice.append((2 * right / (truth + predicted)).mean())
        expected[id_] = max(dice) - min(dice)
    group_of, ranked = (
        dict(zip(found.models.ids, found.models.groups, strict=True)),
        sorted(expected, key=lambda id_: -expected[id_]),
    )
    first = [id_ for i, id_ in enumerate(ranked) if group_of[id_] not in {group_of[other] for other in ranked[:i]}]
    assert first[:12] != ranked[:12]
    chosen = most_disagreed(found, "dice", 12)
    assert [image.id for image in chosen.images] == first[:12]
    assert [image.spread for image in chosen.images] == pytest.approx([expected[id_] for id_ in first[:12]])
    assert chosen.tied == 0
    assert chosen.rule.startswith("No group has a second image here before every group with a spread has one")
    more = most_disagreed(found, "dice", 17).images
    assert {image.group for image in more} == set(group_of.values())
    assert [image.id for image in more] == sorted((image.id for image in more), key=lambda id_: -expected[id_])
    alone = replace(found, models=replace(found.models, groups=found.models.ids))
    chosen = most_disagreed(alone, "dice", 12)
    assert [image.id for image in chosen.images] == ranked[:12]
    assert chosen.rule == ""


def test_ties_are_counted_and_agreement_shows_nothing(make, tmp_path):
    import numpy as np

    truth = np.full((40, 3), 100)
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.9}, 1, truth=truth)
    assert most_disagreed(comparison(tmp_path / "runs"), "dice", 3).images == ()


def test_folds_and_runs_without_curves_make_a_page_too(make, tmp_path):
    for variant, quality in (("a", 0.9), ("b", 0.7)):
        for fold in range(2):
            make(
                variant,
                0,
                quality=quality,
                fold=fold,
                images=40,
                test=tuple(range(20 * fold, 20 * fold + 20)),
                root=tmp_path / "runs",
            )
    found = contents(tmp_path / "runs")
    assert "in 2-fold cross-validation, the folds' images put together" in found.judged.said.methods
    assert found.figures["curves"] == ()
    assert "Training</h2>" not in comparison_page([found])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_every_ground(theme):
    roles = colours(theme)
    for step in range(STEPS + 1):
        assert contrast(roles[f"on-heat-{step}"], roles[f"heat-{step}"]) >= 4.5, step
    for role in ("ink", "muted", "better", "worse"):
        assert contrast(roles[role], roles["ground"]) >= 4.5, role
    for role in ("equal", *(f"series-{place}" for place in range(8))):
        assert contrast(roles[role], roles["ground"]) >= 3, role
