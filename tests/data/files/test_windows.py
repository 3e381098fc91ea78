from pathlib import Path

import numpy as np
import pytest
import tifffile

from segengine.components.mask_mappers import GrayIndex
from segengine.data.batches.dataset import prepare
from segengine.data.files.band_statistics import band_counts, windows_of
from segengine.data.files.images import common_window, image_facts
from segengine.data.files.reading import read_image
from segengine.data.files.windows import PER_IMAGE, Windowing, through_windows
from segengine.data.masks.mapping import IGNORE
from segengine.data.sources.records import Record
from segengine.data.sources.splits import Fractions
from segengine.errors import DataError

RANGES = (1.0, 10_000.0, 0.02, 3e6, 255.0)


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    planar = {"planarconfig": "contig"} if array.ndim == 3 else {}
    tifffile.imwrite(path, array, photometric="minisblack", **planar, **options)
    return path


def chosen(paths, wanted="auto", *, channels, groups=None):
    records = [Record(p.stem, p, None, p.stem if groups is None else groups[i]) for i, p in enumerate(paths)]
    facts = [image_facts(record.image) for record in records]
    return common_window(records, facts, range(len(records)), wanted, channels=channels)


def tile(rng, side, bands, dtype):
    """Bands of different range and distribution: uniform, skewed with a long tail, signed."""
    planes = [rng.random((side, side)), rng.lognormal(0, 1, (side, side)) / 50, rng.normal(0, 0.2, (side, side))]
    whole = np.issubdtype(dtype, np.integer)
    scaled = [planes[band % 3] * (30_000 / 5**band if whole else RANGES[band]) for band in range(bands)]
    limits = np.iinfo(dtype) if whole else np.finfo(dtype)
    return np.stack(scaled, axis=2).clip(float(limits.min), float(limits.max)).astype(dtype)


GRID = [(side, bands) for side in (64, 224, 250, 256) for bands in (1, 2, 3, 4, 5)] + [(512, 2), (512, 4), (1000, 3)]


@pytest.mark.parametrize(("side", "bands"), GRID)
def test_automatic_windows_are_the_percentiles_over_all_values_of_each_band(side, bands):
    rng = np.random.default_rng(side + bands)
    for dtype in (np.float32, np.float64, np.uint16, np.int16):
        values = tile(rng, side, bands, dtype)
        found, _ = windows_of(band_counts(values, None, None, whole=dtype == np.uint16))
        expected = np.percentile(values.reshape(-1, bands), (0.5, 99.5), axis=0).T
        width = expected[:, 1] - expected[:, 0]
        assert np.all(np.abs(np.array(found) - expected).max(axis=1) <= 0.02 * width), dtype


def test_each_band_of_files_gets_its_own_window(tmp_path):
    rng = np.random.default_rng(0)
    tiles = [tile(rng, 256, 4, np.float32) for _ in range(5)]
    paths = [save(tmp_path / f"{i}.tif", values) for i, values in enumerate(tiles)]
    windowing, note = chosen(paths, channels=4)
    expected = np.percentile(np.stack(tiles).reshape(-1, 4), (0.5, 99.5), axis=0).T
    assert np.allclose(windowing.common, expected, rtol=0.02, atol=1e-3 * np.abs(expected).max(axis=1, keepdims=True))
    assert "the 0.5 and 99.5 percentiles of the training images, per channel" in note
    picture = read_image(paths[0], window=windowing.common)
    assert [len(np.unique(picture[:, :, band])) > 200 for band in range(4)] == [True] * 4


def test_transparency_has_no_part_in_the_window(tmp_path):
    values = np.full((64, 64, 4), 65535, np.uint16)
    values[:, :, :3] = np.random.default_rng(0).integers(100, 1100, (64, 64, 3))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    windowing, _ = chosen([tmp_path / "a.tif"], channels=3)
    assert all(90 < low < 120 and 1080 < high < 1110 for low, high in windowing.common)


def test_a_band_with_few_gray_levels_or_one_value_is_told(tmp_path):
    values = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    values[:, :, 1] = (values[:, :, 1] > 0.5).astype(int) + (values[:, :, 1] > 0.8)
    values[:, :, 2] = 7
    windowing, note = chosen([save(tmp_path / "a.tif", values)], channels=3)
    assert note.endswith("; channel 2 keeps 3 gray levels; channel 3 has the single value 7")
    assert windowing.common[2] == (7, 8)


def test_nodata_and_not_a_number_have_no_part_in_the_window(tmp_path):
    values = np.random.default_rng(0).random((64, 64, 2)).astype(np.float32) * 100
    values[:20], values[20:25] = -9999, np.nan
    path = save(tmp_path / "a.tif", values, extratags=[(42113, "s", 0, "-9999", True)])
    expected = np.percentile(values[25:].reshape(-1, 2), (0.5, 99.5), axis=0).T
    assert np.allclose(chosen([path], channels=2)[0].common, expected, atol=0.2)
    picture = read_image(path, window=PER_IMAGE)
    assert picture[:25].max() == 0
    assert picture[25:].max() == 255


def test_per_image_windows_are_each_images_percentiles(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(0, 10.0**i, (64, 64, 2)).astype(np.float32) for i in range(3)]
    paths = [save(tmp_path / f"{i}.tif", array) for i, array in enumerate(arrays)]
    windowing, _ = chosen(paths, PER_IMAGE, channels=2)
    assert windowing == Windowing(PER_IMAGE)
    for path, array in zip(paths, arrays, strict=True):
        windows = tuple((float(a), float(b)) for a, b in np.percentile(array.reshape(-1, 2), (0.5, 99.5), axis=0).T)
        assert np.array_equal(read_image(path, window=windowing.of("any")), through_windows(array, windows))


def test_per_image_windows_are_those_of_the_group_where_records_have_groups(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [(rng.random((64, 64)) * (100 if i < 2 else 1000)).astype(np.uint16) for i in range(4)]
    paths = [save(tmp_path / f"{i}.tif", array) for i, array in enumerate(arrays)]
    windowing, note = chosen(paths, PER_IMAGE, channels=1, groups=["p", "p", "q", "q"])
    assert note == "data.window: per-image uses percentiles per group: 2 groups"
    for group, pair in (("p", arrays[:2]), ("q", arrays[2:])):
        assert np.allclose(windowing.of(group)[0], np.percentile(pair, (0.5, 99.5)), atol=1)
    assert Windowing.from_record(windowing.as_record()) == windowing


@pytest.mark.parametrize(
    "windowing",
    [Windowing(), Windowing(PER_IMAGE), Windowing(((0.0, 9.0),)), Windowing(((0.0, 1.0), (2.0, 3.0)))],
)
def test_windows_are_read_again_from_the_record_of_a_run(windowing):
    assert Windowing.from_record(windowing.as_record()) == windowing


def test_windows_of_another_number_than_the_channels_are_refused(tmp_path):
    path = save(tmp_path / "a.tif", np.random.default_rng(0).random((64, 64, 3)).astype(np.float32))
    with pytest.raises(DataError, match=r"data\.window has 2 pairs and images have 3 channels; write one pair, or 3"):
        chosen([path], [(0, 1), (0, 2)], channels=3)
    with pytest.raises(DataError, match=r"a\.tif: 2 windows for 3 channels"):
        read_image(path, window=((0, 1), (0, 2)))


def test_pixels_without_measurement_are_ignored_and_it_is_said(tmp_path):
    records = []
    for i in range(6):
        image = np.random.default_rng(i).random((40, 40)).astype(np.float32)
        image[:4], image[4:8] = np.nan, -9999
        mask = np.zeros((40, 40), np.uint8)
        mask[20:] = 100
        path = save(tmp_path / "images" / f"{i}.tif", image, extratags=[(42113, "s", 0, "-9999", True)])
        records.append(Record(str(i), path, save(tmp_path / "masks" / f"{i}.tif", mask), str(i)))
    found = prepare(
        records,
        build_mapper=lambda survey: GrayIndex(values=[0, 100]).build(classes=None, found=survey),
        split=Fractions(0.5, 0.5, 0.0),
    )
    image, classes = found.pair(0)
    assert (classes[:8] == IGNORE).all()
    assert set(np.unique(classes[8:])) == {0, 1}
    assert image[:8].max() == 0
    assert any("6 images" in note and "20 % of all pixels have no measurement" in note for note in found.warnings)
