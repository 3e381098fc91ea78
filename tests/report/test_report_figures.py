"""The figures with numbers: they decode, fit their class count, and stand what users write into names."""

import io

import numpy as np
import pytest
from PIL import Image

from segengine.figures.series import best_epoch, series
from segengine.figures.theme import DARK, LIGHT, Theme
from segengine.report.classes import class_curves, describe_classes
from segengine.report.confusion import confusion_matrix, describe_confusion
from segengine.report.curves import curves, describe_curves


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def holds(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((pixels == wanted).all(axis=-1).any())


@pytest.mark.parametrize("number", [2, 21])
def test_every_figure_is_a_readable_png_of_moderate_size(rows_of, labels_of, number):
    labels, rows = labels_of(number), rows_of(labels_of(number), 3)
    counts = np.eye(number, dtype=np.int64) * 1000
    for data in (curves(rows), class_curves(rows, labels), confusion_matrix(counts, labels)):
        height, width, _ = decoded(data).shape
        assert 700 <= width <= 2000
        assert 300 <= height <= 2600
        assert len(data) < 600_000


def test_more_classes_get_more_room(rows_of, labels_of):
    few = decoded(class_curves(rows_of(labels_of(2), 2), labels_of(2)))
    many = decoded(class_curves(rows_of(labels_of(21), 2), labels_of(21)))
    assert many.shape[1] == few.shape[1]
    assert many.shape[0] > 3 * few.shape[0]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_figures_stand_on_their_themes_ground(rows_of, labels_of, theme: Theme):
    corner = decoded(curves(rows_of(labels_of(2), 2), theme=theme))[2, 2]
    assert "#{:02x}{:02x}{:02x}".format(*corner) == theme.ground


def test_a_single_epoch_is_drawn_as_points(rows_of, labels_of):
    pixels = decoded(curves(rows_of(labels_of(2), 1)))
    assert holds(pixels, LIGHT.blue)
    assert holds(pixels, LIGHT.green)


def test_a_loss_without_validation_has_no_score_panel(rows_of, labels_of):
    rows = rows_of(labels_of(2), 3)
    bare = [{**row, "validation": None} for row in rows]
    assert decoded(curves(bare)).shape[0] < decoded(curves(rows)).shape[0]
    assert not holds(decoded(curves(bare)), LIGHT.green)


def test_no_epoch_at_all_still_gives_a_figure(labels_of):
    assert decoded(curves([])).size > 0
    assert decoded(class_curves([], labels_of(3))).size > 0
    assert describe_curves([]) == "No epoch was finished, so there are no curves."


@pytest.mark.parametrize("name", ["$x_{1$", "肝臓", "a\nb\tc", "<script>", "\\frac", "x" * 300, ""])
def test_any_class_name_is_drawn_literally_and_without_a_warning(rows_of, labels_of, name):
    labels = labels_of(3, ("background", name))
    assert decoded(class_curves(rows_of(labels, 2), labels)).size > 0
    assert decoded(confusion_matrix(np.eye(3, dtype=np.int64), labels)).shape[1] < 2000


def test_class_colours_mark_their_panels_and_rows(rows_of, labels_of):
    labels = labels_of(5)
    for data in (class_curves(rows_of(labels, 2), labels), confusion_matrix(np.eye(5, dtype=np.int64), labels)):
        pixels = decoded(data)
        assert all(holds(pixels, "#{:02x}{:02x}{:02x}".format(*label.colour)) for label in labels)


def test_a_class_without_true_pixels_is_neither_zero_nor_one(labels_of):
    counts = np.diag([10, 0, 10]).astype(np.int64)
    words = describe_confusion(counts, labels_of(3))
    assert words == "Confusion matrix of 3 classes. Found of the true pixels: background 100 %, class 2 100 %."
    full, empty = (decoded(confusion_matrix(m, labels_of(3))) for m in (np.diag([10, 10, 10]), counts))
    assert (full != empty).any(axis=-1).mean() > 0.03


def test_the_largest_confusion_is_put_into_words(labels_of):
    counts = np.array([[90, 10, 0], [5, 95, 0], [0, 40, 60]], np.int64)
    assert "40.0 % of class 2 was predicted as class 1." in describe_confusion(counts, labels_of(3))


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
