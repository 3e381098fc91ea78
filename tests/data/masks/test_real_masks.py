"""What users of real sets are told."""

import os
from pathlib import Path

import numpy as np
import pytest

from segengine.components.mask_mappers import GrayIndex, Palette, Rgb
from segengine.components.sources import Folders
from segengine.data.files.reading import read_image, read_mask
from segengine.data.files.writing import write_mask
from segengine.data.masks.diagnosis import diagnose
from segengine.data.masks.survey import survey_masks
from segengine.errors import DataError

pytestmark = pytest.mark.datasets


@pytest.fixture
def sets():
    folder = os.environ.get("SEGENGINE_DATASETS")
    if not folder:
        pytest.skip("SEGENGINE_DATASETS is not set")
    return Path(folder)


def survey(sets, tmp_path, most=40, **source):
    """A survey whose gray-values.txt goes to a temporary folder."""
    records = Folders.model_validate(source, context={"base_folder": sets}).build()
    return survey_masks([r.mask for r in records][:: max(1, len(records) // most)], tmp_path)


DRIVE = {"root": "retina/drive", "images": "images/*_training.tif", "masks": "1st_manual/*_manual1.gif"}
CHASE = {"root": "retina/chase", "images": "*.jpg", "masks": "*_1stHO.png"}
TILES = {"root": "tiles", "images": "*/*.jpg", "masks": "*/*.png"}


@pytest.mark.parametrize(
    ("source", "kind", "values"),
    [
        ({"root": "abdomen-mr"}, "exact", (0, 63, 126, 189, 252)),
        ({"root": "street"}, "exact", tuple(range(12))),
        (DRIVE, "binary", (0, 255)),
        (CHASE, "binary", (0, 1)),
        ({"root": "nuclei-dirty"}, "blurred", (0, 255)),
        (TILES, "blurred", (0, 255)),
        ({"root": "polyps-jpeg"}, "compressed", (0, 255)),
        ({"root": "em-tiff"}, "numbered objects", ()),
        ({"root": "weeds"}, "colours", ((0, 0, 0), (0, 255, 0), (255, 0, 0))),
    ],
)
def test_masks_are_recognised(sets, tmp_path, source, kind, values):
    found = diagnose(survey(sets, tmp_path, **source))
    assert (found.kind, found.values) == (kind, values)


def test_the_border_of_voc_is_recognised_and_its_palette_kept(sets, tmp_path):
    found = survey(sets, tmp_path, root="voc", lists="ImageSets/Segmentation/{split}.txt")
    assert diagnose(found).kind == "void border"
    mapper = Palette(ignore=[255]).build(classes=[f"class {i}" for i in range(21)], found=found)
    path = found.masks[0].path
    raw = read_mask(path)
    write_mask(tmp_path / "again.png", mapper.to_raw(mapper.to_classes(raw)), mapper.encoding)
    assert np.array_equal(read_mask(tmp_path / "again.png"), raw)
    assert mapper.labels[12].colour == (64, 0, 128)


@pytest.mark.parametrize("source", [DRIVE, CHASE])
def test_vessels_come_back_in_their_own_encoding(sets, tmp_path, source):
    found = survey(sets, tmp_path, **source)
    mapper = GrayIndex().build(classes=["background", "vessel"], found=found)
    raw = read_mask(found.masks[0].path)
    path = tmp_path / f"again{found.encoding.suffix}"
    write_mask(path, mapper.to_raw(mapper.to_classes(raw)), mapper.encoding)
    assert np.array_equal(read_mask(path), raw)


def test_ultrasound_says_what_is_missing_and_what_to_write(sets, tmp_path):
    with pytest.raises(DataError, match=r"6 images have no mask \(h94\.jpg"):
        survey(sets, tmp_path, root="ultrasound")
    found = survey(sets, tmp_path, root="ultrasound", unpaired="skip")
    with pytest.raises(DataError, match=r"write mask_mapper: \{name: rgb, colours: .*repair: nearest\}"):
        Rgb().build(classes=None, found=found)


def test_object_numbers_are_refused(sets, tmp_path):
    with pytest.raises(DataError, match="these are instance numbers, not classes"):
        GrayIndex().build(classes=None, found=survey(sets, tmp_path, root="em-tiff"))


def test_dirty_masks_are_refused_and_repaired_on_request(sets, tmp_path):
    found = survey(sets, tmp_path, root="nuclei-dirty")
    with pytest.raises(DataError, match=r"values: \[0, 255\], repair: nearest"):
        GrayIndex().build(classes=None, found=found)
    mapper = GrayIndex(values=[0, 255], repair="nearest").build(classes=None, found=found)
    assert "repair: nearest maps" in mapper.notes[-1]


def test_unscaled_mr_slices_need_a_window(sets):
    path = min((sets / "abdomen-mr" / "images16-validation").iterdir())
    with pytest.raises(DataError, match="has 16 bits per value"):
        read_image(path)
    assert read_image(path, window=(0, 700)).max() == 255
