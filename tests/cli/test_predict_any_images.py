"""`segengine predict` on folders with files of other programs, broken files, other depths and channels, and nodata."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.inference.evaluate import windows_of_training
from segengine.inference.load import load_trained
from tests.training.small import SPEC, Study, segengine, write_problem


def predicted(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png") if path.is_file())


def test_hidden_files_and_folders_are_no_images(study: Study, tmp_path: Path) -> None:
    image = next((study.folder / "data/test/images").glob("*.png"))
    for place in ("a.png", ".ipynb_checkpoints/a-checkpoint.png", "sub/b.png"):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / "in" / place)
    (tmp_path / "in/._a.png").write_bytes(b"\0\5\x16\7 resource fork")
    np.save(tmp_path / "in/a_features.npy", np.zeros((8, 8)))
    done = segengine("predict", study.run, tmp_path / "in", "-o", tmp_path / "out", folder=study.folder)
    assert done.code == 0, done.err
    assert predicted(tmp_path / "out") == ["a.png", "sub/b.png"]


def test_a_bad_file_is_named_and_the_others_are_predicted(study: Study, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = next((study.folder / "data/test/images").glob("*.png"))
    shutil.copy(image, tmp_path / "in/good.png")
    broken = bytearray(image.read_bytes())
    broken[len(broken) // 2] ^= 16
    (tmp_path / "in/flipped.png").write_bytes(broken)
    palette = Image.new("P", (48, 48))
    palette.putpalette(list(range(12)))
    palette.save(tmp_path / "in/palette.png")
    content = (tmp_path / "in/palette.png").read_bytes()
    start = content.index(b"PLTE") - 4
    (tmp_path / "in/palette.png").write_bytes(content[:start] + content[start + 12 + 12 :])
    np.savez(tmp_path / "two.npz", a=np.zeros((8, 8), np.uint8), b=np.zeros((8, 8), np.uint8))
    done = segengine(
        "predict", study.run, tmp_path / "in", tmp_path / "two.npz", "-o", tmp_path / "out", folder=study.folder
    )
    assert done.code == 1
    assert predicted(tmp_path / "out") == ["good.png"]
    for name, what in (
        ("flipped", "wrong checksum"),
        ("palette", "palette PNG without a palette"),
        ("two", "holds 2 arrays"),
    ):
        assert any(f"{name}." in line and what in line for line in done.err.splitlines()), (name, done.err)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (
            np.zeros((48, 48), np.uint16),
            "has 16 bits per value (uint16 0 to 0), but the model was trained on 8-bit images; convert it",
        ),
        (
            np.zeros((48, 48, 5), np.uint8),
            "has 5 channels, but the model was trained on 1; give it images with the 1 channel of",
        ),
    ],
)
def test_images_of_another_depth_or_number_of_channels_say_what_to_do(
    study: Study, tmp_path: Path, array: np.ndarray, said: str
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig" if array.ndim == 3 else None
    )
    done = segengine("predict", study.run, tmp_path / "a.tif", "-o", tmp_path / "out", folder=study.folder)
    assert done.code == 1
    assert said in " ".join(done.err.split())


@pytest.mark.parametrize("name", ["checkpoints/best.pt", "checkpoints/weights.safetensors", "run.json"])
def test_a_file_of_a_run_says_to_give_the_run_folder(study: Study, tmp_path: Path, name: str) -> None:
    done = segengine(
        "predict", study.run / name, study.folder / "data/test/images", "-o", tmp_path / "out", folder=study.folder
    )
    assert done.code == 2
    assert f"is a file of a run; give the run folder {study.run} instead" in " ".join(done.err.split())


@pytest.mark.usefixtures("no_report")
def test_windows_of_training_and_nodata_hold_in_prediction(tmp_path: Path) -> None:
    spec = SPEC.replace("epochs: 3", "epochs: 1").replace("/*.png", "/*.tif")
    write_problem(tmp_path, SPEC, train=3, validation=1, test=1)
    (tmp_path / "blobs.yaml").write_text(spec)
    for path in sorted(tmp_path.glob("data/*/images/*.png")):
        values = np.asarray(Image.open(path)).astype(np.float32)
        values = values if values.ndim == 3 else values[:, :, None].repeat(2, 2)
        values = values * np.array([1, 100, 0.01][: values.shape[2]], np.float32)
        values[:5] = -9999
        tifffile.imwrite(
            path.with_suffix(".tif"), values, photometric="minisblack", planarconfig="contig",
            extratags=[(42113, "s", 0, "-9999", True)],
        )  # fmt: skip
        path.unlink()
    for path in sorted(tmp_path.glob("data/*/masks/*.png")):
        tifffile.imwrite(path.with_suffix(".tif"), np.asarray(Image.open(path)), photometric="minisblack")
        path.unlink()
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    run = json.loads((tmp_path / "runs/blobs/default-seed0/run.json").read_text())
    assert len(run["data"]["window"]) == run["data"]["channels"] > 1
    assert run["data"]["window"][1][1] > 50 * run["data"]["window"][0][1]
    assert any("have no measurement (NaN or nodata); they are ignored" in note for note in run["data"]["warnings"])
    done = segengine("predict", "runs/blobs/default-seed0", "data/test/images", "-o", "out", folder=tmp_path)
    assert done.code == 0, done.err
    mask = tifffile.imread(next((tmp_path / "out").glob("*.tif")))
    assert set(np.unique(mask[:5])) == {run["labels"][0]["raw"]}
    trained = load_trained(tmp_path / "runs/blobs/default-seed0", "cpu")
    assert windows_of_training(trained) == [f"data.window={json.dumps(run['data']['window'])}"]
    evaluated = segengine("evaluate", "runs/blobs/default-seed0", folder=tmp_path)
    assert evaluated.code == 0, evaluated.err
