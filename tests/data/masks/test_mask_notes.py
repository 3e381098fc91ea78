"""What init, inspect and run say about how masks were read."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.components.mask_mappers import GrayIndex
from segengine.data.batches.dataset import prepare
from segengine.data.masks.facts import mask_facts, mask_notes
from segengine.inspection.inspect import inspect_folder
from segengine.inspection.layouts.understand import understand

RNG = np.random.default_rng(0)


def shapes(i, dtype=np.uint8):
    mask = np.zeros((64, 64), dtype)
    mask[10:30, 10 + i : 40] = 1
    mask[40:50, 20:50] = 2
    return mask


def folder(tmp_path, write_mask, number=8, write_image=None):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(number):
        image = RNG.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        if write_image is None:
            Image.fromarray(image).save(tmp_path / "images" / f"p{i}.png")
        else:
            write_image(tmp_path / "images" / f"p{i}.tif", i)
        write_mask(tmp_path / "masks" / f"p{i}.tif", i)
    return tmp_path


def silent(event):
    pass


@pytest.fixture
def inverted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    return folder(data, lambda path, i: tifffile.imwrite(path, shapes(i), photometric="miniswhite"))


def test_masks_declared_as_min_is_white_are_noted_by_inspect_and_init(inverted):
    expected = "8 masks (first {}): the file declares MinIsWhite; the stored values are used without inversion"
    expected = expected.format(inverted / "masks" / "p0.tif")
    for _ in range(2):  # also from the survey file
        assert expected in inspect_folder(inverted, silent).notes
    assert expected in understand(inverted, silent).notes


def nan_border(path, i):
    mask = shapes(i, np.float32)
    mask[:5] = np.nan
    tifffile.imwrite(path, mask, photometric="minisblack")


def test_nan_in_masks_is_ignored_and_no_class(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    data = folder(tmp_path / "data", nan_border)
    found = understand(data, silent)  # warnings are errors
    assert found.meaning.mapper == {"name": "index", "ignore": [65535]}
    assert len(found.meaning.classes) == 3
    assert any("pixels without a value (NaN or nodata) are read as 65535" in note for note in found.notes)


def test_a_plain_mask_has_no_note(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", shapes(0), photometric="minisblack")
    assert mask_notes([mask_facts(tmp_path / "a.tif")]) == []


def test_pixels_without_a_measurement_do_not_count_in_class_pixels(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()

    def image(path, i):
        values = RNG.random((64, 64)).astype(np.float32)
        values[:20] = np.nan
        tifffile.imwrite(path, values, photometric="minisblack")

    data = folder(tmp_path / "data", lambda path, i: tifffile.imwrite(path, shapes(i)), 4, image)
    records = list(inspect_folder(data, silent).records)
    records = [replace(r, split="train" if i else "validation") for i, r in enumerate(records)]
    for cache in ("none", "ram", "disk"):
        dataset = prepare(records, build_mapper=lambda found: GrayIndex().build(classes=None, found=found), cache=cache)
        for i in range(len(records)):
            kept = shapes(i)[20:]
            assert dataset.class_pixels[i].tolist() == [int((kept == k).sum()) for k in range(3)]
