"""What a comparison's page says in sentences: verdict, fairness, methods."""

import re

import pytest

from segengine.comparison.methods import REFERENCES, references
from segengine.comparison.render.page import comparison_page
from tests.comparison.conftest import make
from tests.comparison.page.comparisons import contents, experiment, three

__all__ = ["make", "three"]


def test_the_verdict_stands_first_in_two_sentences(three):
    first, second = three.judged.said.verdict
    assert re.fullmatch(
        r"mobilenet has the highest mean Dice \(per group\), 0\.\d{3}; it is better than vgg11 .*, but not distinguishable from resnet18 "
        r"\(next resnet18: \+\d\.\d\d points, 95 % interval -\d\.\d\d to \+\d\.\d\d\)\.",
        first,
    )
    assert second.startswith(
        "This holds for retraining on this training set and split, and for new images, "
        "judged from 3 seeds per variant and 30 test images of 15 groups; "
    )
    assert second.endswith(".")
    assert "; telling mobilenet from resnet18 needs " in second


@pytest.mark.parametrize(
    ("seeds", "start"),
    [(3, "No variant can be called best: "), (1, "None of these 3 trained models can be called best: ")],
)
def test_where_nobody_is_better_the_verdict_begins_with_that(make, tmp_path, seeds, start):
    experiment(make, tmp_path / "runs", {"a": 0.8, "b": 0.8, "c": 0.8}, seeds)
    first, _ = contents(tmp_path / "runs").judged.said.verdict
    assert re.fullmatch(
        re.escape(start)
        + r"[abc] has the highest mean Dice \(per group\), 0\.\d{3}, but is (practically equal to|not distinguishable from) "
        r"[abc] and [abc] \(next [abc]: .*\)\.",
        first,
    )


def test_of_each_pair_the_better_ranked_variant_stands_first(make, tmp_path):
    experiment(make, tmp_path / "runs", {"bad": 0.6, "good": 0.9})
    found = contents(tmp_path / "runs")
    first, _ = found.judged.said.verdict
    assert first.startswith("good is better than bad: +")
    rows = found.tables["differences"].rows
    assert [row[0].text for row in rows] == ["good − bad"] * 3
    assert [row[-1].text for row in rows] == ["better"] * 3
    low, high = (float(end) for end in rows[0][3].text.split(" to "))
    assert 0 < low < rows[0][2].value * 100 < high
    assert found.judged.found[0].means[0].verdict == "worse"  # as the comparison lists them
    for figure in found.figures["differences"]:
        assert "bad − good" not in figure.as_file()


@pytest.mark.parametrize(
    ("variants", "seeds", "start"),
    [
        ({"a": 0.9}, 1, "a reaches a mean Dice (per group) of 0."),
        ({"a": 0.9, "b": 0.6}, 1, "Of these two trained models, a is better than b: +"),
        ({"a": 0.9, "b": 0.6}, 3, "a is better than b: +"),
        ({"a": 0.9, "b": 0.6, "c": 0.5}, 1, "Of these 3 trained models, a is the best: its mean Dice (per group), 0."),
        ({"a": 0.9, "b": 0.6, "c": 0.5}, 3, "a is the best of the 3 variants: its mean Dice (per group), 0."),
    ],
)
def test_the_first_sentence_suits_the_number_of_variants_and_seeds(make, tmp_path, variants, seeds, start):
    experiment(make, tmp_path / "runs", variants, seeds)
    first, second = contents(tmp_path / "runs").judged.said.verdict
    assert first.startswith(start)
    assert ("trained models alone" in second) == (seeds == 1)


def test_too_few_groups_are_said_in_the_verdict(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6, "c": 0.5}, test=tuple(range(10, 16)))
    first, _ = contents(tmp_path / "runs").judged.said.verdict
    assert first.endswith("but no difference is tested: there are 3 groups, and a test needs at least 6.")
    page = comparison_page([contents(tmp_path / "runs")])
    assert "not tested" in page


def test_the_methods_cite_only_what_they_used_and_list_all_that_they_cite(make, tmp_path, three):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7}, 1)
    several, single = (each.judged.said.methods for each in (three, contents(tmp_path / "runs")))
    assert "We compared 3 variants" in several
    assert "each trained with 3 seeds, on the same 30 test images of 15 groups" in several
    assert ("Welch 1947" in several, "Welch 1947" in single) == (True, False)
    assert ("Phipson & Smyth 2010" in several, "Phipson & Smyth 2010" in single) == (False, True)
    for text in (several, single):
        cited = re.findall(r"[A-Z]\w+(?: & [A-Z]\w+)? (?:19|20)\d\d", text)
        assert set(cited) <= set(REFERENCES)
        assert len(references(text)) == len(set(cited))


def test_a_budget_of_minutes_stands_in_the_methods(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7}, 1, budget={"minutes": 20.0})
    said = contents(tmp_path / "runs").judged.said.methods
    assert " Every model was trained for the same 20 minutes. " in said
    assert said.endswith("Computed with segengine 0.1.0 and PyTorch 2.9.")


def test_what_differs_besides_and_what_was_checked_stand_in_the_box(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9}, settings={"training.epochs": 20})
    experiment(make, tmp_path / "runs", {"b": 0.8, "c": 0.7}, settings={"training.epochs": 40})
    page = comparison_page([contents(tmp_path / "runs")])
    assert "training.epochs: 20 (a), 40 (b, c)" in page
    assert "<dt>Equal: epochs</dt>" not in page
    assert "<dt>Equal: batch size</dt><dd>8</dd>" in page
    assert "<dt>Equal: ignored mask values</dt><dd>none</dd>" in page
    assert "1 other setting or circumstance differs besides what is compared" in page
