import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile

from segengine.data.files.decoding import decode
from segengine.data.files.reading import to_picture
from segengine.data.files.windowed_image import WindowedImage
from segengine.errors import DataError

ORIENTATION = 274
LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "compressed strips": {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
    "one compressed strip": {"rowsperstrip": 90, "compression": "lzw"},
    "tiles": {"tile": (32, 48)},
    "compressed tiles": {"tile": (16, 32), "compression": "zstd"},
    "bigtiff": {"tile": (32, 32), "compression": "zlib", "bigtiff": True},
    "big endian": {"tile": (32, 32), "compression": "zlib", "byteorder": ">"},
    "big endian strip": {"byteorder": ">"},
}


def windows(height, width, number=12, seed=0):
    rng = np.random.default_rng(seed)
    yield 0, height, 0, width
    yield height - 1, height, width - 1, width
    for _ in range(number):
        y0, y1 = sorted(rng.choice(height + 1, 2, replace=False))
        x0, x1 = sorted(rng.choice(width + 1, 2, replace=False))
        yield int(y0), int(y1), int(x0), int(x1)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_windows_are_slices_of_the_array_that_was_written(tmp_path, options, channels, planar, dtype):
    values = (np.random.default_rng(channels).random((83, 101, channels)) * 250).astype(dtype)
    written = values[:, :, 0] if channels == 1 else np.moveaxis(values, -1, 0) if planar == "separate" else values
    kind = {} if channels == 1 else {"planarconfig": planar}
    tifffile.imwrite(tmp_path / "a.tif", written, photometric="minisblack", **kind, **options)
    expected = values.squeeze()
    with WindowedImage(tmp_path / "a.tif") as image:
        assert (image.height, image.width, image.channels, image.dtype) == (83, 101, channels, np.dtype(dtype))
        for y0, y1, x0, x1 in windows(83, 101):
            assert np.array_equal(image.read(y0, y1, x0, x1), expected[y0:y1, x0:x1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"tile": (16, 32), "compression": "zlib"}])
def test_windows_are_upright(tmp_path, orientation, options):
    values = np.random.default_rng(0).integers(0, 255, (45, 70, 3)).astype(np.uint8)
    tags = [(ORIENTATION, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extratags=tags, **options)
    whole = decode(tmp_path / "a.tif").values
    with WindowedImage(tmp_path / "a.tif") as image:
        assert (image.height, image.width) == whole.shape[:2]
        for y0, y1, x0, x1 in windows(image.height, image.width):
            assert np.array_equal(image.read(y0, y1, x0, x1), whole[y0:y1, x0:x1])


def channel_pages(path, planes, **options):
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(planes, photometric="minisblack", metadata={"axes": "CYX"}, **options)


def palette(path, values, **options):
    colours = np.random.default_rng(1).integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(path, values, photometric="palette", colormap=colours, **options)


def with_mask(path, values, **options):
    with tifffile.TiffWriter(path) as writer:
        writer.write(values, photometric="rgb", **options)
        valid = np.random.default_rng(2).random(values.shape[:2]) > 0.3
        writer.write(valid, photometric="mask", subfiletype=4, **options)


def nodata(path, values, **options):
    tifffile.imwrite(path, values, photometric="minisblack", extratags=[(42113, "s", 0, "7", True)], **options)


def rows_as_pages(path, values, **options):
    tifffile.imwrite(path, values, photometric="minisblack", **options)


RNG = np.random.default_rng(3)
KINDS = {
    "channel pages": (channel_pages, RNG.integers(0, 999, (4, 60, 80)).astype(np.uint16)),
    "palette": (palette, RNG.integers(0, 255, (60, 80)).astype(np.uint8)),
    "validity mask": (with_mask, RNG.integers(0, 255, (60, 80, 3)).astype(np.uint8)),
    "nodata": (nodata, RNG.integers(0, 20, (60, 80)).astype(np.int16)),
    "1 bit": (rows_as_pages, RNG.random((60, 80)) > 0.5),
    "rows as pages": (rows_as_pages, RNG.integers(0, 99, (60, 80, 5)).astype(np.uint8)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}])
def test_a_window_holds_what_decoding_holds(tmp_path, kind, options):
    write, values = KINDS[kind]
    if kind == "1 bit" and "tile" in options:
        options = {"compression": "packbits"}
    if kind == "rows as pages" and "tile" in options:
        options = {**options, "tile": (64, 16)}
    write(tmp_path / "a.tif", values, **options)
    whole = decode(tmp_path / "a.tif")
    with WindowedImage(tmp_path / "a.tif") as image:
        assert image.dtype == whole.values.dtype
        for y0, y1, x0, x1 in windows(image.height, image.width):
            part = image.stored(y0, y1, x0, x1)
            assert np.array_equal(part.values, whole.values[y0:y1, x0:x1])
            assert (part.bits, part.palette, part.nodata, part.notes) == (
                whole.bits,
                whole.palette,
                whole.nodata,
                whole.notes,
            )
            expected = np.zeros((y1 - y0, x1 - x0), bool) if whole.missing is None else whole.missing[y0:y1, x0:x1]
            assert np.array_equal(expected, np.zeros_like(expected) if part.missing is None else part.missing)
            if part.values.dtype == np.uint8:
                picture = to_picture(whole, image.path)
                assert np.array_equal(to_picture(part, image.path), picture[y0:y1, x0:x1])


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp"])
def test_lossy_tiles_equal_tifffile(tmp_path, compression):
    values = np.random.default_rng(0).integers(0, 255, (96, 130, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", tile=(32, 64), compression=compression)
    expected = tifffile.imread(tmp_path / "a.tif")
    with WindowedImage(tmp_path / "a.tif") as image:
        for y0, y1, x0, x1 in windows(96, 130):
            assert np.array_equal(image.read(y0, y1, x0, x1), expected[y0:y1, x0:x1])


def test_threads_read_one_image_at_once(tmp_path):
    values = np.random.default_rng(0).integers(0, 65535, (256, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(32, 32), compression="zlib")
    wrong = []
    with WindowedImage(tmp_path / "a.tif") as image:

        def check(seed):
            for y0, y1, x0, x1 in windows(256, 256, seed=seed):
                if not np.array_equal(image.read(y0, y1, x0, x1), values[y0:y1, x0:x1]):
                    wrong.append((y0, y1, x0, x1))

        threads = [threading.Thread(target=check, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


REPEATED = """
import resource, sys, tifffile, numpy as np
from segengine.data.files.windowed_image import WindowedImage
values = np.random.default_rng(0).integers(0, 255, (256, 8)).astype(np.uint8)
tile = np.repeat(np.repeat(values, 32, axis=1)[:, :, None], 3, axis=2)
count = (20480 // 256) ** 2
tifffile.imwrite(sys.argv[1], (tile for _ in range(count)), shape=(20480, 20480, 3), dtype="uint8", photometric="rgb",
                 tile=(256, 256), bigtiff=True, compression="packbits")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with WindowedImage(__import__("pathlib").Path(sys.argv[1])) as image:
    for y, x in ((0, 0), (10000, 9999), (20480 - 1000, 20480 - 1000)):
        window = image.read(y, y + 1000, x, x + 1000)
        rows, columns = np.arange(y, y + 1000) % 256, np.arange(x, x + 1000) % 256
        assert np.array_equal(window, tile[np.ix_(rows, columns)])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_an_image_above_the_limit_is_read_in_the_memory_of_its_window(tmp_path):
    path = tmp_path / "large.tif"
    done = subprocess.run([sys.executable, "-c", REPEATED, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60  # MiB; the image has 1,200
    with pytest.raises(DataError, match="above the limit"):
        decode(path)


def test_windows_outside_the_image_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    with WindowedImage(tmp_path / "a.tif") as image:
        for window in ((0, 21, 0, 30), (-1, 5, 0, 5), (5, 5, 0, 5), (0, 5, 28, 31)):
            with pytest.raises(ValueError, match="of an image of 20 x 30 pixels"):
                image.read(*window)


def test_what_cannot_be_read_by_windows_is_named(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no\.tif: can't be read: No such file"):
        WindowedImage(tmp_path / "no.tif")
    (tmp_path / "empty.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.tif: the file is empty"):
        WindowedImage(tmp_path / "empty.tif")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(
        DataError, match=r"a\.png: is a PNG file, which can't be read by windows; convert it to a tiled"
    ):
        WindowedImage(tmp_path / "a.png")
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + bytes(30))
    with pytest.raises(DataError, match=r"bad\.tif: holds no image; export it again"):
        WindowedImage(tmp_path / "bad.tif")
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((2, 40, 50), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"two\.tif: is a stack"):
        WindowedImage(tmp_path / "two.tif")
    tifffile.imwrite(tmp_path / "strip.tif", np.zeros((4000, 4000), np.uint8), rowsperstrip=4000, compression="zlib")
    monkeypatch.setenv("SEGENGINE_MAX_IMAGE_GIB", "0.01")
    with pytest.raises(DataError, match="is stored in strips of 4000 rows and 4000 columns"):
        WindowedImage(tmp_path / "strip.tif")


def test_a_corrupt_tile_is_an_error_of_its_windows_only(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        offset, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + count] = bytes(count)
    (tmp_path / "a.tif").write_bytes(content)
    with WindowedImage(tmp_path / "a.tif") as image:
        assert np.array_equal(image.read(0, 32, 0, 64), values[:32])
        with pytest.raises(DataError, match=r"a\.tif: can't be decoded"):
            image.read(0, 64, 0, 64)
