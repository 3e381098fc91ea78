"""Real data through the command line: train for one epoch on a copy of a few images, predict, look at the encoding."""

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.training.small import opened, segengine

pytestmark = [pytest.mark.datasets, pytest.mark.slow]

SPEC = """\
data:
{data}
augmentations:
  - {{name: crop, size: 64}}
model: {{backbone: {{name: timm, model: test_resnet}}, decoder: {{name: unet, channels: [16, 16, 8, 8, 8]}}}}
training: {{epochs: 1, batch_size: 2, optimizer: {{name: adamw, learning_rate: 3e-3}}}}
"""


DRIVE = tuple(range(21, 27))


def every(folder: Path, pattern: str, step: int) -> tuple[str, ...]:
    return tuple(path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern))[::step])


def copied(source: Path, target: Path, files: Iterable[str]) -> None:
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def trained(folder: Path, data: str) -> Path:
    """Train on folder/data as `data` describes it; returns the run's folder."""
    lines = "\n".join(f"  {line}" for line in data.splitlines())
    (folder / "real.yaml").write_text(SPEC.format(data=lines))
    done = segengine("run", "real.yaml", folder=folder)
    assert done.code == 0, done.err
    return folder / "runs/real/default-seed0"


def assert_in_the_masks_encoding(
    folder: Path, run: Path, images: list[Path], masks: list[Path], ignored: int | None = None
) -> None:
    """Predictions have the masks' mode, palette and size, and only values that the masks have and that are classes."""
    done = segengine("predict", run, *images, "-o", "predicted", folder=folder)
    assert done.code == 0, done.err
    known = {int(value) for mask in masks for value in np.unique(np.asarray(opened(mask)))} - {ignored}
    truth = opened(masks[0])
    for image in images:
        [path] = (folder / "predicted").glob(f"{image.stem}.*")
        predicted = opened(path)
        assert predicted.mode == truth.mode
        assert predicted.size == opened(image).size
        assert {int(value) for value in np.unique(np.asarray(predicted))} <= known
        if truth.mode == "P":
            classes = 3 * (max(known) + 1)
            assert predicted.getpalette()[:classes] == truth.getpalette()[:classes]


def rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "images.csv").read_text().splitlines()))


@pytest.mark.usefixtures("no_report")
def test_voc_palettes_with_an_ignored_border(datasets: Path, tmp_path: Path) -> None:
    source, data = datasets / "voc", tmp_path / "data"
    pictures = every(source, "JPEGImages/*.jpg", 10)
    copied(source, data, [*pictures, *(f"SegmentationClass/{Path(name).stem}.png" for name in pictures)])
    run = trained(
        tmp_path,
        'source: {name: folders, root: data, images: "JPEGImages/*.jpg", masks: "SegmentationClass/*.png"}\n'
        "mask_mapper: {name: palette, ignore: [255]}\nsplit: {train: 0.5, validation: 0.25, test: 0.25, seed: 0}",
    )
    document = json.loads((run / "run.json").read_text())
    assert document["ignored"] == [255]
    assert 255 not in [label["raw"] for label in document["labels"]]
    tested = [row for row in rows(run) if row["split"] == "test"]
    table = np.loadtxt(run / "counts/test.csv", delimiter=",", skiprows=1, dtype=np.int64)
    for row in tested:
        mask = np.asarray(opened(data / f"SegmentationClass/{Path(row['id']).name}.png"))
        assert table[table[:, 0] == int(row["index"])][:, 3].sum() == (mask != 255).sum()
    names = [Path(row["id"]).name for row in tested]
    assert_in_the_masks_encoding(
        tmp_path,
        run,
        [data / f"JPEGImages/{name}.jpg" for name in names],
        sorted((data / "SegmentationClass").iterdir()),
        255,
    )


@pytest.mark.usefixtures("no_report")
def test_drive_vessels_of_0_and_255_in_gif(datasets: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    copied(
        datasets / "retina/drive", data,
        [name for n in DRIVE for name in (f"images/{n}_training.tif", f"1st_manual/{n}_manual1.gif", f"mask/{n}_training_mask.gif")],
    )  # fmt: skip
    run = trained(
        tmp_path,
        'source: {name: folders, root: data, images: "images/*_training.tif", masks: "1st_manual/*_manual1.gif"}\n'
        "classes: [background, vessel]\nsplit: {train: 0.5, validation: 0.25, test: 0.25}",
    )
    document = json.loads((run / "run.json").read_text())
    assert [label["raw"] for label in document["labels"]] == [0, 255]
    assert document["ignored"] == []
    masks = sorted((data / "1st_manual").iterdir())
    assert_in_the_masks_encoding(tmp_path, run, sorted((data / "images").iterdir())[:2], masks)


@pytest.mark.usefixtures("no_report")
def test_chase_vessels_of_one_bit_with_both_eyes_of_a_child_together(datasets: Path, tmp_path: Path) -> None:
    source, data = datasets / "retina/chase", tmp_path / "data"
    pictures = every(source, "*.jpg", 1)[:8]
    stems = [Path(name).stem for name in pictures]
    copied(source, data, [*pictures, *(f"{stem}_{observer}HO.png" for stem in stems for observer in ("1st", "2nd"))])
    run = trained(
        tmp_path,
        'source: {name: folders, root: data, images: "*.jpg", masks: "*_1stHO.png"}\nclasses: [background, vessel]\n'
        'split: {train: 0.5, validation: 0.25, test: 0.25, by: group, group: "^Image_([0-9]+)"}',
    )
    groups: dict[str, set[str]] = {}
    for row in rows(run):
        groups.setdefault(row["group"], set()).add(row["split"])
    assert len(groups) == 4
    assert all(len(splits) == 1 for splits in groups.values())
    assert_in_the_masks_encoding(tmp_path, run, [data / pictures[0]], [data / f"{stem}_1stHO.png" for stem in stems])


@pytest.mark.usefixtures("no_report")
def test_abdomen_slices_whose_patients_are_never_shared(datasets: Path, tmp_path: Path) -> None:
    source, data = datasets / "abdomen-mr", tmp_path / "data"
    train = every(source, "train/images/*.png", 24)
    validation = every(source, "validation/images/*.png", 12)
    copied(
        source, data, [part for name in (*train, *validation) for part in (name, name.replace("/images/", "/masks/"))]
    )
    run = trained(
        tmp_path,
        "source: {name: folders, root: data}\nclasses: [background, liver, right kidney, left kidney, spleen]\n"
        'split: {group: "^(p[0-9]+)"}',
    )
    document = json.loads((run / "run.json").read_text())
    assert [label["raw"] for label in document["labels"]] == [0, 63, 126, 189, 252]
    patients = {
        split: {row["group"] for row in rows(run) if row["split"] == split} for split in ("train", "validation")
    }
    assert patients["train"]
    assert patients["validation"]
    assert not patients["train"] & patients["validation"]
    assert_in_the_masks_encoding(
        tmp_path, run, [data / name for name in validation[:3]], sorted(data.glob("*/masks/*.png"))
    )


@pytest.mark.usefixtures("no_report")
def test_street_scenes_with_an_ignored_void(datasets: Path, tmp_path: Path) -> None:
    source, data = datasets / "street", tmp_path / "data"
    frames = [*every(source, "train/*.png", 15), *every(source, "val/*.png", 12)]
    copied(source, data, [part for name in frames for part in (name, name.replace("/", "annot/"))])
    run = trained(
        tmp_path,
        'source: {name: folders, root: data, images: "{split}/*.png", masks: "{split}annot/*.png"}\n'
        "mask_mapper: {name: gray-index, ignore: [11]}",
    )
    document = json.loads((run / "run.json").read_text())
    assert document["ignored"] == [11]
    assert max(label["raw"] for label in document["labels"]) <= 10
    assert "11 is ignored" in next(data.rglob("gray-values.txt")).read_text()
    assert_in_the_masks_encoding(
        tmp_path, run, [data / name for name in frames[-2:]], sorted(data.glob("*annot/*.png")), 11
    )
