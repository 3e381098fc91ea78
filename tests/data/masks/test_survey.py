import cv2
import numpy as np
import pytest
from PIL import Image

from segengine.data.masks.diagnosis import diagnose
from segengine.data.masks.mapping import MaskEncoding
from segengine.data.masks.survey import survey_masks
from segengine.errors import DataError


def blobs(seed, values, size=96):
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint8)
    for value in values:
        y, x = rng.integers(16, size - 16, 2)
        cv2.circle(mask, (int(x), int(y)), 12, int(value), -1)
    return mask


def surveyed(folder, masks, suffix=".png", **options):
    for i, mask in enumerate(masks):
        image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        image.save(folder / f"m{i}{suffix}", **options)
    return survey_masks(sorted(folder.glob(f"*{suffix}")), folder)


def test_values_are_counted_over_all_masks(tmp_path):
    survey = surveyed(tmp_path, [np.array([[0, 0, 63]], np.uint8), np.array([[0, 252]], np.uint8)])
    assert list(survey.values) == [0, 63, 252]
    assert (survey.values[0].pixels, survey.values[0].files) == (3, 2)
    assert survey.values[252].first_file.endswith("m1.png")
    assert [(m.height, m.width) for m in survey.masks] == [(1, 3), (1, 2)]
    assert survey.encoding == MaskEncoding("gray", 8, None, ".png")


def test_progress_is_told(tmp_path):
    told = []
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "a.png")
    survey_masks([tmp_path / "a.png"] * 3, tmp_path, progress=lambda *step: told.append(step))
    assert told == [("masks", 1, 3), ("masks", 2, 3), ("masks", 3, 3)]


def test_few_exact_values_are_classes(tmp_path):
    found = diagnose(surveyed(tmp_path, [blobs(i, [63, 126, 189, 252]) for i in range(4)]))
    assert (found.kind, found.values) == ("exact", (0, 63, 126, 189, 252))


def test_255_is_the_foreground_of_a_binary_mask(tmp_path):
    found = diagnose(surveyed(tmp_path, [blobs(i, [255]) for i in range(3)]))
    assert found.kind == "binary"
    assert "255 is the foreground" in found.message


def test_255_that_rings_objects_is_a_void_border(tmp_path):
    masks = []
    for i in range(4):
        mask = blobs(i, [1, 2])
        ring = cv2.dilate(mask, np.ones((3, 3), np.uint8)) != cv2.erode(mask, np.ones((3, 3), np.uint8))
        masks.append(np.where(ring, np.uint8(255), mask))
    found = diagnose(surveyed(tmp_path, masks))
    assert (found.kind, found.values) == ("void border", (0, 1, 2))
    assert "write ignore: [255]" in found.message


def test_255_that_fills_areas_is_a_class(tmp_path):
    apart = [blobs(i, [100, 255]) for i in range(4)]
    assert diagnose(surveyed(tmp_path, apart)).kind == "exact"


def test_an_organ_of_255_around_a_lesion_is_no_void_border(tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    cv2.circle(mask, (48, 48), 40, 255, -1)
    cv2.circle(mask, (48, 48), 12, 100, -1)
    found = diagnose(surveyed(tmp_path, [mask]))
    assert (found.kind, found.values) == ("exact", (0, 100, 255))


@pytest.mark.parametrize("values", [[255], [85, 170, 255]])
def test_resized_masks_are_recognised_and_the_true_values_guessed(tmp_path, values):
    small = [cv2.resize(blobs(i, values, 256), (128, 128), interpolation=cv2.INTER_CUBIC) for i in range(6)]
    found = diagnose(surveyed(tmp_path, small))
    assert found.kind == "blurred"
    assert found.values == (0, *values)


def test_jpeg_masks_are_recognised_and_the_true_values_guessed(tmp_path):
    survey = surveyed(tmp_path, [blobs(i, [128, 255]) for i in range(4)], ".jpg", quality=90)
    found = diagnose(survey)
    assert survey.encoding.suffix == ".png"
    assert (found.kind, found.values) == ("compressed", (0, 128, 255))
    assert "4 masks are JPEG" in found.message


def test_numbered_objects_are_not_classes(tmp_path):
    mask = np.zeros((200, 200), np.uint8)
    for i in range(40):
        cv2.circle(mask, (15 + 25 * (i % 8), 15 + 35 * (i // 8)), 8, i + 1, -1)
    found = diagnose(surveyed(tmp_path, [mask]))
    assert found.kind == "numbered objects"
    assert "these are instance numbers, not classes" in found.message


def test_many_classes_are_not_taken_for_numbered_objects(tmp_path):
    rng = np.random.default_rng(0)
    masks = [blobs(i, rng.choice(np.arange(1, 150), 12, replace=False), 256) for i in range(60)]
    assert diagnose(surveyed(tmp_path, masks)).kind == "exact"


def test_pictures_are_not_taken_for_masks(tmp_path):
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8), (0, 0), 4)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    assert not diagnose(surveyed(tmp_path, [smooth])).usable
    colours = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"photo\.png: holds 16,\d+ colours, too many for a mask"):
        survey_masks([tmp_path / "photo.png"], tmp_path)


def test_one_value_is_nothing_to_learn(tmp_path):
    found = diagnose(surveyed(tmp_path, [np.zeros((9, 9), np.uint8)]))
    assert (found.kind, found.usable) == ("one value", False)


def test_coloured_masks_are_counted_by_colour_and_black_ones_fit_them(tmp_path):
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[5:15, 5:15] = (255, 0, 0)
    survey = surveyed(tmp_path, [colour, np.zeros((20, 20, 3), np.uint8)])
    assert survey.encoding.kind == "rgb"
    assert survey.values[0, 0, 0].pixels == 700
    assert survey.values[255, 0, 0].pixels == 100
    assert diagnose(survey).kind == "colours"


def test_masks_stored_in_different_ways_are_refused(tmp_path):
    one = Image.fromarray(blobs(0, [255]) > 0)
    with pytest.raises(DataError, match=r"1 mask 1-bit gray \(first .*m0\.png\) and 1 mask gray \(first .*m1\.png\)"):
        surveyed(tmp_path, [one, blobs(1, [255])])


def test_empty_masks_that_a_tool_saved_with_one_bit_fit_all_others(tmp_path):
    empty = Image.fromarray(np.zeros((96, 96), bool))
    survey = surveyed(tmp_path, [empty, blobs(1, [63, 252])])
    assert survey.encoding == MaskEncoding("gray", 8)
    assert list(survey.values) == [0, 63, 252]


def test_binary_masks_beside_empty_ones_with_more_bits_stay_binary(tmp_path):
    survey = surveyed(tmp_path, [Image.fromarray(blobs(1, [255]) > 0), np.zeros((96, 96), np.uint8)])
    assert survey.encoding.bits == 1
    assert list(survey.values) == [0, 1]


def test_palettes_that_differ_where_they_are_used_are_refused(tmp_path):
    masks = []
    for colour in ((255, 0, 0), (0, 255, 0)):
        image = Image.fromarray(blobs(0, [1]))
        image.putpalette([0, 0, 0, *colour])
        masks.append(image)
    with pytest.raises(DataError, match=r"palette index 1 is colour \[0, 255, 0\] here and \[255, 0, 0\] in .*m0\.png"):
        surveyed(tmp_path, masks)


def test_a_broken_mask_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(DataError, match=r"bad\.png: can't be decoded"):
        survey_masks([tmp_path / "bad.png"], tmp_path)
