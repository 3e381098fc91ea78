"""DICOM images and series: values in modality units, order and geometry of slices, segmentation objects; hostile files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segengine.data.files.decoding import decode, read_pages
from segengine.data.files.dicom_series import read_segmentation, read_series, segment_names
from segengine.data.files.reading import read_image
from segengine.data.files.volumes import axis_codes, on_grid_of, slices_of, slicing_of
from segengine.errors import DataError
from tests.data.files.medical import MR, dicom, nibabel, nifti, pydicom, segmentation, series

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 2000, (6, 8)).astype(np.int16)


def test_stored_values_and_spacing_come_back(tmp_path: Path) -> None:
    stored = decode(dicom(tmp_path / "a.dcm", PIXELS))
    assert np.array_equal(stored.values, PIXELS)
    assert stored.spacing == (0.7, 0.8)
    assert stored.missing is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32])
def test_every_type_of_pixel_is_read(tmp_path: Path, dtype: Any) -> None:
    pixels = RNG.integers(0, 200, (6, 8)).astype(dtype)
    stored = decode(dicom(tmp_path / "a.dcm", pixels))
    assert np.array_equal(stored.values, pixels)
    assert stored.deep == (dtype != np.uint8)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1, -1024, np.int16), (2, -1024, np.int32), (0.5, 3.25, np.float32), (20, 0, np.int32)]
)  # fmt: skip
def test_values_are_rescaled_to_hounsfield_units(tmp_path: Path, slope: float, intercept: float, dtype: Any) -> None:
    bits = 14 if slope == 1 else 16
    scaling = {"RescaleSlope": str(slope), "RescaleIntercept": str(intercept)}
    path = dicom(tmp_path / "a.dcm", PIXELS.astype(np.uint16), BitsStored=bits, HighBit=bits - 1, **scaling)
    stored = decode(path)
    assert stored.values.dtype == dtype
    assert np.allclose(stored.values, PIXELS.astype(np.float64) * slope + intercept)


def test_a_window_in_hounsfield_units_is_exact(tmp_path: Path) -> None:
    hounsfield = np.array([[-1024, -160, 40, 240, 3000]] * 4, np.int16)
    path = dicom(tmp_path / "a.dcm", (hounsfield + 1024).astype(np.uint16), RescaleIntercept="-1024", RescaleSlope="1")
    assert read_image(path, window=(-160, 240))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    stored = decode(dicom(tmp_path / "a.dcm", PIXELS.astype(np.uint16), PhotometricInterpretation="MONOCHROME1",
                          BitsStored=12, HighBit=11))  # fmt: skip
    assert np.array_equal(stored.values, 4095 - PIXELS)
    assert stored.notes == ("MONOCHROME1 (the smallest value is white) is inverted",)


def test_padding_pixels_are_missing(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[0, :3], pixels[1, 1] = -2000, -1990
    path = dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=-2000, RescaleIntercept="-24", RescaleSlope="1")
    stored = decode(path)
    assert stored.missing is not None
    assert stored.missing.sum() == 3
    path = dicom(tmp_path / "b.dcm", pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)
    assert int(decode(path).missing.sum()) == 4  # type: ignore[union-attr]


def test_colour_and_palette_become_red_green_blue(tmp_path: Path) -> None:
    colours = RNG.integers(0, 255, (6, 8, 3)).astype(np.uint8)
    path = dicom(tmp_path / "rgb.dcm", PIXELS.astype(np.uint8), SamplesPerPixel=3, PhotometricInterpretation="RGB",
                 PlanarConfiguration=0, PixelData=colours.tobytes())  # fmt: skip
    assert np.array_equal(decode(path).values, colours)
    table = {f"{c}PaletteColorLookupTableData": bytes(range(256)) for c in ("Red", "Green", "Blue")}
    shapes = {f"{c}PaletteColorLookupTableDescriptor": [256, 0, 8] for c in ("Red", "Green", "Blue")}
    index = RNG.integers(0, 255, (6, 8)).astype(np.uint8)
    path = dicom(tmp_path / "palette.dcm", index, PhotometricInterpretation="PALETTE COLOR", **table, **shapes)
    assert np.array_equal(decode(path).values, np.repeat(index[..., None], 3, axis=2))


def test_frames_are_pages(tmp_path: Path) -> None:
    frames = RNG.integers(0, 999, (3, 6, 8)).astype(np.uint16)
    path = dicom(tmp_path / "a.dcm", frames)
    assert [np.array_equal(page.values, frame) for page, frame in zip(read_pages(path), frames, strict=True)] == [
        True
    ] * 3
    with pytest.raises(DataError, match=r"a.dcm: holds 3 frames; set data.source.pages: all"):
        decode(path)


def _compressed(path: Path, pixels: np.ndarray, syntax: Any, codestream: bytes, **elements: Any) -> Path:
    dicom(path, pixels, **elements)
    data = pydicom.dcmread(path)
    data.PixelData = pydicom.encaps.encapsulate([codestream])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("codec", ["rle", "jpeg2000", "jpeg-ls", "lossless-jpeg"])
def test_lossless_compression_is_decoded(tmp_path: Path, codec: str) -> None:
    import imagecodecs

    pixels = np.kron(RNG.integers(0, 4000, (8, 8)), np.ones((4, 4))).astype(np.uint16)
    path = tmp_path / f"{codec}.dcm"
    if codec == "rle":
        dicom(path, pixels)
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.save_as(path)
    elif codec == "jpeg2000":
        pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg (segengine[medical]) isn't installed")
        stream = imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k")
        _compressed(path, pixels, pydicom.uid.JPEG2000Lossless, stream)
    elif codec == "jpeg-ls":
        _compressed(path, pixels, pydicom.uid.JPEGLSLossless, imagecodecs.jpegls_encode(pixels))
    else:
        _compressed(path, pixels, pydicom.uid.JPEGLosslessSV1, imagecodecs.ljpeg_encode(pixels, bitspersample=16))
    assert np.array_equal(decode(path).values, pixels)


def test_signed_values_of_lossless_jpeg_keep_their_sign(tmp_path: Path) -> None:
    import imagecodecs

    pixels = RNG.integers(-1000, 1000, (16, 16)).astype(np.int16)
    stream = imagecodecs.ljpeg_encode(pixels.view(np.uint16), bitspersample=16)
    path = _compressed(tmp_path / "a.dcm", pixels, pydicom.uid.JPEGLosslessSV1, stream)
    assert np.array_equal(decode(path).values, pixels)


def test_a_series_is_ordered_by_position_not_by_name(tmp_path: Path) -> None:
    planes = RNG.integers(0, 2000, (5, 6, 8)).astype(np.int16)
    found = read_series(series(tmp_path, planes, RescaleIntercept="-1024", RescaleSlope="1"))
    assert [path.name for path in found.files] == ["005.dcm", "004.dcm", "003.dcm", "002.dcm", "001.dcm"]
    assert np.array_equal(found.volume.values, np.moveaxis(planes, 0, 2) - 1024)
    assert found.volume.modality == "CT"
    assert np.allclose(found.volume.spacing, (0.7, 0.8, 5.0))
    assert axis_codes(found.volume.affine) == "PLS"
    assert np.allclose(found.volume.affine[:3, 3], (10, 20, 0))
    slicing = slicing_of(found.volume)
    assert slicing.plane == "axial"
    assert np.array_equal(slices_of(found.volume, slicing)[0].values, planes[0] - 1024)


def test_sagittal_series_keep_their_plane(tmp_path: Path) -> None:
    planes = RNG.integers(0, 2000, (4, 6, 8)).astype(np.int16)
    files = [
        dicom(tmp_path / f"{i}.dcm", plane, position=(6.0 * i, 0, 0), orientation=(0, 1, 0, 0, 0, -1), sop=MR)
        for i, plane in enumerate(planes)
    ]
    found = read_series(files)
    slicing = slicing_of(found.volume)
    assert slicing.plane == "sagittal"
    assert found.volume.modality == "MR"
    upright = [s.values for s in slices_of(found.volume, slicing)]
    assert np.array_equal(upright, planes[::-1])  # positions run to the patient's left, slices to the right


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("gap", r"the distance of slices varies from 5 to 10 mm \(after 00[0-9].dcm\); is a slice missing\?"),
        ("twice", r"lie at the same position; remove one of them"),
        ("two", r"holds slices of 2 series \(5, 5 files\)"),
        ("scout", r"has another orientation than .*; leave scouts and localisers out"),
        ("size", r"is 4x4 and .* 8x6"),
        ("nowhere", r"declares no position in the patient"),
    ],
)
def test_an_incomplete_series_is_refused_in_words(tmp_path: Path, change: str, words: str) -> None:
    planes = RNG.integers(0, 2000, (5, 6, 8)).astype(np.int16)
    files = series(tmp_path, planes)
    if change == "gap":
        files.pop(2)
    if change == "twice":
        files.append(dicom(tmp_path / "x.dcm", planes[0], position=(-10, -20, 5)))
    if change == "two":
        files += series(tmp_path / "b", planes, series="9")
    if change == "scout":
        files.append(dicom(tmp_path / "x.dcm", planes[0], position=(-10, -20, 25), orientation=(0, 1, 0, 0, 0, -1)))
    if change == "size":
        files.append(dicom(tmp_path / "x.dcm", planes[0][:4, :4], position=(-10, -20, 25)))
    if change == "nowhere":
        files.append(dicom(tmp_path / "x.dcm", planes[0], ImagePositionPatient=None, ImageOrientationPatient=None))
    with pytest.raises(DataError, match=words):
        read_series(files)


def test_a_segmentation_object_labels_the_slices_at_its_positions(tmp_path: Path) -> None:
    planes = RNG.integers(0, 2000, (5, 6, 8)).astype(np.int16)
    labels = np.zeros((5, 6, 8), np.uint8)
    labels[1:3, 2:5, 1:4], labels[4, 0, :2] = 1, 2
    image = read_series(series(tmp_path / "ct", planes)).volume
    path = segmentation(tmp_path / "seg.dcm", labels, {1: "Liver", 2: "Spleen"})
    assert np.array_equal(read_segmentation(path, image).values, np.moveaxis(labels, 0, 2))
    assert segment_names(path) == {1: "Liver", 2: "Spleen"}
    with pytest.raises(DataError, match=r"seg.dcm: is a DICOM segmentation object, which labels a whole series"):
        decode(path)
    other = read_series(series(tmp_path / "other", planes, step=4.0)).volume
    with pytest.raises(DataError, match=r"seg.dcm: frame [0-9] doesn't lie on a slice of the image series"):
        read_segmentation(path, other)


def test_a_nifti_mask_of_a_series_is_turned_to_its_axes(tmp_path: Path) -> None:
    planes = RNG.integers(0, 2000, (5, 6, 8)).astype(np.int16)
    image = read_series(series(tmp_path / "ct", planes)).volume
    labels = RNG.integers(0, 3, (6, 8, 5)).astype(np.uint8)
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, image.affine))
    path = nifti(tmp_path / "mask.nii.gz", np.asarray(turned.dataobj), turned.affine)
    from segengine.data.files.decoding import read_volume

    mask = on_grid_of(image, read_volume(path), tmp_path / "ct", path)
    assert np.array_equal(mask.values, labels)


def _bytes(pixels: np.ndarray, tmp: Path, **elements: Any) -> bytes:
    return dicom(tmp / "made.dcm", pixels, **elements).read_bytes()


HOSTILE = {
    "no-pixels.dcm": (lambda t: _bytes(PIXELS, t, PixelData=None), r"holds no pixel data"),
    "huge-rows.dcm": (lambda t: _bytes(PIXELS, t, Rows=65535, Columns=65535), r"declares 65,535 x 65,535 pixels .* above the limit"),
    "many-frames.dcm": (lambda t: _bytes(PIXELS, t, NumberOfFrames=100_000_000), r"holds 100000000 frames"),
    "rows.dcm": (lambda t: _bytes(PIXELS, t, Rows=60), r"can't be decoded"),
    "no-rows.dcm": (lambda t: _bytes(PIXELS, t, Rows=None), r"declares 8 x 0 pixels"),
    "truncated.dcm": (lambda t: _bytes(PIXELS, t)[:-40], r"can't be decoded"),
    "head.dcm": (lambda t: _bytes(PIXELS, t)[:200], r"can't be decoded|holds no pixel data"),
    "text.dcm": (lambda _: b"hello world " * 40, r"can't be decoded"),
    "bits.dcm": (lambda t: _bytes(PIXELS, t, BitsAllocated=7), r"can't be decoded"),
    "deflated.dcm": (lambda t: _bytes(PIXELS, t).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"), r"is deflated as a whole"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_named(tmp_path: Path, name: str) -> None:
    make, words = HOSTILE[name]
    (tmp_path / name).write_bytes(make(tmp_path))
    with pytest.raises(DataError, match=words) as error:
        decode(tmp_path / name)
    assert name in str(error.value)
    with pytest.raises(DataError, match="above the limit" if name == "many-frames.dcm" else words):
        read_pages(tmp_path / name)


def test_a_compressed_frame_larger_than_its_header_is_refused(tmp_path: Path) -> None:
    import imagecodecs

    stream = imagecodecs.jpeg2k_encode(np.zeros((512, 512), np.uint16), reversible=True, codecformat="j2k")
    path = _compressed(tmp_path / "a.dcm", PIXELS, pydicom.uid.JPEG2000Lossless, stream)
    with pytest.raises(DataError, match=r"its compressed frame declares 512 x 512 pixels and its header 8 x 6"):
        decode(path)


def test_random_damage_never_ends_in_another_error(tmp_path: Path) -> None:
    content = _bytes(PIXELS, tmp_path, RescaleSlope="1", RescaleIntercept="-1024")
    refused = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            damaged[place] = int(rng.integers(0, 256))
        try:
            decode(tmp_path / "x.dcm", bytes(damaged))
        except DataError as error:
            refused.append(str(error))
    assert refused
    assert all("x.dcm" in message for message in refused)
