from __future__ import annotations

import errno
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from segengine.engine import checkpoint
from segengine.engine.checkpoint import DamagedError, load_newest, weights_hash
from segengine.engine.fit import fit
from segengine.errors import RunError
from segengine.events import Saved
from tests.engine.tiny import Problem, problem

GIVEN = {"format": checkpoint.FORMAT, "progress": {}, "model": {"weight": torch.arange(5000)}}


def written(path: Path) -> Path:
    checkpoint.save(path, GIVEN)
    return path


def test_a_checkpoint_is_read_back_and_stays_a_plain_archive_of_torch(tmp_path: Path) -> None:
    path = written(tmp_path / "last.pt")
    assert torch.equal(checkpoint.load(path)["model"]["weight"], torch.arange(5000))
    assert torch.equal(torch.load(path, weights_only=True)["model"]["weight"], torch.arange(5000))
    assert zipfile.ZipFile(path).testzip() is None
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("place", [0.01, 0.2, 0.5, 0.9, 0.998, 1.0])
def test_one_flipped_bit_is_found_wherever_it_is(place: float, tmp_path: Path) -> None:
    path = written(tmp_path / "last.pt")
    content = bytearray(path.read_bytes())
    content[min(len(content) - 1, int(place * len(content)))] ^= 4
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"last\.pt: not a readable checkpoint \(.*\); start over with --fresh"):
        checkpoint.load(path)


@pytest.mark.parametrize("kept", [0, 1, 60, 0.3, 0.99, -1])
def test_a_torn_checkpoint_is_found_wherever_it_ends(kept: float, tmp_path: Path) -> None:
    path = written(tmp_path / "last.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(DamagedError, match="it is truncated"):
        checkpoint.load(path)


def trained(p: Problem, saves: int) -> int:
    """Train until that many `last` checkpoints stand, then stop as a killed process would; the step of the last."""
    for event in fit(p.step, p.stream, p.settings, p.paths, evaluator=p.evaluator):
        if isinstance(event, Saved) and event.kind == "last":
            saves -= 1
            if not saves:
                return event.step
    raise AssertionError("training was over before")


@pytest.mark.parametrize("harm", ["torn", "flipped", "missing"])
def test_a_damaged_last_checkpoint_gives_way_to_the_one_before_and_the_weights_end_the_same(
    harm: str, tmp_path: Path
) -> None:
    alone = problem(tmp_path / "alone", save_steps=1)
    list(fit(alone.step, alone.stream, alone.settings, alone.paths, evaluator=alone.evaluator))

    first = problem(tmp_path / "run", save_steps=1)
    step = trained(first, 6)
    last = first.paths.last
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "missing":
        last.unlink()
    else:
        last.write_bytes(content if harm == "flipped" else content[: len(content) // 2])

    found, note = load_newest(last, first.paths.previous)
    assert found is not None
    assert found["progress"]["step"] in (step - 1, step)  # at the end of an epoch two checkpoints follow each other
    assert note.startswith(f"{last}: ")
    assert note.endswith("; resuming from the checkpoint before it, previous.pt")
    second = problem(tmp_path / "run", save_steps=1)
    progress = checkpoint.restore(found, second.step.trainable)
    list(fit(second.step, second.stream, second.settings, second.paths, evaluator=second.evaluator, progress=progress))
    assert weights_hash(second.step.trainable.model) == weights_hash(alone.step.trainable.model)


def test_where_both_are_damaged_the_error_names_both(tmp_path: Path) -> None:
    p = problem(tmp_path, save_steps=1)
    trained(p, 3)
    for path in (p.paths.last, p.paths.previous):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError) as caught:
        load_newest(p.paths.last, p.paths.previous)
    assert str(caught.value) == (
        f"{tmp_path}: neither last.pt nor previous.pt is a readable checkpoint with finite weights; start over with --fresh"
    )


def test_the_last_two_are_kept_and_no_more(tmp_path: Path) -> None:
    p = problem(tmp_path, save_steps=1)
    step = trained(p, 2)
    assert checkpoint.load(p.paths.last)["progress"]["step"] == step == 2
    assert checkpoint.load(p.paths.previous)["progress"]["step"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_before_the_first_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "last.pt", tmp_path / "previous.pt") == (None, "")


def test_another_format_is_no_damage(tmp_path: Path) -> None:
    written(tmp_path / "previous.pt")
    checkpoint.save(tmp_path / "last.pt", {**GIVEN, "format": 999})
    with pytest.raises(RunError, match="a checkpoint of format 999") as caught:
        load_newest(tmp_path / "last.pt", tmp_path / "previous.pt")
    assert not isinstance(caught.value, DamagedError)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"the disk is full \(No space left on device, \d+ MiB are free\); free some space, and run"),
        (errno.EROFS, r"can't be written \(Read-only file system\); make the folder writable, and run"),
        (errno.EIO, r"Input/output error; fix this, and run"),
    ],
)
def test_a_disk_that_takes_no_more_is_a_clear_error_and_the_checkpoints_before_stay(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    checkpoint.save(path, GIVEN, previous=previous)
    checkpoint.save(path, GIVEN, previous=previous)

    def full(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match=f"^{path}: {words} the same command again"):
        checkpoint.save(path, GIVEN, previous=previous)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["last.pt", "previous.pt"]
    assert checkpoint.load(path)
    assert checkpoint.load(previous)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    path, previous = small_disk / "last.pt", small_disk / "previous.pt"
    small = {**GIVEN, "model": {"weight": torch.zeros(50_000)}}
    checkpoint.save(path, small, previous=previous)
    checkpoint.save(path, small, previous=previous)
    with pytest.raises(RunError, match=r"last\.pt: the disk is full \(No space left on device, \d MiB are free\)"):
        checkpoint.save(path, {**GIVEN, "model": {"weight": torch.zeros(300_000)}}, previous=previous)
    assert checkpoint.load(path)["model"]["weight"].shape == (50_000,)
    assert sorted(each.name for each in small_disk.iterdir()) == ["last.pt", "previous.pt"]


def test_weights_that_find_no_place_are_a_clear_error(small_disk: Path) -> None:
    with pytest.raises(
        RunError, match=r"weights\.safetensors: can't be written \(.*No space left on device.*\); run the same"
    ):
        checkpoint.save_weights(small_disk / "weights.safetensors", torch.nn.Linear(1000, 1000))
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("part", ["progress", "model", "optimizer", "schedule", "generators"])
@pytest.mark.parametrize("value", [None, "text", {"a": 1}])
def test_a_checkpoint_with_a_right_hash_and_wrong_content_is_an_error_in_words(
    part: str, value: Any, tmp_path: Path
) -> None:
    p = problem(tmp_path, save_steps=1)
    trained(p, 2)
    content = checkpoint.load(p.paths.last)
    checkpoint.save(p.paths.last, {**content, part: value})
    with pytest.raises(DamagedError, match=r"doesn't match this network and optimizer \(.*\); start over with --fresh"):
        checkpoint.restore(checkpoint.load(p.paths.last), p.step.trainable)
