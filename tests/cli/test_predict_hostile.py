"""Hundreds of broken and mislabelled images, damaged models and moved runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.training.small import Study, opened, sample, segengine


def spoilt(folder: Path, number: int) -> str:
    """Write one file that can't be predicted; returns its name."""
    rng = np.random.default_rng(number)
    picture = sample(number)[0]
    whole = folder / "whole.tmp.png"
    Image.fromarray(picture).save(whole)
    content = bytearray(whole.read_bytes())
    whole.unlink()
    kind = number % 10
    name = f"bad{number:03d}" + (".tif" if kind in (5, 6) else ".jpg" if kind == 7 else ".png")
    path = folder / name
    if kind == 0:
        path.write_bytes(content[: int(rng.integers(1, len(content) - 13))])
    elif kind == 1:
        path.write_bytes(rng.bytes(300))
    elif kind == 2:
        path.touch()
    elif kind == 3:
        path.write_text("<html>not found</html>")
    elif kind == 4:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    elif kind == 5:
        tifffile.imwrite(path, picture.astype(np.uint16) * 100, photometric="minisblack")
    elif kind == 6:
        tifffile.imwrite(path, np.zeros((20, 20, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    elif kind == 7:
        Image.fromarray(picture).save(path, quality=90)
        path.write_bytes(path.read_bytes()[: int(rng.integers(1, 600))])
    elif kind == 8:
        bomb = content[:16] + (60_000).to_bytes(4, "big") * 2 + content[24:]
        path.write_bytes(bomb)
    else:
        path.symlink_to("nowhere.png")
    return name


@pytest.mark.slow
def test_of_300_hostile_images_each_is_named_and_the_rest_predicted(study: Study, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    bad = [spoilt(tmp_path / "in", number) for number in range(300)]
    good = [f"good{number}.png" for number in range(10)]
    for number, name in enumerate(good):
        Image.fromarray(sample(number)[0]).save(tmp_path / "in" / name)
    done = segengine("predict", study.run, "in", "-o", "out", "--json", folder=tmp_path)
    assert done.code == 1
    assert "Traceback" not in done.err
    images = {Path(each["image"]).name: each for each in json.loads(done.out)["images"]}
    linked = {name for name in bad if (tmp_path / "in" / name).is_symlink()}
    assert set(images) == set(bad) - linked | set(good)
    for name in set(bad) - linked:
        assert name in images[name]["problem"], images[name]
        assert images[name]["written"] == []
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*")) == sorted([*good, "predictions.jsonl"])
    assert all(np.asarray(opened(tmp_path / "out" / name)).shape == (48, 48) for name in good)


@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "text"])
def test_a_damaged_exported_file_is_named_without_its_librarys_words(damage: str, study: Study, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    if damage in ("half", "flipped"):
        exported = study.folder / "hostile.onnx"
        if not exported.exists():
            assert segengine("export", study.run, "-o", exported, folder=study.folder).code == 0
        content = bytearray(exported.read_bytes())
        if damage == "half":
            content = content[: len(content) // 2]
        else:
            content[100:200] = b"\xff" * 100
        model.write_bytes(content)
    else:
        model.write_text("" if damage == "empty" else "no model")
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    done = segengine("predict", model, "a.png", "-o", "out", folder=tmp_path)
    assert done.code == 1
    assert done.err == (
        f"error: {model}: not a readable ONNX model, it is damaged or incomplete; export it again, or copy it again\n"
    )


def test_a_run_folder_can_be_moved(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.run, tmp_path / "moved")
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    assert segengine("predict", "moved", "a.png", "-o", "out", folder=tmp_path).code == 0
    again = segengine("predict", study.run, "a.png", "-o", "out", folder=tmp_path)
    assert again.out == "0 of 1 mask written to out; 1 was complete\n"
