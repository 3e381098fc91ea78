"""The embedded sample: committed pixels are the generator's, and they keep the promises of data/README.md."""

import hashlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parents[2] / "data"
SAMPLE = DATA / "abdomen"
SPLITS = {"train": (14, 4), "validation": (4, 3), "test": (6, 4)}
ORGANS = {63: "liver", 126: "right kidney", 189: "left kidney", 252: "spleen"}
PIXELS_SHA256 = "836dc9b2de2d759dc29f87b9e1853e3963cb2df06fb45f60453e546262678317"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def masks(split: str) -> list[np.ndarray]:
    return [pixels(path) for path in sorted((SAMPLE / split / "masks").glob("*.png"))]


def patients(split: str) -> set[str]:
    return {path.name.split("_")[0] for path in (SAMPLE / split / "images").glob("*.png")}


@pytest.fixture(scope="module")
def sample() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA))
        yield importlib.import_module("phantom.sample")
    for name in [name for name in sys.modules if name.split(".")[0] == "phantom"]:
        del sys.modules[name]


def test_the_committed_pixels_are_the_pinned_ones():
    digest = hashlib.sha256()
    for path in sorted(SAMPLE.rglob("*.png"), key=lambda path: path.relative_to(SAMPLE).as_posix()):
        digest.update(path.relative_to(SAMPLE).as_posix().encode() + b"\0" + pixels(path).tobytes())
    assert digest.hexdigest() == PIXELS_SHA256


@pytest.mark.parametrize("place", [0, 61, -1])
def test_generating_a_slice_again_gives_the_committed_pixels(sample, place):
    one = list(sample.slices())[place]
    for path, made in zip(one.paths(), sample.render(one), strict=True):
        np.testing.assert_array_equal(made, pixels(SAMPLE / path))


def test_the_files_are_exactly_the_planned_slices(sample):
    planned = {path.as_posix() for one in sample.slices() for path in one.paths()}
    assert {path.relative_to(SAMPLE).as_posix() for path in SAMPLE.rglob("*.png")} == planned
    assert len(planned) == 2 * sum(number * slices for number, slices in SPLITS.values())


def test_pictures_and_masks_have_256_by_256_pixels():
    assert {pixels(path).shape for path in SAMPLE.rglob("*.png")} == {(256, 256)}


@pytest.mark.parametrize("split", SPLITS)
def test_masks_hold_only_the_five_gray_values(split):
    assert set(np.unique(masks(split)).tolist()) == {0, *ORGANS}


@pytest.mark.parametrize("split", SPLITS)
def test_each_organ_is_in_at_least_60_percent_of_the_slices(split):
    for value, name in ORGANS.items():
        share = np.mean([np.any(mask == value) for mask in masks(split)])
        assert share >= 0.6, f"{name}: in {share:.0%} of the slices of {split}"


def test_some_slices_lack_an_organ():
    assert any(set(ORGANS) - set(np.unique(mask).tolist()) for split in SPLITS for mask in masks(split))


def test_the_right_kidney_is_on_the_pictures_left():
    for split in SPLITS:
        for mask in masks(split):
            right, left = np.nonzero(mask == 126)[1], np.nonzero(mask == 189)[1]
            if right.size and left.size:
                assert right.max() < left.min()


def test_no_patient_is_in_two_splits():
    found = {split: patients(split) for split in SPLITS}
    assert {split: len(names) for split, names in found.items()} == {split: n for split, (n, _) in SPLITS.items()}
    assert len(set.union(*found.values())) == sum(map(len, found.values()))


def test_the_sample_stays_below_four_megabytes():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*.png")) < 4_000_000


def test_check_names_a_file_that_was_changed(tmp_path, sample, monkeypatch):
    monkeypatch.syspath_prepend(str(DATA))
    command = importlib.import_module("make_phantom")
    one = next(iter(sample.slices()))
    monkeypatch.setattr(command, "slices", lambda: [one])
    command.write(tmp_path)
    assert command.differing(tmp_path) == []
    image, mask = (tmp_path / path for path in one.paths())
    changed = pixels(image).copy()
    changed[0, 0] ^= 1
    Image.fromarray(changed).save(image)
    mask.unlink()
    assert command.differing(tmp_path) == [
        f"{image}: 1 of 65536 pixels differ",
        f"{mask}: is missing",
    ]


@pytest.mark.slow
def test_the_check_command_finds_every_pixel_as_generated():
    command = [sys.executable, str(DATA / "make_phantom.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"{SAMPLE}: every pixel is as generated")
