import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.data.files.decoding import decode
from segengine.data.files.reading import mask_encoding, read_image, read_mask
from segengine.data.files.writing import write_mask
from segengine.errors import DataError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_a_palette_mask_is_read_as_indices_and_written_with_its_palette(tmp_path):
    indices = np.array([[0, 1, 15], [15, 255, 2]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([v for i in range(256) for v in (i * 7 % 256, 255 - i, 3)])
    image.save(tmp_path / "a.png")
    raw = read_mask(tmp_path / "a.png")
    assert raw.dtype == np.uint8
    assert np.array_equal(raw, indices)
    encoding = mask_encoding(decode(tmp_path / "a.png"), raw, ".png")
    assert encoding.kind == "palette"
    write_mask(tmp_path / "b.png", raw, encoding)
    with Image.open(tmp_path / "b.png") as again, Image.open(tmp_path / "a.png") as first:
        assert again.mode == "P"
        assert again.getpalette() == first.getpalette()
    assert np.array_equal(read_mask(tmp_path / "b.png"), indices)


def test_a_16_bit_mask_is_exact(tmp_path):
    values = np.array([[0, 256, 65535], [1000, 257, 1]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert read_mask(tmp_path / name).dtype == np.uint16
        assert np.array_equal(read_mask(tmp_path / name), values)


def test_a_one_bit_mask_is_zero_and_one(tmp_path):
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[1, 0], [0, 1]]
    assert mask_encoding(decode(tmp_path / "a.png"), read_mask(tmp_path / "a.png"), ".png").bits == 1


def test_gray_stored_as_colour_is_gray_and_colours_stay_colours(tmp_path):
    Image.fromarray(np.repeat(RAMP[:, :, None], 3, axis=2)).save(tmp_path / "gray.png")
    assert np.array_equal(read_mask(tmp_path / "gray.png"), RAMP)
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[1, 2] = (200, 0, 0)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert np.array_equal(read_mask(tmp_path / "colour.png"), colour)
    Image.fromarray(np.dstack([colour, np.full((4, 5), 255, np.uint8)])).save(tmp_path / "rgba.png")
    assert np.array_equal(read_mask(tmp_path / "rgba.png"), colour)


def test_a_mask_in_the_transparency_is_refused(tmp_path):
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[1, 2, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: the mask is stored in the alpha channel only"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    turned = {  # what a camera stores so that a viewer with this tag shows `upright`
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png")[:, :, 0], upright)
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.tif", tiffinfo={274: orientation})
    assert np.array_equal(read_image(tmp_path / "a.tif")[:, :, 0], upright)


def test_gray_becomes_three_channels_and_colour_one_by_luma(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "gray.png")
    image = read_image(tmp_path / "gray.png", channels=3)
    assert image.shape == (16, 16, 3)
    assert (image == RAMP[:, :, None]).all()
    Image.fromarray(np.full((2, 2, 3), (100, 50, 200), np.uint8)).save(tmp_path / "colour.png")
    assert read_image(tmp_path / "colour.png", channels=1)[0, 0, 0] == round(0.299 * 100 + 0.587 * 50 + 0.114 * 200)


def test_transparency_is_dropped_unless_four_channels_are_asked_for(tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels[:, :, :3])
    assert np.array_equal(read_image(tmp_path / "a.png", channels=4), pixels)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_a_tiff_with_five_channels_is_read_whole(tmp_path, layout):
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 5), dtype=np.uint8)
    planes = values if layout == "last" else values.transpose(2, 0, 1)
    planar = "contig" if layout == "last" else "separate"
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", planarconfig=planar)
    assert np.array_equal(read_image(tmp_path / "a.tif", channels=5), values)
    with pytest.raises(DataError, match=r"a\.tif: has 5 channels and data\.channels is 3"):
        read_image(tmp_path / "a.tif", channels=3)


def test_sixteen_bits_need_a_window_that_is_linear_and_rounded(tmp_path):
    values = np.array([[0, 100, 150, 200, 4095]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        with pytest.raises(DataError, match=r"has 16 bits per value \(uint16 0 to 4095\); set data\.window"):
            read_image(tmp_path / name)
        assert read_image(tmp_path / name, window=(100, 200))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_sixteen_bit_colour_is_not_quietly_reduced(tmp_path):
    import cv2

    values = np.zeros((2, 2, 3), np.uint16)
    values[..., 0], values[..., 2] = 1000, 300  # red, blue
    cv2.imwrite(str(tmp_path / "a.png"), values[:, :, ::-1])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    for name in ("a.png", "a.tif"):
        assert read_image(tmp_path / name, window=(0, 1000))[0, 0].tolist() == [255, 0, 76]


def test_float_images_pass_the_window_and_not_a_number_is_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-1.0, 0.0, 0.5, 2.0, np.nan]], np.float32))
    assert read_image(tmp_path / "a.tif", window=(0, 1))[0, :, 0].tolist() == [0, 0, 128, 255, 0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".bmp"])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole{suffix}")
    content = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(content[: len(content) // 2])
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=rf"cut\{suffix}: can't be decoded .*export it again"):
            read(tmp_path / f"cut{suffix}")


def test_an_empty_a_missing_and_a_foreign_file_are_named(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(DataError, match=r"text\.png: can't be decoded \(no known image format\)"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "gone.png")
    assert str(caught.value) == (
        f"{tmp_path}/gone.png: can't be read: No such file or directory; restore it and run the same command again"
    )


def test_an_animation_is_refused(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (0, 100, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.gif: holds 3 images"):
        read_mask(tmp_path / "a.gif")


def test_a_float_mask_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0.0, 0.5]], np.float32))
    with pytest.raises(DataError, match=r"masks hold whole numbers from 0 to 65535, and this one float32 0 to 0.5"):
        read_mask(tmp_path / "a.tif")
