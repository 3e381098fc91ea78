"""Figures of a comparison: complete, well formed, and readable at both widths."""

import re
from xml.etree import ElementTree

from segengine.comparison.contents import contents_of
from segengine.comparison.judge import judge
from segengine.comparison.render.page import comparison_page
from segengine.comparison.statistics.differences import Choices
from segengine.figures.figure import Figure
from segengine.figures.scales import Scale
from segengine.runs.costs import CostRecord, Latency, write_cost
from segengine.runs.folder import RunFolder
from tests.comparison.conftest import make
from tests.comparison.page.comparisons import QUICK, comparison, contents, experiment, three

__all__ = ["make", "three"]


def _texts(figure, width):
    marks = list(figure.draw(width).marks)
    for mark in marks:
        marks += [child for child in mark.children if not isinstance(child, str)]
    return ["".join(mark.children) for mark in marks if mark.tag == "text"]


def test_long_names_keep_both_ends_and_pairs_both_names(make, tmp_path):
    names = ("a-very-long-name-of-what-was-tried-first", "a-very-long-name-of-what-was-tried-last")
    experiment(make, tmp_path / "runs", {names[0]: 0.9, names[1]: 0.6}, 1)
    figure, by_class = contents(tmp_path / "runs").figures["differences"]
    for width in (860, 328):
        for each in (figure, by_class):
            drawn = "\n".join(_texts(each, width))
            assert "first" in drawn
            assert "last" in drawn


def test_epochs_are_whole_numbers_on_the_axis(three):
    figure = next(figure for figure in three.all_figures if figure.name == "curve-score")
    said = _texts(figure, 420)
    assert [tick for tick in said if tick in ("1", "2", "3")] == ["1", "2", "3"]
    assert Scale(0.9, 60.2, 0, 100).whole_ticks() == [10, 20, 30, 40, 50, 60]
    assert Scale(0.99, 1.5, 0, 100).whole_ticks() == [1]


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
    assert [cell.text for cell in next(row for row in found.tables["costs"].rows if row[0].text == "fast")].count(
        "*20.0"
    ) == 1


def test_a_metric_of_union_draws_too(make, tmp_path):
    experiment(make, tmp_path / "runs", {"a": 0.9, "b": 0.6})
    found = contents_of(judge(comparison(tmp_path / "runs"), "iou", QUICK))
    assert found.tables["scores"].header[2] == "IoU per group"
    assert "Jaccard 1912" in found.judged.said.methods
    assert isinstance(found.all_figures[0], Figure)


def test_many_variants_and_classes_make_a_page_of_bounded_size(make, tmp_path):
    experiment(make, tmp_path / "runs", {f"v{i:02d}": 0.6 + 0.01 * i for i in range(14)}, 1)
    found = contents_of(judge(comparison(tmp_path / "runs"), "dice", Choices(resamples=100)))
    assert len(found.tables["differences"].rows) == 3 * 13
    assert len(comparison_page([found])) < 1_500_000
