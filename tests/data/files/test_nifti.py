"""NIfTI volumes: values, spacing, orientation; hostile files are named and cost no memory."""

import gzip
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from segengine.data.files.decoding import decode, read_volume
from segengine.data.files.volumes import axis_codes, check_same_grid, slices_of, slicing_of
from segengine.errors import DataError
from tests.data.files.medical import RAS, nibabel, nifti

RNG = np.random.default_rng(0)
VALUES = RNG.integers(-1000, 2000, (8, 6, 4)).astype(np.int16)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
def test_stored_integers_come_back_with_their_affine(tmp_path: Path, name: str) -> None:
    volume = read_volume(nifti(tmp_path / name, VALUES))
    assert volume.values.dtype == np.int16
    assert np.array_equal(volume.values, VALUES)
    assert np.allclose(volume.affine, RAS)
    assert np.allclose(volume.spacing, (0.8, 0.7, 5.0))


def test_the_second_version_of_the_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(nibabel.Nifti2Image(VALUES, RAS, dtype=np.int16).to_bytes())
    assert np.array_equal(read_volume(tmp_path / "a.nii").values, VALUES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">i2"])
def test_every_type_of_voxel_is_read_as_nibabel_reads_it(tmp_path: Path, dtype: object) -> None:
    values = RNG.integers(0, 200, (5, 4, 3)).astype(dtype)
    path = nifti(tmp_path / "a.nii.gz", values)
    assert np.array_equal(read_volume(path).values, np.asanyarray(nibabel.load(path).dataobj))


def test_values_are_scaled_by_slope_and_intercept(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", VALUES, scaling=(2.0, -1024.0))
    read = read_volume(path).values
    assert read.dtype == np.float32
    assert np.allclose(read, VALUES * 2.0 - 1024)
    assert np.allclose(read, np.asanyarray(nibabel.load(path).dataobj))


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_spacing_is_in_millimetres_whatever_the_unit(tmp_path: Path, unit: str, factor: float) -> None:
    assert np.allclose(
        read_volume(nifti(tmp_path / "a.nii", VALUES, unit=unit)).spacing, np.array([0.8, 0.7, 5]) * factor
    )


def test_a_fourth_axis_is_channels_and_a_time_series_is_refused(tmp_path: Path) -> None:
    volume = read_volume(nifti(tmp_path / "a.nii.gz", RNG.random((5, 4, 3, 2)).astype(np.float32)))
    assert volume.values.shape == (5, 4, 3, 2)
    assert volume.notes == ("the 2 volumes of a 4-D file are read as channels",)
    path = nifti(tmp_path / "b.nii.gz", np.zeros((5, 4, 3, 40), np.float32))
    with pytest.raises(DataError, match=r"b.nii.gz: has the shape 5 x 4 x 3 x 40, a series of 40 volumes; save the"):
        read_volume(path)


def test_voxels_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    values = np.ones((4, 4, 2), np.float32)
    values[1, 2, 0], values[3, 0, 1], values[0, 0, 0] = np.nan, np.inf, -np.inf
    volume = read_volume(nifti(tmp_path / "a.nii", values))
    assert volume.missing is not None
    assert volume.missing.sum() == 3
    assert [int(s.missing.sum()) for s in slices_of(volume, slicing_of(volume)) if s.missing is not None] == [2, 1]


def test_slices_lie_as_a_radiologist_sees_them_however_voxels_are_stored(tmp_path: Path) -> None:
    values = np.arange(8 * 6 * 4, dtype=np.int16).reshape(8, 6, 4)  # RAS: right, front, head
    wanted = [values[::-1, ::-1, k].T for k in range(4)]  # rows from the front, columns from the patient's right
    for codes in ("RAS", "LPS", "SAR", "PIR", "LAI"):
        turn = nibabel.orientations.axcodes2ornt(codes)
        image = nibabel.Nifti1Image(values, RAS, dtype=np.int16).as_reoriented(
            nibabel.orientations.ornt_transform(nibabel.io_orientation(RAS), turn)
        )
        path = tmp_path / f"{codes}.nii"
        path.write_bytes(image.to_bytes())
        volume = read_volume(path)
        assert axis_codes(volume.affine) == codes
        slicing = slicing_of(volume)
        assert slicing.plane == "axial"
        found = slices_of(volume, slicing)
        assert all(np.array_equal(a.values, b) for a, b in zip(found, wanted, strict=True)), codes
        assert found[0].spacing == pytest.approx((0.7, 0.8))
        assert np.array_equal(slicing.undo(np.stack([s.values for s in found])), volume.values)


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((1, 1, 1), "axial"), ((4, 1, 1), "sagittal"), ((1, 3, 1), "coronal"), ((1, 1, 1.1), "axial"), ((1.1, 1, 1), "axial")],
)  # fmt: skip
def test_the_plane_is_that_of_acquisition(tmp_path: Path, spacing: tuple[float, ...], plane: str) -> None:
    volume = read_volume(nifti(tmp_path / "a.nii", VALUES, np.diag([*spacing, 1.0])))
    assert slicing_of(volume).plane == plane
    assert slicing_of(volume, "coronal").plane == "coronal"
    assert len(slices_of(volume, slicing_of(volume, "coronal"))) == 6


def test_an_oblique_volume_keeps_its_slices(tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:3, :3] = np.array([[0.9397, -0.3420, 0], [0.3420, 0.9397, 0], [0, 0, 1]])
    volume = read_volume(nifti(tmp_path / "a.nii", VALUES, turn @ RAS))
    assert slicing_of(volume).plane == "axial"
    assert np.allclose(volume.spacing, (0.8, 0.7, 5.0), atol=1e-3)


def test_a_volume_of_one_slice_is_an_image_and_others_are_not(tmp_path: Path) -> None:
    stored = decode(nifti(tmp_path / "a.nii.gz", VALUES[:, :, :1]))
    assert stored.values.shape == (6, 8)
    assert stored.spacing == pytest.approx((0.7, 0.8))
    with pytest.raises(DataError, match=r"b.nii.gz: is a volume of 8 x 6 x 4 voxels, not an image"):
        decode(nifti(tmp_path / "b.nii.gz", VALUES))


@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((8, 6, 5), RAS, r"has 8 x 6 x 5 voxels and its image .* 8 x 6 x 4; resample"),
        ((8, 6, 4), np.diag([-0.8, 0.7, 5, 1]), r"has the orientation LAS and its image RAS"),
        ((8, 6, 4), np.diag([0.8, 0.7, 4, 1]), r"has the spacing 0.8 x 0.7 x 4 mm and its image 0.8 x 0.7 x 5 mm"),
        ((8, 6, 4), RAS + np.array([[0, 0, 0, 3.0]] + [[0] * 4] * 3), r"has another position in space than its image, up to 3 mm"),
    ],
)  # fmt: skip
def test_a_mask_on_another_grid_is_refused_in_words(
    tmp_path: Path, shape: tuple[int, ...], affine: np.ndarray, words: str
) -> None:
    image = read_volume(nifti(tmp_path / "image.nii", VALUES))
    mask = read_volume(nifti(tmp_path / "mask.nii", np.zeros(shape, np.uint8), affine))
    with pytest.raises(DataError, match=words):
        check_same_grid(image, mask, tmp_path / "image.nii", tmp_path / "mask.nii")


def test_header_noise_of_other_programs_is_no_difference(tmp_path: Path) -> None:
    image = read_volume(nifti(tmp_path / "image.nii", VALUES))
    mask = read_volume(nifti(tmp_path / "mask.nii", np.zeros((8, 6, 4), np.uint8), RAS * (1 + 1e-6)))
    check_same_grid(image, mask, tmp_path / "image.nii", tmp_path / "mask.nii")


def _changed(content: bytes, **fields: object) -> bytes:
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock + content[348:])


def _hostile() -> dict[str, tuple[bytes, str]]:
    plain = nibabel.Nifti1Image(VALUES, RAS, dtype=np.int16).to_bytes()
    packed = gzip.compress(plain)
    huge = _changed(plain, dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    return {
        "truncated.nii.gz": (packed[: len(packed) // 2], r"truncated"),
        "truncated.nii": (plain[:-50], r"truncated"),
        "cut-in-header.nii.gz": (packed[:40], r"truncated|no NIfTI header"),
        "empty.nii.gz": (b"", r"the file is empty"),
        "text.nii.gz": (b"hello world", r"can't be decoded"),
        "damaged.nii.gz": (packed[:30] + b"\xff" * 60 + packed[90:], r"can't be decoded"),
        "huge.nii": (huge, r"declares 32,767 x 32,767 pixels"),
        "huge.nii.gz": (gzip.compress(huge), r"above the limit"),
        "negative.nii": (_changed(plain, dim=[3, -8, 6, 4, 1, 1, 1, 1]), r"declares the shape|can't be decoded"),
        "complex.nii": (_changed(plain, datatype=32, bitpix=64), r"holds voxels of type complex64"),
        "colours.nii": (_changed(plain, datatype=128, bitpix=24), r"holds voxels of type"),
        "slope.nii": (_changed(plain, scl_slope=2.0, scl_inter=np.inf), r"declares an unusable scaling"),
        "offset.nii": (_changed(plain, vox_offset=1e30), r"can't be decoded"),
        "offset-nan.nii": (_changed(plain, vox_offset=np.nan), r"can't be decoded"),
        "flat.nii": (_changed(plain, sform_code=1, srow_x=[0] * 4), r"unusable voxel orientation"),
        "nan.nii": (_changed(plain, sform_code=1, srow_x=[np.nan] * 4), r"unusable voxel orientation"),
        "pair.nii": (_changed(plain, magic=b"ni1"), r"header without voxels|can't be decoded"),
    }  # fmt: skip


HOSTILE = _hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_named(tmp_path: Path, name: str) -> None:
    content, words = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        read_volume(tmp_path / name)
    assert name in str(error.value)


def test_a_gzip_bomb_costs_no_memory(tmp_path: Path) -> None:
    plain = nibabel.Nifti1Image(VALUES, RAS, dtype=np.int16).to_bytes()
    tail = b"\0" * 50_000_000
    for name, content in (("tail", plain), ("shape", _changed(plain, dim=[3, 30000, 30000, 4, 1, 1, 1, 1]))):
        (tmp_path / f"{name}.nii.gz").write_bytes(gzip.compress(content + tail, 1))
    tracemalloc.start()
    found = read_volume(tmp_path / "tail.nii.gz")  # zeros after the voxels are not decompressed
    with pytest.raises(DataError, match=r"shape.nii.gz: declares 30,000 x 30,000 pixels .* above the limit"):
        read_volume(tmp_path / "shape.nii.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found.values, VALUES)
    assert peak < 20_000_000
