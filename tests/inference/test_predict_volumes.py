"""Volumes from start to end: init, one epoch, evaluation in millimetres, and a label map with the volume's shape and affine."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from segengine.cli.main import main
from tests.data.files.medical import labels, nibabel, nifti

SMALL = [
    "-s", "training.epochs=1", "-s", "training.workers=0", "-s", "evaluation.cost=false", "-s", "evaluation.metrics=[hd95]",
    "-s", "model={backbone: {name: timm, model: test_resnet}, decoder: {name: unet, channels: [16, 16, 8, 8, 8]}}",
]  # fmt: skip
AFFINE = np.diag([-0.8, 0.7, 5.0, 1.0])
AFFINE[:3, 3] = 100, -50, 20


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def trained(tmp_path: Path, data: Path, *more: str) -> tuple[Path, dict]:
    """`init` and one epoch; the run folder and the written experiment."""
    file = tmp_path / "x.yaml"
    done = run("init", str(data), "-o", str(file), *more)
    assert done == 0
    assert run("run", str(file), "--out", str(tmp_path / "runs"), *SMALL) == 0
    (folder,) = (tmp_path / "runs").glob("*/*seed0")
    return folder, yaml.safe_load(file.read_text())


def test_a_data_set_in_nnunet_form_comes_back_as_label_maps(tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for i in range(8):
        truth = labels(i)
        image = (rng.normal(-100, 40, truth.shape) + 200 * truth).astype(np.int16)
        nifti(data / f"imagesTr/case_{i:03d}_0000.nii.gz", image, AFFINE)
        nifti(data / f"labelsTr/case_{i:03d}.nii.gz", truth, AFFINE)
    (data / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}})
    )
    folder, spec = trained(tmp_path, data)
    assert spec["data"]["classes"] == ["background", "liver", "spleen"]
    assert spec["data"]["window"] == [-160.0, 240.0]
    assert spec["data"]["split"]["by"] == "group"
    assert spec["evaluation"] == {"spacing": "auto"}
    record = json.loads(next((folder / "metrics").glob("*-hd95.json")).read_text())
    assert record["unit"] == "mm"
    assert record["spacing"] == pytest.approx([0.7, 0.8])
    rows = (folder / "images.csv").read_text().splitlines()[1:]
    by_group: dict[str, set[str]] = {}
    for row in rows:
        _, _, group, split, *_ = row.split(",")
        by_group.setdefault(group, set()).add(split)
    assert len(by_group) == 8
    assert all(len(splits) == 1 for splits in by_group.values())
    out, source = tmp_path / "out", data / "imagesTr/case_003_0000.nii.gz"
    assert run("predict", str(folder), str(source), "-o", str(out), "--overlay") == 0
    image, predicted = nibabel.load(source), nibabel.load(out / "case_003_0000.nii.gz")
    assert predicted.shape == image.shape
    assert np.allclose(predicted.affine, image.affine)
    assert predicted.get_data_dtype() == np.uint8
    values = np.asarray(predicted.dataobj)
    assert set(np.unique(values)) <= {0, 1, 2}
    assert (out / "overlays/case_003_0000.png").is_file()
    # The same slice as a picture gives the same classes: orientation and window are those of training.
    from segengine.data.sources.folders import FolderPlan, read_folders
    from segengine.inference.load import load_trained

    records = read_folders(FolderPlan(data, "images{split}/*_0000.nii.gz", "labels{split}/*.nii.gz"))
    model = load_trained(folder, "cpu")
    third = next(r for r in records if r.id.endswith("case_003_0000_slice0003"))
    assert np.array_equal(model.classes(model.read(third.image)), values[:, ::-1, 2].T)
