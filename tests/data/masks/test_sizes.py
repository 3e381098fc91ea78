from pathlib import Path

import pytest

from segengine.data.masks.sizes import other_sizes, sizes_in_words

IMAGE, MASK = Path("a.png"), Path("m.png")


@pytest.mark.parametrize(
    ("image", "mask", "kind"),
    [
        ((100, 80), (50, 40), "half the image's size"),
        ((101, 81), (50, 41), "half the image's size"),
        ((100, 80), (25, 20), "a quarter of the image's size"),
        ((100, 80), (200, 160), "twice the image's size"),
        ((100, 80), (30, 24), "scaled"),
        ((100, 80), (99, 80), "one pixel off"),
        ((100, 80), (101, 79), "one pixel off"),
        ((100, 80), (80, 100), "rotated by 90 degrees"),
        ((100, 80), (100, 60), "cut"),
        ((100, 80), (96, 40), "cut"),
        ((100, 80), (128, 96), "padded"),
        ((100, 80), (128, 40), "of another shape"),
    ],
)
def test_in_which_way_a_mask_differs_from_its_image(image, mask, kind):
    [found] = other_sizes([(IMAGE, image, MASK, mask)])
    assert found.kind == kind


def test_equal_sizes_are_no_finding():
    assert other_sizes([(IMAGE, (3, 4), MASK, (3, 4))]) == []


def test_several_masks_are_counted_by_kind_and_the_first_is_named():
    pairs = [(IMAGE, (100, 80), MASK, size) for size in ((50, 40), (100, 80), (50, 40), (99, 80))]
    assert sizes_in_words(other_sizes(pairs), 1234) == (
        "a.png is 80x100 and its mask m.png 40x50 (width x height); give the mask the image's size; 3 of 1,234 masks differ "
        "in size from their images: 2 half the image's size, 1 one pixel off"
    )
