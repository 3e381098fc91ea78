"""The page of a comparison: all its parts, nothing from elsewhere, every name as plain text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from segengine.compare.differences import Choices
from segengine.report.comparison.contents import contents_of
from segengine.report.comparison.figure import Figure
from segengine.report.comparison.gallery import most_disagreed
from segengine.report.comparison.methods import REFERENCES, paragraph, references
from segengine.report.comparison.page import comparison_page
from segengine.report.comparison.palette import STEPS, colours, contrast
from segengine.report.comparison.scales import Scale
from segengine.report.comparison.words import verdict
from segengine.report.theme import DARK, LIGHT
from segengine.runs.costs import CostRecord, Latency, write_cost
from segengine.runs.folder import RunFolder
from tests.compare.conftest import make
from tests.report.comparisons import CLASSES, EVIL, QUICK, comparison, contents, experiment, page, three

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


def test_the_verdict_stands_first_in_two_sentences(three):
    first, second = verdict(three.view)
    assert re.fullmatch(
        r"mobilenet has the highest mean Dice, 0\.\d{3}; it is better than vgg11 .*, but not distinguishable from resnet18 "
        r"\(next resnet18: \+\d\.\d\d points, 95 % interval -\d\.\d\d to \+\d\.\d\d\)\.",
        first,
    )
    assert second.startswith(
        "This is about training anew and about new images, judged from 3 seeds a variant and 30 test images of 15 groups; "
    )
    assert second.endswith(".")
    assert "; telling mobilenet from resnet18 needs " in second


@pytest.mark.parametrize(
    ("seeds", "start"),
    [(3, "No variant can be called best: "), (1, "None of these 3 trained models can be called best: ")],
)
def test_where_nobody_is_better_the_verdict_begins_with_that(make, tmp_path, seeds, start):
    experiment(make, tmp_path / "runs", {"a": 0.8, "b": 0.8, "c": 0.8}, seeds)
    first, _ = verdict(contents(tmp_path / "runs").view)
    assert re.fullmatch(
        re.escape(start)
        + r"[abc] has the highest mean Dice, 0\.\d{3}, but is (practically equal to|not distinguishable from) "
        r"[abc] and [abc] \(next [abc]: .*\)\.",
        first,
    )


def test_of_each_pair_the_better_ranked_variant_stands_first(make, tmp_path):
    experiment(make, tmp_path / "runs", {"bad": 0.6, "good": 0.9})
    found = contents(tmp_path / "runs")
    first, _ = verdict(found.view)
    assert first.startswith("good is better than bad: +")
    (row,) = found.differences[0].rows
    assert (row[0].text, row[-1].text) == ("good − bad", "better")
    low, high = (float(end) for end in row[2].text.split(" to "))
    assert 0 < low < row[1].sort * 100 < high
    assert found.view.found[0].means[0].verdict == "worse"  # as the comparison lists them
    for figure in found.figures["differences"]:
        assert "bad − good" not in figure.as_file()


def test_long_names_keep_both_ends_and_pairs_both_names(make, tmp_path):
    names = ("a-very-long-name-of-what-was-tried-first", "a-very-long-name-of-what-was-tried-last")
    experiment(make, tmp_path / "runs", {names[0]: 0.9, names[1]: 0.6}, 1)
    figure, by_class = contents(tmp_path / "runs").figures["differences"]
    for width in (860, 328):
        for each in (figure, by_class):
            drawn = "\n".join(_texts(each, width))
            assert "first" in drawn
            assert "last" in drawn


def _texts(figure, width):
    marks = list(figure.draw(width).marks)
    for mark in marks:
        marks += [child for child in mark.children if not isinstance(child, str)]
    return ["".join(mark.children) for mark in marks if mark.tag == "text"]


def test_epochs_are_whole_numbers_on_the_axis(three):
    figure = next(figure for figure in three.all_figures if figure.name == "curve-score")
    said = _texts(figure, 420)
    assert [tick for tick in said if tick in ("1", "2", "3")] == ["1", "2", "3"]
    assert Scale(0.9, 60.2, 0, 100).whole_ticks() == [10, 20, 30, 40, 50, 60]
    assert Scale(0.99, 1.5, 0, 100).whole_ticks() == [1]


@pytest.mark.parametrize(
    ("variants", "seeds", "start"),
    [
        ({"a": 0.9}, 1, "a reaches a mean Dice of 0."),
        ({"a": 0.9, "b": 0.6}, 1, "Of these two trained models, a is better than b: +"),
        ({"a": 0.9, "b": 0.6}, 3, "a is better than b: +"),
        ({"a": 0.9, "b": 0.6, "c": 0.5}, 1, "Of these 3 trained models, a is the best: its mean Dice, 0."),
        ({"a": 0.9, "b": 0.6, "c": 0.5}, 3, "a is the best of the 3 variants: its mean Dice, 0."),
    ],
)
def test_the_first_sentence_suits_the_number_of_variants_and_seeds(make, tmp_path, variants, seeds, start):
    experiment(make, tmp_path / "runs", variants, seeds)
    first, second = verdict(contents(tmp_path / "runs").view)
    assert first.startswith(start)
    assert ("trained models alone" in second) == (seeds == 1)


def test_too_few_groups_are_said_in_the_verdict(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6, "c": 0.5}, test=tuple(range(10, 16)))
    first, _ = verdict(contents(tmp_path / "runs").view)
    assert first.endswith("but no difference is tested: there are 3 groups, and a test needs at least 6.")
    page = comparison_page([contents(tmp_path / "runs")])
    assert "not tested" in page


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
    table = three.scores[0]
    assert table.header[:4] == ("variant", "seeds", "mean Dice", "SD over seeds")
    means = [row[2].sort for row in table.rows]
    assert means == sorted(means, reverse=True)
    assert [row[2].best for row in table.rows] == [True, False, False]
    for row in table.rows:
        low, high = map(float, row[2].note.split(" to "))
        assert low < float(row[2].text) < high
        assert high - low < 0.2


def test_drawings_are_well_formed_and_complete(three):
    figures = three.all_figures
    assert [figure.name for figure in figures] == [
        "differences", "differences-by-class", "ranking", "cost-parameters", "cost-macs", "cost-minutes", "cost-images_per_second",
        "classes", "curve-score", "curve-loss", "confusion-1", "confusion-2", "confusion-3",
    ]  # fmt: skip
    for figure in figures:
        root = ElementTree.fromstring(figure.as_file())
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert "var(" not in figure.as_file()
        for text in root.iter("{http://www.w3.org/2000/svg}text"):
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            assert 0 <= x <= width, (figure.name, text.text)
            assert 0 < y <= height, (figure.name, text.text)


def test_a_point_of_a_cost_says_its_numbers(make, tmp_path):
    experiment(make, tmp_path / "runs", {"small": 0.9, "large": 0.6})
    figure = next(f for f in contents(tmp_path / "runs").all_figures if f.name == "cost-parameters")
    tips = re.findall(r'data-tip="([^"]*)"', figure.as_file())
    assert len(tips) == 2
    by_name = {name: lines for name, *lines in (tip.split("&#10;") for tip in tips)}
    assert "parameters 1.5M" in by_name["small"]
    assert by_name["small"][-1] == "on the Pareto front"
    assert "on the Pareto front" not in by_name["large"]


def test_the_methods_cite_only_what_they_used_and_list_all_that_they_cite(make, tmp_path, three):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7}, 1)
    several, single = (paragraph(view) for view in (three.view, contents(tmp_path / "runs").view))
    assert "We compared 3 variants" in several
    assert "each trained with 3 seeds, on the same 30 test images of 15 groups" in several
    assert ("Welch 1947" in several, "Welch 1947" in single) == (True, False)
    assert ("Phipson & Smyth 2010" in several, "Phipson & Smyth 2010" in single) == (False, True)
    for text in (several, single):
        cited = re.findall(r"[A-Z]\w+(?: & [A-Z]\w+)? (?:19|20)\d\d", text)
        assert set(cited) <= set(REFERENCES)
        assert len(references(text)) == len(set(cited))


def test_what_differs_besides_and_what_was_checked_stand_in_the_box(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9}, settings={"training.epochs": 20})
    experiment(make, tmp_path / "runs", {"b": 0.8, "c": 0.7}, settings={"training.epochs": 40})
    page = comparison_page([contents(tmp_path / "runs")])
    assert "training.epochs: 20 (a), 40 (b, c)" in page
    assert "<dt>Equal: epochs</dt>" not in page
    assert "<dt>Equal: batch size</dt><dd>8</dd>" in page
    assert "<dt>Equal: ignored mask values</dt><dd>none</dd>" in page
    assert "1 other setting or circumstance differs besides what is compared" in page


def test_the_images_shown_are_those_of_the_widest_spread(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6}, 1)
    found = comparison(tmp_path / "runs")
    units = {name: members[0].stacked for name, members in found.units.by_variant().items()}
    expected = {}
    for row, id_ in enumerate(found.units.ids):
        dice = []
        for stacked in units.values():
            right, truth, predicted = stacked[row][:, 1:].astype(float)
            dice.append((2 * right / (truth + predicted)).mean())
        expected[id_] = max(dice) - min(dice)
    group_of, ranked = (
        dict(zip(found.units.ids, found.units.groups, strict=True)),
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
    alone = replace(found, units=replace(found.units, groups=found.units.ids))
    chosen = most_disagreed(alone, "dice", 12)
    assert [image.id for image in chosen.images] == ranked[:12]
    assert chosen.rule == ""


def test_a_budget_of_minutes_stands_in_the_methods(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7}, 1, budget={"minutes": 20.0})
    said = paragraph(contents(tmp_path / "runs").view)
    assert " Every model was trained for the same 20 minutes. " in said
    assert said.endswith("Computed with segengine 0.1.0 and PyTorch 2.9.")


def test_ties_are_counted_and_agreement_shows_nothing(make, tmp_path):
    import numpy as np

    truth = np.full((40, 3), 100)
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.9}, 1, truth=truth)
    assert most_disagreed(comparison(tmp_path / "runs"), "dice", 3).images == ()


def test_many_variants_and_classes_make_a_page_of_bounded_size(make, tmp_path):
    experiment(make, tmp_path / "runs", {f"v{i:02d}": 0.6 + 0.01 * i for i in range(14)}, 1)
    found = contents_of(comparison(tmp_path / "runs"), "dice", Choices(resamples=100))
    assert len(found.differences[0].rows) == 13
    assert len(comparison_page([found])) < 1_500_000


def test_a_metric_of_union_draws_too(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6})
    found = contents_of(comparison(tmp_path / "runs"), "iou", QUICK)
    assert found.scores[0].header[2] == "mean IoU"
    assert "Jaccard 1912" in paragraph(found.view)
    assert isinstance(found.all_figures[0], Figure)


def test_costs_that_were_measured_have_charts_of_their_own(make, tmp_path):
    folders = experiment(make, tmp_path / "runs", {"slow": 0.9, "fast": 0.6}, 1)
    for folder, milliseconds in zip(folders, (80.0, 20.0), strict=True):
        latency = Latency(batch=1, repeats=9, median_ms=milliseconds, low_ms=milliseconds, high_ms=milliseconds)
        cost = CostRecord(
            measured="2026-01-01T00:00:00+00:00", by="cost", network_of=folder.name, device="CPU", threads=2, torch="2.9",
            precision="fp32", channels=1, size=(256, 256), latency=latency,
        )  # fmt: skip
        write_cost(RunFolder(folder), cost)
    found = contents(tmp_path / "runs")
    figure = next(figure for figure in found.all_figures if figure.name == "cost-latency")
    assert "slow: 80 ms" in figure.description
    assert "Measured with device CPU" in figure.description or "CPU, 2 threads" in figure.description
    assert [cell.text for cell in next(row for row in found.costs.rows if row[0].text == "fast")].count("20") == 1


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
    assert "in 2-fold cross-validation, the folds' images put together" in paragraph(found.view)
    assert found.figures["curves"] == ()
    assert "Training</h2>" not in comparison_page([found])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(theme):
    roles = colours(theme)
    for step in range(STEPS + 1):
        assert contrast(roles[f"on-heat-{step}"], roles[f"heat-{step}"]) >= 4.5, step
    for role in ("ink", "muted", "better", "worse"):
        assert contrast(roles[role], roles["ground"]) >= 4.5, role
    for role in ("equal", *(f"series-{place}" for place in range(8))):
        assert contrast(roles[role], roles["ground"]) >= 3, role
