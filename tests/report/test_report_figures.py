"""The charts of a run: complete, well formed, fitting their class count, and literal about what users write into names."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from segengine.figures.palette import colours
from segengine.figures.series import best_epoch, series
from segengine.report.charts import charts, class_curves, curves, describe_classes, describe_curves, extremes

LIGHT = colours("light")


def decoded(figure) -> np.ndarray:
    with Image.open(io.BytesIO(figure.as_png())) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def holds(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((pixels == wanted).all(axis=-1).any())


@pytest.mark.parametrize("number", [2, 21])
def test_every_chart_is_a_readable_png_and_a_well_formed_svg(report_of, number):
    figures = list(charts(report_of(number, 3)))
    assert [figure.name for figure in figures] == ["curves", "classes", "confusion"]
    for figure in figures:
        height, width, _ = decoded(figure).shape
        root = ElementTree.fromstring(figure.as_file())
        assert [width, height] == [round(2 * float(v)) for v in root.attrib["viewBox"].split()[2:]]
        assert len(figure.as_png()) < 600_000
        assert "var(" not in figure.as_file()


def test_more_classes_get_more_room(rows_of, labels_of):
    few, many = (class_curves(rows_of(labels_of(n), 2), labels_of(n)).draw(860) for n in (2, 20))
    assert many.width == few.width
    assert many.height > 3 * few.height


def test_many_classes_show_the_mean_the_lowest_and_the_highest(rows_of, labels_of):
    labels = labels_of(150)
    figure = class_curves(rows_of(labels, 2), labels)
    drawn = figure.as_file()
    assert ">mean</text>" in drawn
    assert ">background</text>" in drawn
    assert drawn.count(">epoch</text>") == 3
    assert len(figure.table.rows) == 150
    low, high = extremes([label.name for label in labels], {label.name: -label.index for label in labels})
    assert low == [f"class {k}" for k in range(149, 139, -1)]
    assert high == ["background", *(f"class {k}" for k in range(1, 10))]


def test_a_single_epoch_is_drawn_as_points(rows_of, labels_of):
    pixels = decoded(curves(rows_of(labels_of(2), 1)))
    assert holds(pixels, LIGHT["series-0"])
    assert holds(pixels, LIGHT["series-1"])


def test_a_loss_without_validation_has_no_score_panel(rows_of, labels_of):
    rows = rows_of(labels_of(2), 3)
    bare = curves([{**row, "validation": None} for row in rows])
    assert bare.draw(860).height < curves(rows).draw(860).height
    assert "Dice" not in bare.as_file()


def test_no_epoch_at_all_still_gives_a_figure(labels_of):
    assert "no value" in curves([]).as_file()
    assert class_curves([], labels_of(3)).as_file().count("no value") == 3
    assert describe_curves([]) == "No curves: no epoch was completed."


@pytest.mark.parametrize("name", ["$x_{1$", "肝臓", "a\nb\tc", "<script>", "\\frac", "x" * 300, ""])
def test_any_class_name_is_drawn_literally_and_without_a_warning(report_of, labels_of, name):
    labels = labels_of(3, ("background", name))
    for figure in charts(report_of(3, 2, labels=labels)):
        ElementTree.fromstring(figure.as_file())
        assert decoded(figure).shape[1] < 2000


def test_class_colours_mark_their_panels_and_rows(report_of, labels_of):
    labels = labels_of(5)
    for figure in list(charts(report_of(5, 2, labels=labels)))[1:]:
        pixels = decoded(figure)
        assert all(holds(pixels, "#{:02x}{:02x}{:02x}".format(*label.colour)) for label in labels)


def test_the_best_epoch_is_the_earliest_with_the_highest_mean_dice():
    dice = [0.5, None, 0.9, float("nan"), 0.9]
    rows = [{"epoch": k + 1, "validation": {"mean": {"dice": value}}} for k, value in enumerate(dice)]
    assert best_epoch(rows) == 3
    assert best_epoch(rows[1:2]) is None
    assert best_epoch([]) is None


def test_missing_numbers_become_nan_in_a_series():
    rows = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2}, {"epoch": 3, "train_loss": None}]
    np.testing.assert_array_equal(series(rows, "train_loss"), [2.0, np.nan, np.nan])


def test_alternative_texts_of_many_classes_stay_short(rows_of, labels_of):
    labels = labels_of(21)
    words = describe_classes(rows_of(labels, 3), labels)
    assert "lowest class 20" in words
    assert "highest background" in words
    assert len(words) < 250
