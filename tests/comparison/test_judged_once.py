"""A comparison is judged once: all outputs say the same sentences, show the same tables, and know one mean."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from segengine.cli.main import main
from segengine.comparison import tables
from segengine.comparison.contents import contents_of
from segengine.comparison.gallery import most_disagreed
from segengine.comparison.judge import Judged, judge
from segengine.comparison.render.folder import files_of
from segengine.comparison.render.json import MOST_SAID, document
from segengine.comparison.render.markdown import markdown
from segengine.comparison.render.page import comparison_page
from segengine.comparison.render.terminal import terminal
from segengine.comparison.samples import differences
from segengine.comparison.statistics.differences import Choices
from segengine.comparison.summary import Comparison, compare_folders
from segengine.comparison.table import Column, numeric
from segengine.metrics.confusion import ImageCounts
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.tables import read_counts, write_counts
from tests.comparison.conftest import Make
from tests.comparison.page.comparisons import QUICK, experiment


def judged(root: Path, metric: str = "dice", choices: Choices = QUICK) -> Judged:
    (found,) = compare_folders([], root)
    assert isinstance(found, Comparison), found
    return judge(found, metric, choices)


def outputs(found: Judged) -> dict[str, str]:
    """What each output says, its escapes undone."""
    console = Console(width=10_000, highlight=False, file=io.StringIO(), record=True)
    terminal(found, console)
    page = re.sub(r"<(script|style)>.*?</\1>", "", comparison_page([contents_of(found)]), flags=re.DOTALL)
    return {
        "terminal": console.export_text(),
        "markdown": re.sub(r"\\([\\|*_`<\[\]])", r"\1", markdown(found)),
        "page": unescape(re.sub(r"<[^>]+>", "", page)),
        "json": json.dumps(document(found), ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\"),
    }


@pytest.mark.parametrize(
    ("seeds", "qualities"), [(1, (0.6, 0.9)), (3, (0.7, 0.86, 0.861)), (1, (0.7,)), (2, (0.5, 0.9, 0.6, 0.8))]
)
def test_every_output_says_the_same_sentences_to_the_letter(make: Make, tmp_path: Path, seeds, qualities) -> None:
    experiment(make, tmp_path / "runs", {f"v{place} <b>|_": q for place, q in enumerate(qualities)}, seeds)
    make("failed", status="failed", message="out of | memory", root=tmp_path / "runs", classes=("background", "a", "b"))
    found = judged(tmp_path / "runs")
    said = found.said.all()
    assert len(said) >= 5
    assert any("failed (out of" in line or "out of | memory" in line for line in said)
    for name, text in outputs(found).items():
        for line in said:
            assert line in text, (name, line)


def test_a_column_added_to_a_table_appears_in_all_six_outputs(make: Make, tmp_path: Path, monkeypatch) -> None:
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7})
    found = judged(tmp_path / "runs")
    plain = tables.scores_table

    def wider(of: Judged) -> tables.Table:
        table = plain(of)
        return replace(
            table, columns=(*table.columns, Column("luck", (numeric(0.125, "1/8"), numeric(0.5, "1/2")), "luck"))
        )

    monkeypatch.setattr(tables, "scores_table", wider)
    said = outputs(found)
    for name in ("terminal", "markdown", "page"):
        assert "luck" in said[name], name
        assert "1/8" in said[name], name
    files = files_of([contents_of(found)])
    assert "luck" in files["tables/scores.tex"].decode()
    (_, first, _) = csv.reader(files["tables/scores.csv"].decode().splitlines())
    assert first[-1] == "0.125"
    table = document(found)["tables"]["scores"]
    assert table["columns"][-1] == "luck"
    assert [row[-1] for row in table["rows"]] == [0.125, 0.5]


def wrongly_predicted(folder: RunFolder, pixels: int) -> None:
    """Rewrite the counts so that the truth lacks spleen, and `pixels` of liver are taken for it in the first image."""
    path = folder / names.counts_file("test")
    indices = sorted({int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]})
    counts = read_counts(path, 3, indices)
    found = {}
    for place, index in enumerate(indices):
        table = counts[index].copy()
        table[2] = 0
        table[:, 0] += table[:, 2]
        table[:, 2] = 0
        if place == 0:
            table[1, 2] = pixels
            table[1, 1] -= pixels
        found[index] = table
    write_counts(path, ImageCounts.of(found, 3))


def test_a_class_that_only_one_variant_predicts_is_in_nobodys_mean(make: Make, tmp_path: Path, capsys) -> None:
    """The truth lacks spleen and b takes 3 pixels for it: b scored 0.476 in the table and came first in the verdict."""
    truth = np.full((40, 3), 400)
    for variant, quality in (("a", 0.80), ("b", 0.95)):
        folder = make(
            variant, quality=quality, images=40, test=tuple(range(10, 40)), truth=truth, root=tmp_path / "runs"
        )
        wrongly_predicted(folder, 3 if variant == "b" else 0)
    found = judged(tmp_path / "runs")
    assert found.comparison.averaged == ("liver",)
    means = {v.name: v.scores["dice", found.kind] for v in found.comparison.variants}
    for table in means.values():
        assert table.mean.mean == table.classes[1].mean
    assert means["b"].mean.mean > means["a"].mean.mean
    assert means["b"].classes[2].mean == 0.0
    assert found.names[found.ranked[0]] == "b"
    assert found.said.verdict[0].startswith("Of these two trained models, b is better than a: +")
    row = found.found[0].means[0].seen_from("b")
    assert row.difference == pytest.approx(means["b"].mean.mean - means["a"].mean.mean)
    assert {v.variant: v.score for v in found.costs[0].variants} == {
        name: table.mean.mean for name, table in means.items()
    }
    said = "the means are without spleen: no truth has it, and only b predicted it"
    for text in outputs(found).values():
        assert said in text
    data = document(found)
    assert (data["averaged"], data["undefined"]) == (["liver"], ["spleen"])
    shown = most_disagreed(found.comparison, "dice", 1).images
    assert all(score > 0.7 for score in shown[0].scores)


def test_where_groups_are_given_their_mean_is_the_headline(make: Make, tmp_path: Path) -> None:
    """The mean over patients of each patient's pooled score, by hand."""
    truth = np.random.default_rng(5).integers(0, 900, (40, 3)) * (np.random.default_rng(6).random((40, 3)) < 0.8)
    for variant, quality in (("a", 0.8), ("b", 0.7)):
        make(variant, quality=quality, images=40, test=tuple(range(10, 40)), truth=truth, root=tmp_path / "runs")
    found = judged(tmp_path / "runs")
    assert (found.kind, found.kinds) == ("per_group", ("per_group", "pooled", "per_image"))
    groups = found.comparison.models.groups
    for variant, model in zip(found.comparison.variants, found.comparison.models.models, strict=True):
        by_class = []
        for k in (1, 2):
            scores = []
            for group in dict.fromkeys(groups):
                right, true, predicted = model.stacked[[g == group for g in groups]][:, :, k].sum(axis=0)
                if true + predicted:
                    scores.append(2 * right / (true + predicted))
            by_class.append(np.mean(scores))
        table = variant.scores["dice", "per_group"]
        assert [table.classes[k].mean for k in (1, 2)] == pytest.approx(by_class)
        assert table.mean.mean == pytest.approx(np.mean(by_class))
    assert "(per group)" in found.said.verdict[0]
    assert [each.kind for each in found.found] == ["per_group", "pooled", "per_image"]
    assert [each["kind"] for each in document(found)["differences"]] == ["pooled", "per_image", "per_group"]
    assert document(found)["headline"] == "per_group"
    scores, by_class = tables.tables_of(found)[:2]
    assert scores.header[2] == "Dice per group"
    assert "mean over groups" in by_class.caption


def test_without_groups_the_pooled_mean_is_the_headline(make: Make, tmp_path: Path) -> None:
    for variant in ("a", "b"):
        path = make(variant, root=tmp_path / "runs") / names.IMAGES
        header, *rows = csv.reader(path.read_text().splitlines())
        path.write_text(
            "".join(",".join(row) + "\n" for row in [header, *([i, id_, id_, *rest] for i, id_, _, *rest in rows)])
        )
    found = judged(tmp_path / "runs")
    assert (found.kind, found.kinds) == ("pooled", ("pooled", "per_image"))
    assert "group" not in " ".join(found.said.all())


def test_the_better_variant_comes_first_in_every_sentence_and_table(make: Make, tmp_path: Path) -> None:
    experiment(make, tmp_path / "runs", {"bad": 0.5, "worse": 0.4, "good": 0.9, "fair": 0.7})
    found = judged(tmp_path / "runs")
    order = ["good", "fair", "bad", "worse"]
    for line in found.said.pairs:
        first, _, second = re.match(r"(\w+) is (better) than (\w+): \+", line).groups()  # type: ignore[union-attr]
        assert order.index(first) < order.index(second)
    assert len(found.said.pairs) == 6
    for name in ("differences", "differences-by-class"):
        table = next(table for table in tables.tables_of(found) if table.name == name)
        for row in table.rows:
            first, second = row[0].text.split(" − ")
            assert order.index(first) < order.index(second)
            assert "worse" not in row[-1].text
        assert {"SE from groups", "SE from seeds"} < set(table.header)


def test_statistics_are_computed_once_per_command(make: Make, tmp_path: Path, monkeypatch, capsys) -> None:
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.7}, 1)
    calls = []

    def counted(*arguments):
        calls.append(arguments[1:3])
        return differences(*arguments)

    monkeypatch.setattr("segengine.comparison.judge.differences", counted)
    arguments = [
        "--resamples",
        "200",
        "--pictures",
        "0",
        "--html",
        str(tmp_path / "p.html"),
        "--out",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit) as end:
        main(["compare", "--runs-dir", str(tmp_path / "runs"), "--json", *arguments])
    assert end.value.code == 0
    assert sorted(calls) == [("dice", "per_group"), ("dice", "per_image"), ("dice", "pooled")]


def test_json_of_hundreds_of_pairs_is_small_and_has_no_sentence_per_pair(make: Make, tmp_path: Path) -> None:
    for place in range(26):
        make(f"v{place:03}", quality=0.5 + 0.01 * place, images=24, test=tuple(range(4, 24)), root=tmp_path / "runs")
    found = judged(tmp_path / "runs")
    pairs = 26 * 25 // 2
    assert pairs > MOST_SAID
    by_kind = {each["kind"]: each for each in document(found)["differences"]}
    headline = by_kind["per_group"]["pairs"]
    assert sum(row["score"] is None for row in headline) == pairs
    assert {row["words"] for row in headline} == {None}
    best = found.names[found.ranked[0]]
    assert all(best in (row["first"], row["second"]) for row in headline if row["score"])
    assert len(by_kind["pooled"]["pairs"]) == 25 * 3
    assert {each["pairs_in_all"] for each in by_kind.values()} == {pairs}


def test_the_terminal_shows_the_ten_worst_and_best_of_150_classes_and_the_mean_and_files_show_all(make, root):
    classes = tuple(f"class {k}" for k in range(150))
    for variant in ("a", "b"):
        make(variant, classes=classes, quality=0.7)
    found = judged(root)

    def lines(**how):
        console = Console(width=200, highlight=False, file=io.StringIO(), record=True)
        terminal(found, console, **how)
        return [
            line.rstrip() for line in console.export_text().splitlines() if re.match(r"class \d|\.\.\.|mean of", line)
        ]

    short = lines()
    kinds = len(found.kinds)
    assert len(short) == kinds * (10 + 1 + 10 + 1) + 1  # the last: differences by class
    assert short[10] == "... 130 classes between (compare --all)"
    first = [float(re.split(r" {2,}", line)[2].split()[0]) for line in [*short[:10], *short[11:21]]]
    assert first == sorted(first)
    assert short[21].startswith("mean of 149 classes")
    assert len(lines(all_classes=True)) == kinds * 150
    assert all(f"class {k} " in markdown(found) for k in range(150))
