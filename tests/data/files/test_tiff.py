import contextlib
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from segengine.data.files.decoding import decode
from segengine.data.files.reading import read_image, read_mask
from segengine.errors import DataError

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
GDAL_NODATA = 42113


def by_rasterio(path, bands, **options):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype,
        **options,
    ) as file:
        file.write(bands)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "MINISBLACK"},
        {"photometric": "MINISWHITE"},
        {"compress": "lzw", "predictor": 2, "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "deflate", "interleave": "band"},
        {"compress": "zstd", "interleave": "pixel"},
    ],
)
def test_files_of_rasterio_are_read_with_all_bands_as_written(tmp_path, dtype, options):
    if dtype == "float32" and "predictor" in options:
        options = {**options, "predictor": 3}
    for count in (1, 2, 3, 4, 5):
        bands = (np.random.default_rng(count).random((count, 48, 64)) * 120).astype(dtype)
        by_rasterio(tmp_path / "a.tif", bands, **options)
        values = decode(tmp_path / "a.tif").values
        assert values.dtype == bands.dtype
        assert np.array_equal(values, np.moveaxis(bands, 0, -1).squeeze())


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_arrays_saved_by_tifffile_are_read_in_their_shape(tmp_path, count, dtype):
    array = (np.random.default_rng(count).random((40, 56, count)) * 200).astype(dtype)
    with (
        pytest.warns(DeprecationWarning, match="stored as RGB")
        if count in (3, 4) and dtype == np.float32
        else contextlib.nullcontext()
    ):
        tifffile.imwrite(tmp_path / "plain.tif", array)
    tifffile.imwrite(tmp_path / "contig.tif", array, photometric="minisblack", planarconfig="contig")
    planes = np.moveaxis(array, -1, 0)
    tifffile.imwrite(tmp_path / "planar.tif", planes, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "named.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    with tifffile.TiffWriter(tmp_path / "ome.tif", ome=True) as writer:
        writer.write(planes, photometric="minisblack", metadata={"axes": "CYX"})
    for name in ("plain", "contig", "planar", "named", "ome"):
        assert np.array_equal(decode(tmp_path / f"{name}.tif").values, array), name


def test_channels_of_imagej_are_channels(tmp_path):
    planes = np.random.default_rng(0).integers(0, 999, (3, 40, 50)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "CYX"})
    assert np.array_equal(decode(tmp_path / "a.tif").values, np.moveaxis(planes, 0, -1))


@pytest.mark.parametrize(
    ("pages", "options"),
    [
        (30, {}),
        (3, {"photometric": "minisblack"}),
        (5, {"photometric": "minisblack", "metadata": None}),
        (30, {"imagej": True}),
        (7, {"imagej": True, "metadata": {"axes": "ZYX"}}),
        (7, {"imagej": True, "metadata": {"axes": "TYX"}}),
    ],
)
def test_a_stack_of_pages_is_refused_with_their_number(tmp_path, pages, options):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((pages, 60, 50), np.uint8), **options)
    for read in (read_image, read_mask):
        with pytest.raises(
            DataError, match=rf"a\.tif: is a stack of {pages}x60x50 \(.YX\): {pages} pages; .*data.source.pages"
        ):
            read(tmp_path / "a.tif")


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for size in (10, 20):
            writer.write(np.zeros((size, size), np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(
        DataError,
        match=r"a\.tif: holds 2 pages \(10x10, 20x20 pixels\); .* set data.source.pages: all",
    ):
        read_image(tmp_path / "a.tif")


def test_a_thumbnail_in_front_of_the_picture_is_left_out_and_told(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(picture[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
        writer.write(picture, photometric="minisblack", metadata=None)
    stored = decode(tmp_path / "a.tif")
    assert np.array_equal(stored.values, picture)
    assert stored.notes == ("a thumbnail before the image is ignored",)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_stored_values_count_where_a_file_says_white_is_zero(tmp_path, dtype):
    mask = np.zeros((48, 64), dtype)
    mask[:10, :10] = 1
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="miniswhite")
    assert int(read_mask(tmp_path / "a.tif").sum()) == 100
    assert decode(tmp_path / "a.tif").notes == (
        "the file declares MinIsWhite; the stored values are used without inversion",
    )


def test_missing_strips_are_no_zeros(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=64, width=64, count=1, dtype="uint8",
        tiled=True, blockxsize=16, blockysize=16, SPARSE_OK=True,
    ) as file:  # fmt: skip
        file.write(np.ones((1, 16, 16), np.uint8), window=rasterio.windows.Window(0, 0, 16, 16))
    with pytest.raises(DataError, match=r"a\.tif: 15 of its 16 tiles are missing; export it again"):
        read_image(tmp_path / "a.tif")


def test_inks_are_bands_and_it_is_said(tmp_path):
    inks = np.random.default_rng(0).integers(0, 255, (20, 30, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    stored = decode(tmp_path / "a.tif")
    assert np.array_equal(stored.values, inks)
    assert stored.notes == ("CMYK inks are read as bands, without conversion",)


def test_another_colour_space_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="cielab")
    with pytest.raises(DataError, match=r"a\.tif: is stored in the colour space CIELAB; convert it to gray or RGB"):
        read_image(tmp_path / "a.tif")


def test_a_16_bit_palette_gives_indices_and_says_so(tmp_path):
    indices = np.arange(300, dtype=np.uint16).reshape(10, 30)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=np.zeros((3, 65536), np.uint16))
    stored = decode(tmp_path / "a.tif")
    assert np.array_equal(stored.values, indices)
    assert stored.notes == ("the colours of the 16-bit palette are not used; the indices are read as values",)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int32, np.int64, np.uint32])
def test_masks_of_whole_numbers_are_read_whatever_their_type(tmp_path, dtype):
    mask = np.arange(12).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", mask.astype(dtype))
    assert read_mask(tmp_path / "a.tif").dtype == np.uint16
    assert np.array_equal(read_mask(tmp_path / "a.tif"), mask)


@pytest.mark.parametrize(("dtype", "nothing", "tag"), [(np.float32, np.nan, "nan"), (np.int16, -9999, "-9999")])
def test_pixels_of_a_mask_without_a_value_become_65535(tmp_path, dtype, nothing, tag):
    mask = np.array([[0, 1, 2], [0, 0, 0]]).astype(dtype)
    mask[1] = nothing
    tifffile.imwrite(tmp_path / "a.tif", mask, extratags=[(GDAL_NODATA, "s", 0, tag, True)])
    assert read_mask(tmp_path / "a.tif").tolist() == [[0, 1, 2], [65535] * 3]


def test_nodata_not_a_number_and_the_validity_mask_are_missing_pixels(tmp_path):
    image = np.ones((1, 20, 30), np.float32)
    image[:, 0], image[:, 1] = -9999, np.nan
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        by_rasterio(tmp_path / "a.tif", image, nodata=-9999)
        with rasterio.open(
            tmp_path / "b.tif", "w", driver="GTiff", height=20, width=30, count=1, dtype="float32"
        ) as file:
            file.write(np.ones((1, 20, 30), np.float32))
            file.write_mask(np.arange(20)[:, None].repeat(30, 1) > 4)
    assert decode(tmp_path / "a.tif").missing.sum() == 60
    assert decode(tmp_path / "b.tif").missing.sum() == 150
    assert read_image(tmp_path / "a.tif", window=(-20000, 1))[:2].max() == 0


def test_without_imagecodecs_the_message_names_the_command(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint16), compression="lzw")
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from pathlib import Path; from segengine.data.files.decoding import decode; from segengine.errors import DataError\n"
        f"try: decode(Path({str(tmp_path / 'a.tif')!r}))\nexcept DataError as error: sys.stdout.write(str(error))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (
        said
        == f"{tmp_path}/a.tif: is compressed with LZW, which needs imagecodecs; install it with `pip install imagecodecs`"
    )
