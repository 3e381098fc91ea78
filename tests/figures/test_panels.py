"""Overlays, triptychs and sheets: what is painted, what stays, and that ignored pixels can be seen."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segengine.figures.encoding import png_of
from segengine.figures.examples import Augmented, Example, best_median_worst
from segengine.figures.panels import IGNORED_DARK, IGNORED_LIGHT, overlay, tile, to_rgb, triptych
from segengine.figures.sheets import augmentation_sheet, augmented_caption, legend_name, prediction_sheet, present

GRAYS = {IGNORED_DARK, IGNORED_LIGHT}


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def share_of_hatch(pixels: np.ndarray) -> float:
    flat = (pixels == pixels[..., :1]).all(axis=-1)
    return float((flat & np.isin(pixels[..., 0], list(GRAYS))).mean())


@pytest.mark.parametrize(("channels", "taken"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (7, [0, 1, 2])])
def test_any_number_of_channels_can_be_shown(channels, taken):
    image = np.random.default_rng(0).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb(image), image[:, :, taken])


def test_background_is_left_as_it_is_and_classes_are_tinted(labels_of):
    image, classes = np.full((20, 20, 1), 100, np.uint8), np.zeros((20, 20), np.uint8)
    classes[5:15, 5:15] = 1
    labels = labels_of(2)
    painted = overlay(image, classes, labels, alpha=0.5)
    assert (painted[classes == 0] == 100).all()
    np.testing.assert_allclose(painted[10, 10], (100 + np.array(labels[1].colour)) / 2, atol=1)
    assert tuple(painted[5, 10]) == labels[1].colour
    assert (image == 100).all()


def test_a_first_class_that_is_no_background_is_tinted(labels_of):
    labels = labels_of(2, ("sky", "tree"))
    sky = type(labels[0])(0, "sky", 0, (10, 200, 30))
    painted = overlay(np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), np.uint8), [sky, labels[1]])
    assert tuple(painted[4, 4]) != (100, 100, 100)


def test_ignored_pixels_are_hatched_in_two_grays_and_nothing_else_is(labels_of):
    image, classes = np.full((60, 60, 3), 30, np.uint8), np.zeros((60, 60), np.uint8)
    classes[:, :20] = 255
    painted = overlay(image, classes, labels_of(2))
    assert {int(v) for v in np.unique(painted[:, :20])} == GRAYS
    assert (painted[:, 20:] == 30).all()


def test_a_value_that_no_label_names_is_loud(labels_of):
    painted = overlay(np.zeros((9, 9, 3), np.uint8), np.full((9, 9), 77, np.uint8), labels_of(2), alpha=1.0)
    assert tuple(painted[4, 4]) == (255, 0, 255)


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.integers(1, 5))
def test_a_triptych_of_any_size_is_three_images_wide(height, width, channels):
    image = np.zeros((height, width, channels), np.uint8)
    classes = np.zeros((height, width), np.uint8)
    row = triptych(image, classes, classes, [])
    gaps = 2 * max(2, width // 60)
    assert row.shape == (height, 3 * width + gaps, 3)
    assert row.dtype == np.uint8


@pytest.mark.parametrize("size", [(30, 50), (900, 600)])
def test_a_tile_is_scaled_to_its_side_and_masks_are_never_mixed(labels_of, size):
    classes = np.zeros(size, np.uint8)
    classes[:, : size[1] // 2] = 255
    painted = tile(np.zeros((*size, 3), np.uint8), classes, labels_of(2), 300)
    assert max(painted.shape[:2]) == 300
    half = painted.shape[1] // 2
    assert painted[:, : half - 6].min() > 60
    assert painted[:, half + 6 :].max() == 0


def test_the_prediction_sheet_shows_ignored_truth(scene_of, labels_of):
    image, truth = scene_of(3, size=(120, 160))
    hidden = np.where(truth == 255, 0, truth).astype(np.uint8)
    seen = decoded(prediction_sheet([Example("a", 0.5, image, hidden, truth, "best")], labels_of(3)))
    unseen = decoded(prediction_sheet([Example("a", 0.5, image, hidden, hidden, "best")], labels_of(3)))
    assert share_of_hatch(seen) > share_of_hatch(unseen) + 0.01


def test_the_augmentation_sheet_shows_and_names_ignored_padding(scene_of, labels_of):
    image, truth = scene_of(3, size=(64, 64))
    whole = np.where(truth == 255, 0, truth).astype(np.uint8)
    rows = [Augmented(f"p{k}", image, whole, image, truth) for k in range(3)]
    data = augmentation_sheet(rows, labels_of(3))
    assert len(data) < 600_000
    assert share_of_hatch(decoded(data)) > 0.02
    assert augmented_caption(rows[0]) == "p0 · 19 % ignored"
    assert legend_name(present(labels_of(3), [truth])[-1]) == "ignored: padding or unlabelled, not scored"


def test_a_legend_holds_only_what_is_shown(labels_of):
    labels = labels_of(21)
    assert present(labels, [np.array([[0, 4], [4, 2]], np.uint8)]) == [labels[2], labels[4]]


def test_sheets_without_a_score_and_of_odd_shapes_still_decode(labels_of):
    wide, high = np.zeros((3, 200, 4), np.uint8), np.zeros((200, 3, 1), np.uint8)
    rows = [
        Example("wide", None, wide, wide[..., 0], wide[..., 0], "best"),
        Example("h$igh" * 60, float("nan"), high, high[..., 0], high[..., 0], "worst"),
    ]
    assert decoded(prediction_sheet(rows, labels_of(2))).shape[2] == 3


def test_a_noisy_sheet_stays_under_its_limit_and_keeps_the_legends_colours():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    pixels[:20, :20] = (64, 0, 128)
    assert len(png_of(pixels)) > 250_000
    small = png_of(pixels, keep=[(64, 0, 128)], limit_bytes=100_000)
    assert len(small) <= 100_000
    assert tuple(decoded(small)[10, 10]) == (64, 0, 128)


def test_pixels_that_fit_are_stored_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png_of(pixels)), pixels)


def test_best_median_and_worst_are_chosen_among_images_with_a_score():
    scores = {"a": 0.9, "b": 0.1, "c": None, "d": 0.5, "e": float("nan"), "f": 0.6}
    assert best_median_worst(scores) == {"best": "a", "median": "d", "worst": "b"}
    assert best_median_worst({"a": 0.3, "b": 0.2}) == {"best": "a", "worst": "b"}
    assert best_median_worst({"a": 0.3}) == {"best": "a"}
    assert best_median_worst({"a": None}) == {}
