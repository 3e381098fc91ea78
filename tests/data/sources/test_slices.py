"""Volumes as slices: records, groups, spacing, channels; masks on other grids are refused."""

from pathlib import Path

import numpy as np
import pytest

from segengine.data.files.decoding import decode
from segengine.data.files.reading import read_mask
from segengine.data.sources.folders import FolderPlan, read_folders
from segengine.data.sources.records import Records
from segengine.data.sources.table import TablePlan, read_pairs
from segengine.errors import DataError
from tests.data.files.medical import RAS, dicom, nifti, segmentation, series

RNG = np.random.default_rng(0)
VALUES = RNG.integers(-1000, 2000, (8, 6, 4)).astype(np.int16)
LABELS = RNG.integers(0, 3, (8, 6, 4)).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def found(root: Path, images: str, masks: str, **more: object) -> Records:
    return read_folders(FolderPlan(root, images, masks, **more))  # type: ignore[arg-type]


def volumes(root: Path, names: tuple[str, ...] = ("a", "b"), labels: np.ndarray = LABELS) -> Path:
    for name in names:
        nifti(root / f"images/{name}.nii.gz", VALUES)
        nifti(root / f"masks/{name}.nii.gz", labels)
    return root


def test_a_volume_becomes_slices_of_one_group_with_their_spacing(tmp_path: Path) -> None:
    records = found(volumes(tmp_path / "d"), "images/*", "masks/*")
    assert [r.id for r in records] == [f"images/{v}_slice{n:04d}" for v in "ab" for n in (1, 2, 3, 4)]
    assert [r.group for r in records] == ["images/a"] * 4 + ["images/b"] * 4
    for k, record in enumerate(records[:4]):
        stored = decode(record.image)
        assert stored.values.dtype == np.int16
        assert np.array_equal(stored.values, VALUES[::-1, ::-1, k].T)
        assert stored.spacing == pytest.approx((0.7, 0.8))
        assert record.mask is not None
        assert np.array_equal(read_mask(record.mask), LABELS[::-1, ::-1, k].T)


def test_slices_are_written_once_and_follow_their_files(tmp_path: Path) -> None:
    root = volumes(tmp_path / "d")
    first = found(root, "images/*.nii.gz", "masks/*.nii.gz")
    assert found(root, "images/*.nii.gz", "masks/*.nii.gz") == first
    nifti(root / "images/a.nii.gz", VALUES + 1)
    again = found(root, "images/*.nii.gz", "masks/*.nii.gz")
    assert [a.image == b.image for a, b in zip(first, again, strict=True)] == [False] * 4 + [True] * 4


def test_the_plane_can_be_chosen(tmp_path: Path) -> None:
    records = found(volumes(tmp_path / "d"), "images/*", "masks/*", slices="sagittal")
    assert len(records) == 16
    assert decode(records[0].image).values.shape == (4, 6)
    assert decode(records[0].image).spacing == pytest.approx((5.0, 0.7))


def test_masks_saved_as_floating_point_numbers_hold_classes(tmp_path: Path) -> None:
    records = found(volumes(tmp_path / "d", labels=LABELS.astype(np.float64)), "images/*", "masks/*")
    mask = read_mask(records[0].mask)  # type: ignore[arg-type]
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1, 2}


def test_voxels_that_are_not_finite_are_missing_in_slices(tmp_path: Path) -> None:
    values = VALUES.astype(np.float32)
    values[0, 0, 0], values[1, 1, 0] = np.nan, np.inf
    nifti(tmp_path / "d/images/a.nii", values)
    nifti(tmp_path / "d/masks/a.nii", LABELS)
    stored = decode(found(tmp_path / "d", "images/*", "masks/*")[0].image)
    assert stored.missing is not None
    assert stored.missing.sum() == 2


def test_channels_in_several_volumes_become_one_image(tmp_path: Path) -> None:
    for case in ("x", "y"):
        for channel in range(2):
            nifti(tmp_path / f"d/imagesTr/{case}_000{channel}.nii.gz", VALUES + channel)
        nifti(tmp_path / f"d/labelsTr/{case}.nii.gz", LABELS)
    records = found(tmp_path / "d", "images{split}/*_{channel}.nii.gz", "labels{split}/*.nii.gz")
    assert len(records) == 8
    assert {r.split for r in records} == {"train"}
    first = decode(records[0].image).values
    assert first.shape == (6, 8, 2)
    assert np.array_equal(first[..., 1], first[..., 0] + 1)


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    nifti(tmp_path / "d/i/x_0.nii", VALUES)
    nifti(tmp_path / "d/i/x_1.nii", VALUES, RAS @ np.diag([1, 1, 0.5, 1]))
    nifti(tmp_path / "d/m/x.nii", LABELS)
    with pytest.raises(DataError, match=r"x_1.nii: has the spacing 0.8 x 0.7 x 2.5 mm and its image 0.8 x 0.7 x 5 mm"):
        found(tmp_path / "d", "i/*_{channel}.nii", "m/*.nii")


@pytest.mark.parametrize(
    ("mask", "affine", "words"),
    [
        (LABELS, np.diag([-0.8, 0.7, 5, 1]), r"a.nii.gz: has the orientation LAS and its image RAS"),
        (LABELS[:, :, :3], RAS, r"a.nii.gz: has 8 x 6 x 3 voxels and its image .* 8 x 6 x 4"),
        (LABELS.astype(np.float32) + 0.5, RAS, r"a.nii.gz: masks hold whole numbers from 0 to 65535"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(tmp_path: Path, mask: np.ndarray, affine: np.ndarray, words: str) -> None:
    root = volumes(tmp_path / "d")
    nifti(root / "masks/a.nii.gz", mask, affine)
    with pytest.raises(DataError, match=words):
        found(root, "images/*", "masks/*")


def test_a_series_with_a_segmentation_object_or_a_volume_as_mask(tmp_path: Path) -> None:
    planes = RNG.integers(0, 2000, (5, 6, 8)).astype(np.int16)
    labels = RNG.integers(0, 3, (5, 6, 8)).astype(np.uint8)
    for patient in ("p1", "p2"):
        series(tmp_path / f"d/{patient}/ct", planes, series=f"1.2.{patient[1]}")
        segmentation(tmp_path / f"d/{patient}/seg.dcm", labels, {1: "liver", 2: "spleen"})
        nifti(tmp_path / f"d/{patient}/mask.nii.gz", np.moveaxis(labels, 0, 2), _series_affine())
    for masks in ("*/seg.dcm", "*/mask.nii.gz"):
        records = found(tmp_path / "d", "*/ct/{slice}.dcm", masks)
        assert len(records) == 10
        assert len({r.group for r in records}) == 2
        for record, plane, label in zip(records[:5], planes, labels, strict=True):
            assert np.array_equal(decode(record.image).values, plane)
            assert np.array_equal(read_mask(record.mask), label)  # type: ignore[arg-type]


def _series_affine() -> np.ndarray:
    """Rows to the back, columns to the left, slices to the head, as `series` writes them; RAS+."""
    return np.array([[0, -0.8, 0, 10], [-0.7, 0, 0, 20], [0, 0, 5, 0], [0, 0, 0, 1.0]])


def test_single_dicom_slices_pair_with_pictures(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(3):
        dicom(tmp_path / f"d/images/{i}.dcm", VALUES[:, :, i])
        (tmp_path / "d/masks").mkdir(exist_ok=True)
        Image.fromarray(LABELS[:, :, i]).save(tmp_path / f"d/masks/{i}.png")
    records = found(tmp_path / "d", "images/*", "masks/*")
    assert [r.id for r in records] == ["images/0", "images/1", "images/2"]
    assert decode(records[0].image).spacing == (0.7, 0.8)


def test_a_table_may_name_volumes(tmp_path: Path) -> None:
    root = volumes(tmp_path / "d")
    (root / "pairs.csv").write_text("image,mask\nimages/a.nii.gz,masks/a.nii.gz\nimages/b.nii.gz,masks/b.nii.gz\n")
    records = read_pairs(TablePlan(root, "pairs.csv"))
    assert len(records) == 8
    assert records[0].id == "images/a_slice0001"


def test_frames_of_a_file_become_records_with_pages(tmp_path: Path) -> None:
    frames = RNG.integers(0, 900, (3, 6, 8)).astype(np.uint16)
    for name in ("a", "b"):
        dicom(tmp_path / f"d/images/{name}.dcm", frames)
        dicom(tmp_path / f"d/masks/{name}.dcm", (frames > 400).astype(np.uint8))
    records = found(tmp_path / "d", "images/*", "masks/*", pages=True)
    assert [r.group for r in records] == ["images/a"] * 3 + ["images/b"] * 3
    assert np.array_equal(decode(records[1].image).values, frames[1])


def test_a_missing_library_is_counted_per_folder_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = volumes(tmp_path / "d")
    monkeypatch.setattr("segengine.data.files.formats.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"d/images/ holds 2 \.nii\.gz: pip install 'segengine\[medical\]'"):
        found(root, "images/*", "masks/*")
    with pytest.raises(
        DataError, match=r"a.nii.gz: is a NIfTI file, which needs a further package: pip install 'segengine\[medical\]'"
    ):
        decode(root / "images/a.nii.gz")
