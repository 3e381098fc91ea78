import cv2
import numpy as np
import pytest
from PIL import Image

from segengine.data.files.decoding import decode
from segengine.data.masks import shapes
from segengine.data.masks.diagnosis import edge_values
from segengine.data.masks.facts import count_values, histogram, mask_facts
from segengine.data.masks.survey import survey_masks


def written(folder, masks):
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"m{i:03d}.png")
    return sorted(folder.glob("*.png"))


def random_masks(number, values=6, size=24):
    rng = np.random.default_rng(0)
    return [rng.integers(0, values, (size, size)).astype(np.uint8) for _ in range(number)]


def test_shapes_are_examined_in_a_bounded_sample_and_values_are_counted_in_all_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes.sample, "__defaults__", (8,))
    read = []
    paths = written(tmp_path, random_masks(40))
    survey = survey_masks(paths, tmp_path, read=lambda path: read.append(path) or decode(path))
    assert len(read) == 8
    assert survey.evidence.many == 8
    assert survey.pixels == 40 * 24 * 24
    assert {found.files for found in survey.values.values()} == {40}


def test_the_sample_follows_content_and_not_names(tmp_path):
    masks = random_masks(30)
    for name, order in (("a", masks), ("b", masks[::-1])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, order)
    one, two = ([mask_facts(p) for p in sorted((tmp_path / name).glob("*.png"))] for name in "ab")
    drawn = [facts.digest for facts in shapes.sample(one, 10)]
    assert drawn == [facts.digest for facts in shapes.sample(two, 10)]
    assert drawn[:5] == sorted(facts.digest for facts in one)[:5]
    assert len(set(drawn)) == 10


def test_the_sample_covers_values_that_only_few_masks_hold(tmp_path):
    masks = [*random_masks(60, values=3), *(np.full((4, 4), value, np.uint8) for value in (50, 60, 70))]
    facts = [mask_facts(p) for p in written(tmp_path, masks)]
    held = {int(v) for of in shapes.sample(facts, 8) for v in of.values[0]}
    assert held == {0, 1, 2, 50, 60, 70}


def test_masks_of_equal_content_are_examined_once(tmp_path):
    facts = [mask_facts(p) for p in written(tmp_path, random_masks(3) * 5)]
    assert len(shapes.sample(facts)) == 3


def test_solid_pixels_are_scaled_from_the_sample_to_all_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes.sample, "__defaults__", (4,))
    masks = []
    for i in range(20):
        mask = np.zeros((40, 40), np.uint8)
        cv2.rectangle(mask, (5 + i // 4, 5 + i % 4), (24, 24), 9, -1)
        mask[35, :] = 3  # a line has no solid pixel
        masks.append(mask)
    survey = survey_masks(written(tmp_path, masks), tmp_path)
    assert edge_values(survey) == (3,)
    found = survey.values[9]
    assert 0.7 * found.pixels < found.solid < found.pixels


@pytest.mark.parametrize("colours", [3, 150, 4000])
def test_colours_are_counted_as_numpy_counts_them(colours):
    rng = np.random.default_rng(colours)
    table = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    mask = table[np.repeat(rng.integers(0, colours, (37, 10)), 5, axis=1)]
    codes, pixels = count_values(mask)
    wide = mask.astype(np.int64)
    expected = np.unique((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2], return_counts=True)
    assert codes.tolist() == expected[0].tolist()
    assert pixels.tolist() == expected[1].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_values_are_counted_as_numpy_counts_them(dtype):
    mask = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (65, 43), endpoint=True).astype(dtype)
    codes, pixels = count_values(mask)
    expected = np.unique(mask, return_counts=True)
    assert codes.tolist() == expected[0].tolist()
    assert pixels.tolist() == expected[1].tolist()


def test_counts_stay_exact_beyond_the_whole_numbers_of_float32():
    mask = np.zeros((4099, 4099), np.uint8)
    mask[0, 0] = 1
    assert histogram(mask)[:2].tolist() == [4099 * 4099 - 1, 1]
