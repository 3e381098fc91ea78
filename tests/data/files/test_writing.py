import os

import numpy as np
import pytest
from PIL import Image

from segengine.data.files.decoding import decode
from segengine.data.files.reading import mask_encoding, mask_values, read_mask
from segengine.data.files.writing import write_mask
from segengine.data.masks.mapping import MaskEncoding
from segengine.errors import DataError

RNG = np.random.default_rng(3)
PALETTE = tuple((i, 255 - i, i * 3 % 256) for i in range(256))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        (MaskEncoding("gray", 1), 2),
        (MaskEncoding("gray", 8), 256),
        (MaskEncoding("gray", 8, channels=3), 256),
        (MaskEncoding("palette", 8, PALETTE), 256),
    ],
)
def test_what_is_written_is_read_again(tmp_path, suffix, encoding, values):
    raw = RNG.integers(0, values, (17, 23), dtype=np.uint8)
    write_mask(tmp_path / f"a{suffix}", raw, encoding)
    assert np.array_equal(read_mask(tmp_path / f"a{suffix}"), raw)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_stay_few_bits_and_stored_values(tmp_path, bits):
    raw = RNG.integers(0, 2**bits, (5, 11), dtype=np.uint8)
    write_mask(tmp_path / "a.png", raw, MaskEncoding("gray", bits))
    assert (tmp_path / "a.png").read_bytes()[24] == bits
    assert np.array_equal(read_mask(tmp_path / "a.png"), raw)
    stored = decode(tmp_path / "a.png")
    assert mask_encoding(stored, mask_values(stored, tmp_path), ".png") == MaskEncoding("gray", bits)


def test_sixteen_bits_and_colours_are_read_again(tmp_path):
    raw = RNG.integers(0, 65536, (6, 7), dtype=np.uint16)
    colours = RNG.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    for suffix in (".png", ".tif"):
        write_mask(tmp_path / f"a{suffix}", raw, MaskEncoding("gray", 16))
        write_mask(tmp_path / f"b{suffix}", colours, MaskEncoding("rgb", 8, channels=3))
        assert np.array_equal(read_mask(tmp_path / f"a{suffix}"), raw)
        assert np.array_equal(read_mask(tmp_path / f"b{suffix}"), colours)


def test_lossy_files_and_values_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.jpg: '\.jpg' would lose mask values; write \.png"):
        write_mask(tmp_path / "a.jpg", np.zeros((2, 2), np.uint8), MaskEncoding())
    with pytest.raises(DataError, match=r"value 2 doesn't fit the masks' 1 bits \(at most 1\)"):
        write_mask(tmp_path / "a.png", np.full((2, 2), 2, np.uint8), MaskEncoding("gray", 1))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_leftovers(tmp_path, monkeypatch):
    write_mask(tmp_path / "a.png", np.zeros((2, 2), np.uint8), MaskEncoding())
    before = (tmp_path / "a.png").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_mask(tmp_path / "a.png", np.ones((2, 2), np.uint8), MaskEncoding())
    assert (tmp_path / "a.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_palette_tiff_keeps_its_palette(tmp_path):
    write_mask(tmp_path / "a.tif", np.array([[0, 3, 200]], np.uint8), MaskEncoding("palette", 8, PALETTE))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "P"
    assert decode(tmp_path / "a.tif").palette == PALETTE
