"""Each kind of chart by itself: readable at both widths, complete, and the same in SVG and in pixels."""

import itertools
import re

import numpy as np
import pytest

from segengine.figures.confusion import confusion_figure, describe_confusion, percent
from segengine.figures.intervals import Difference, DifferenceChart
from segengine.figures.lines import Line, LineChart, Panel
from segengine.figures.palette import colours, css, of_file, of_page
from segengine.figures.ranks import Rank, RankChart
from segengine.figures.raster import pixels_of
from segengine.figures.rate_test import rate_test_png
from segengine.figures.scales import shown
from segengine.figures.scatter import Point, Scatter
from segengine.figures.score_map import score_map
from segengine.figures.svg import Drawing, area, line, point, polyline, rect, text, written

WIDTHS = (860, 420, 328)
LONG = "a-very-long-name-of-what-was-tried-{}"


def texts(drawing: Drawing) -> list[str]:
    svg = "".join(written(mark, of_file) for mark in drawing.marks)
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def confusion(classes: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 50, (classes, classes)) + np.diag(rng.integers(5_000, 60_000, classes))).astype(np.int64)


@pytest.mark.parametrize("width", WIDTHS)
def test_pairs_keep_both_ends_of_both_names(width):
    rows = [Difference(LONG.format("first"), LONG.format("last"), 1.0, 0.5, 1.5, "better", "+1.00 better", score)
            for score in ("", "liver")]  # fmt: skip
    for row in rows:
        said = "\n".join(texts(DifferenceChart([row], 0.5, "points of difference").draw(width)))
        assert "first" in said
        assert "last" in said
        assert "+1.00 better" in said


def test_a_front_is_a_line_through_the_points_on_it_and_labels_avoid_each_other():
    points = [Point(f"variant {k}", k, 1.0 + 0.001 * k, 0.80 + 0.001 * k, (0.7, 0.9), k > 1, ("x",)) for k in range(4)]
    drawing = Scatter(points, "parameters", "mean Dice", lower_is_better=True).draw(420)
    labels = [
        mark.attributes for mark in drawing.marks if mark.tag == "text" and str(mark.children[0]).startswith("variant")
    ]
    heights = sorted(float(label["y"]) for label in labels)
    assert len(labels) == 4
    sides = {float(label["x"]) > 230 for label in labels}
    assert len(sides) == 2 or min(b - a for a, b in itertools.pairwise(heights)) >= 12
    assert sum(mark.tag == "polyline" for mark in drawing.marks) == 1


def test_ranks_have_names_shares_and_whole_ticks():
    rows = [Rank(f"v{k}", k, (0.996, 0.004)[k], 1.0 + k, 1 + k, 1 + k, f"v{k}") for k in range(2)]
    said = texts(RankChart(rows, 2).draw(328))
    assert {"v0", "v1", "100 %", "&lt;1 %", "1", "2", "came first", "rank (1 is best)"} <= set(said)


def test_a_map_of_errors_is_strongest_where_the_score_is_lowest():
    figure = score_map("HD95", [("liver", [3.0, 9.0]), ("mean", [3.0, 9.0])], ["a", "b"], sign=-1)
    svg = figure.as_file()
    strong, weak = (of_file(f"heat-{step}") for step in (20, 0))
    assert svg.index(strong) < svg.index(weak)
    assert "Highest score: liver with 9.000." in figure.description
    assert "b, liver: 9.000" in svg


def test_a_class_without_true_pixels_is_neither_zero_nor_one():
    counts = np.diag([10, 0, 10]).astype(np.int64)
    names = ["background", "class 1", "class 2"]
    words = describe_confusion(counts, names)
    assert words == "Confusion matrix of 3 classes. Recall: background 100 %, class 2 100 %."
    figure = confusion_figure("c", "c", counts, names)
    assert [cell for row in figure.table.rows for cell in row].count("–") == 3
    assert "class 1 as class 1: no true pixel" in figure.as_file()


def test_the_largest_confusion_is_put_into_words():
    counts = np.array([[90, 10, 0], [5, 95, 0], [0, 40, 60]], np.int64)
    words = describe_confusion(counts, ["background", "class 1", "class 2"])
    assert "40.0 % of class 2 was predicted as class 1." in words
    assert [percent(share) for share in (0, 0.0001, 0.5, 0.9999, 1)] == ["0", "<0.1", "50.0", "99.9", "100"]


@pytest.mark.parametrize(
    ("classes", "width", "drawn"), [(7, 328, 7), (8, 328, 7), (20, 820, 20), (21, 860, 20), (150, 328, 7)]
)
def test_of_many_classes_the_most_confused_are_drawn_and_rows_still_sum_to_all(classes, width, drawn):
    counts = confusion(classes)
    counts[3, 1] = 40_000
    figure = confusion_figure("c", "c", counts, [f"class {k}" for k in range(classes)])
    said = texts(figure.draw(width))
    assert "class 3" in said
    assert "class 1" in said
    others = drawn < classes
    assert (f"the {drawn} most confused of {classes} classes" in said) == others
    assert ("other classes" in said) == others
    assert len(figure.table.rows) == classes
    svg = "".join(written(mark, of_file) for mark in figure.draw(width).marks)
    pixels = sum(int(each.replace(",", "")) for each in re.findall(r"<title>class 3 as [^<]*, ([\d,]+) pixels", svg))
    assert pixels == counts[3].sum()


def test_a_line_chart_has_a_legend_whole_epochs_and_its_mark():
    lines = [Line(name, [(k, 0.1 * k) for k in range(1, 5)], place) for place, name in enumerate(("Dice", "IoU"))]
    said = texts(LineChart([Panel("Score", lines, 0, 1)], "epoch", marked=(3, "best epoch 3")).draw(328))
    assert {"Score", "Dice", "IoU", "epoch", "best epoch 3", "1", "2", "3", "4"} <= set(said)
    grid = LineChart([Panel(f"class {k}", lines, 0, 1, height=74) for k in range(5)], "epoch", columns=(3, 2))
    assert texts(grid.draw(860)).count("Dice") == 1
    assert texts(grid.draw(860)).count("epoch") == 3
    assert texts(grid.draw(328)).count("epoch") == 2


def test_pixels_show_what_the_svg_shows():
    marks = (rect(10, 10, 20, 10, "series-0"), line(0, 50, 100, 50, "ink", width=2), point(70, 20, 0, "series-1"),
             area([(60, 60), (90, 60), (90, 90)], "series-2"), text(5, 90, "Text", size=14))  # fmt: skip
    pixels = pixels_of(Drawing(100, 100, marks), scale=1)
    assert pixels.shape == (100, 100, 3)
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    light = colours("light")
    for (x, y), role in {(20, 15): "series-0", (50, 50): "ink", (70, 20): "series-1"}.items():
        assert "#{:02x}{:02x}{:02x}".format(*pixels[y, x]) == light[role], role
    assert 200 < pixels[65, 85].mean() < 250  # translucent
    assert pixels[78:92, 4:40].min() < 60  # the text is above its baseline
    anchored = pixels_of(Drawing(100, 20, (text(95, 15, "Text", size=14, anchor="end"),)), scale=1)
    assert anchored[:, 96:].min() == 255
    assert anchored[:, 60:95].min() < 60


def test_colours_follow_the_page_and_files_are_on_white():
    assert of_page("series-3") == "var(--c-series-3)"
    assert of_page("#ff00aa") == of_file("#ff00aa") == "#ff00aa"
    assert css().count("--c-ink:") == 2
    assert "screen and (prefers-color-scheme: dark)" in css()


def test_small_values_are_short_on_an_axis():
    assert [shown(v) for v in (0, 2e-4, 3.5e-5, 0.85, 12, 34_000)] == ["0", "2e-4", "3.5e-5", "0.85", "12", "34k"]


def test_the_picture_of_a_rate_test_is_drawn_with_and_without_a_suggestion():
    rates = [10.0 ** (k / 10 - 6) for k in range(50)]
    losses = [1 + 0.01 * k for k in range(49)] + [900.0]
    pictures = [rate_test_png(rates, losses, losses, rate) for rate in (1e-3, None)]
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_a_series_without_any_value_is_drawn_as_pixels_too():
    """The validation loss of a run that measured none, beside its training loss."""
    lines = [Line("training", [(1, 0.9)], 0), Line("validation", [], 1)]
    drawing = LineChart([Panel("Loss", lines)], "epoch").draw(328)
    assert "validation" in texts(drawing)
    assert pixels_of(drawing, scale=1).min() < 128


def test_marks_without_a_point_leave_the_picture_white():
    assert (pixels_of(Drawing(20, 20, (polyline([], "muted"), area([], "muted"))), scale=1) == 255).all()
