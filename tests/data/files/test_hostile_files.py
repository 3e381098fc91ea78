import os
import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.data.files.decoding import decode
from segengine.data.files.reading import read_image, read_mask
from segengine.errors import DataError


def png(width, height, depth, colour, rows, *, palette=b""):
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def bombs():
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF7, 0, 0) + bytes(768)
    gif += b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08" + (b"\x20" + bytes(32)) * 2 + b"\x00\x3b"
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 100_000, 100_000, 1, 24, 0, 0, 0, 0, 0, 0)
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", 78)
    npy += b"{'descr': '<f8', 'fortran_order': False, 'shape': (90000, 90000), }".ljust(77) + b"\n"
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9"
    return {"png": png(65500, 65500, 8, 0, b"\0" * 9), "gif": gif, "bmp": bmp, "npy": npy, "jpg": jpeg}


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "npy", "jpg"])
def test_a_decompression_bomb_is_refused_by_its_declared_size(tmp_path, kind):
    path, content = tmp_path / f"bomb.{kind}", bombs()[kind]
    assert len(content) < 900
    path.write_bytes(content)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(
        DataError, match=r"declares .* above the limit of 1 GiB; .*SEGENGINE_MAX_IMAGE_GIB=\d+$"
    ) as caught:
        read_image(path)
    assert time.perf_counter() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert str(path) in str(caught.value)


def test_the_limit_is_a_setting(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((2000, 2000), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setenv("SEGENGINE_MAX_IMAGE_GIB", "0.003")
    with pytest.raises(DataError, match=r"2,000 x 2,000 pixels .* 0\.00373 GiB decoded, above the limit of 0\.003 GiB"):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv("SEGENGINE_MAX_IMAGE_GIB", "0.004")
    assert read_image(tmp_path / "a.png").shape == (2000, 2000, 1)
    monkeypatch.setenv("SEGENGINE_MAX_IMAGE_GIB", "much")
    with pytest.raises(DataError, match=r"SEGENGINE_MAX_IMAGE_GIB is 'much'; it must be a positive number of GiB"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        b"P5 2 2 255\n\0\0\0\0",
        b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0",
        b"Image type: Greyscale image\r\n".ljust(600, b"\0"),
        bytes([0, 0, 3]) + bytes(9) + b"\2\0\2\0\x08\0" + bytes(4),
        b"8BPS\0\1".ljust(64, b"\0"),
    ],
)
def test_only_the_listed_formats_are_opened_whatever_the_suffix(tmp_path, content, monkeypatch):
    def no_program(*args, **_):
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr("subprocess.Popen", no_program)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: can't be decoded \(no known image format\); save it as one of PNG"):
        read_image(tmp_path / "a.png")


def test_a_palette_png_without_palette_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(png(2, 1, 8, 3, b"\0\1\2"))
    with pytest.raises(DataError, match=r"a\.png: is a palette PNG without a palette"):
        read_mask(tmp_path / "a.png")


def test_an_index_beyond_the_palette_is_no_black_pixel_of_an_image(tmp_path):
    (tmp_path / "a.png").write_bytes(png(2, 1, 8, 3, b"\0\1\7", palette=bytes(6)))
    assert read_mask(tmp_path / "a.png").tolist() == [[1, 7]]
    with pytest.raises(DataError, match=r"a\.png: has the palette index 7 but only 2 palette colours"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("depth", "colour"), [(8, 0), (8, 2), (16, 0), (16, 2)])
def test_a_flipped_bit_and_missing_rows_of_a_png_are_noticed(tmp_path, depth, colour):
    row = b"\0" + bytes(range(1, 1 + 4 * (depth // 8) * (3 if colour else 1)))
    whole = png(4, 8, depth, colour, row * 8)
    (tmp_path / "short.png").write_bytes(png(4, 8, depth, colour, row * 5))
    flipped = bytearray(whole)
    flipped[whole.index(b"IDAT") + 8] ^= 4
    (tmp_path / "flipped.png").write_bytes(flipped)
    with pytest.raises(DataError, match=r"short\.png: can't be decoded \(truncated pixel data\)"):
        decode(tmp_path / "short.png")
    with pytest.raises(DataError, match=r"flipped\.png: can't be decoded \(wrong checksum of chunk IDAT\)"):
        decode(tmp_path / "flipped.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_colour_is_turned_upright(tmp_path, orientation):
    values = np.random.default_rng(0).integers(0, 65535, (3, 5, 3), dtype=np.uint16)
    content = cv2.imencode(".png", values[:, :, ::-1])[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "deep.png").write_bytes(content[:33] + chunk + content[33:])
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "plain.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "deep.png").values >> 8, decode(tmp_path / "plain.png").values)


def test_a_cmyk_jpeg_is_converted_and_it_is_said(tmp_path):
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    stored = decode(tmp_path / "a.jpg")
    assert stored.values.shape == (8, 8, 3)
    assert stored.notes == ("CMYK inks are converted to red, green and blue",)


def test_a_pipe_or_device_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(DataError, match=r"\.png: is not a regular file; give the path of an image file"):
            read_image(tmp_path / name)


def test_arrays_are_read_and_pickled_objects_are_not(tmp_path):
    values = np.random.default_rng(0).random((20, 30, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "first.npy", np.moveaxis(values, -1, 0))
    np.savez(tmp_path / "a.npz", image=values)
    np.savez(tmp_path / "two.npz", image=values, mask=values)
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    for name in ("a.npy", "first.npy", "a.npz"):
        assert np.array_equal(decode(tmp_path / name).values, values), name
    with pytest.raises(DataError, match=r"two\.npz: holds 2 arrays; .* holds one array"):
        decode(tmp_path / "two.npz")
    with pytest.raises(DataError, match=r"objects\.npy: holds values of type object"):
        decode(tmp_path / "objects.npy")


def test_luma_and_windows_need_little_memory_beside_the_picture(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((2000, 1500, 3)).astype(np.float32))
    tracemalloc.start()
    picture = read_image(tmp_path / "a.npy", channels=3, window=(0, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.shape == (2000, 1500, 3)
    assert peak < 6 * picture.size * 2  # the file and its values in float32, the picture, and no float64 of it all


@pytest.mark.timeout(20)
def test_a_tiff_whose_pages_refer_to_themselves_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        start, tags = tiff.pages[0].offset, len(tiff.pages[0].tags)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[start + 2 + 12 * tags : start + 6 + 12 * tags] = struct.pack("<I", start)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: can't be decoded \(its list of pages never ends\)"):
        read_image(tmp_path / "a.tif")
