import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from segengine.engine.step import TrainingStep
from segengine.nn.losses import CrossEntropy
from segengine.nn.segmenter import Segmenter
from segengine.training import memory_plan
from tests.training.small import SPEC, VARIANTS, Done, Study, segengine, write_problem
from tests.training.test_killed_run import EQUAL, PLAIN, folder_of, scores

pytestmark = [pytest.mark.usefixtures("no_report")]


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    write_problem(tmp_path, SPEC + VARIANTS)
    return tmp_path


def run_json(problem: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder_of(problem) / "run.json").read_text())
    return document


def errors(done: Done) -> str:
    """What a failed command said at its end, checked to be one line without a traceback."""
    assert "Traceback" not in done.err
    return done.err.strip().splitlines()[-1]


def assert_goes_on(problem: Path, study: Study, *more: str) -> Done:
    """The same command ends with the bits of an undisturbed run."""
    done = segengine(*PLAIN, *more, folder=problem)
    assert done.code == 0, done.err
    for name in EQUAL:
        if name != "spec.yaml":
            assert (folder_of(problem) / name).read_bytes() == (study.run / name).read_bytes(), name
    assert scores(folder_of(problem)) == scores(study.run)
    return done


def at_call(number: int, real: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    """A function that does something else before its call number `number`."""
    calls = 0

    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            then()
        return real(*arguments, **named)

    return called


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full (No space left on device"),
        (errno.EROFS, "can't be written (Read-only file system"),
    ],
)
def test_a_disk_that_takes_no_more_fails_the_run_in_a_line_and_costs_nothing(
    number: int, words: str, problem: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(number, "the system says")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", at_call(4, torch.save, full))
        done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    message = run_json(problem)["message"]
    which = "last" if "last.pt" in message else "best"  # whichever the fourth one is, which scores decide
    assert message.startswith(f"runs/blobs/plain-seed0/checkpoints/{which}.pt: {words}")
    assert message.endswith("run the same command again to resume from the last checkpoint")
    assert run_json(problem)["status"] == "failed"
    assert message in errors(done)
    assert_goes_on(problem, study)


def test_a_full_disk_that_takes_not_even_run_json_still_says_so(
    problem: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    import segengine.runs.folder as runs_folder

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder_of(problem) / "run.json"))

    with monkeypatch.context() as patch:
        arm = lambda: patch.setattr(runs_folder, "write_json", full)  # noqa: E731
        patch.setattr(TrainingStep, "__call__", at_call(5, TrainingStep.__call__, arm))
        done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    assert "run.json: the disk is full (No space left on device" in errors(done)
    assert_goes_on(problem, study)


@pytest.mark.parametrize("harm", ["torn", "flipped"])
def test_a_damaged_last_checkpoint_gives_way_with_a_note(
    harm: str, problem: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise RuntimeError("struck down")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", at_call(8, TrainingStep.__call__, stop))
        done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    assert "RuntimeError: struck down" in errors(done)
    last = folder_of(problem) / "checkpoints/last.pt"
    content = bytearray(last.read_bytes())
    content[5000] ^= 1
    last.write_bytes(content if harm == "flipped" else content[:5000])
    done = assert_goes_on(problem, study)
    what = "it is truncated" if harm == "torn" else "its content"
    note = f"runs/blobs/plain-seed0/checkpoints/last.pt: not a readable checkpoint ({what}"
    assert note in done.err
    assert "; resuming from the checkpoint before it, previous.pt" in (folder_of(problem) / "log.txt").read_text()
    assert "resuming after step 3" in done.err


def test_an_image_that_is_deleted_in_mid_run_is_named_and_back_in_place_the_run_goes_on(
    problem: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = problem / "data/train/images/tr1.png"
    kept, stat = image.read_bytes(), image.stat()
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", at_call(4, TrainingStep.__call__, image.unlink))
        done = segengine(*PLAIN, "-s", "data.cache=none", folder=problem)
    assert done.code in (1, 2)
    assert "tr1.png" in errors(done)
    assert run_json(problem)["status"] == "failed"
    assert "tr1.png" in run_json(problem)["message"]
    image.write_bytes(kept)
    assert image.stat().st_size == stat.st_size
    assert_goes_on(problem, study, "-s", "data.cache=none")


def scarce(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """A device that can run out of memory, with room for so many images in training."""
    forward = Segmenter.forward

    def limited(self: Segmenter, batch: torch.Tensor) -> torch.Tensor:
        if self.training and len(batch) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, batch)

    monkeypatch.setattr(Segmenter, "forward", limited)
    monkeypatch.setattr(memory_plan, "tries_memory", lambda world: True)


def test_too_little_memory_splits_the_batch_before_the_first_step_and_the_folder_says_so(
    problem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce(monkeypatch, 2)
    done = segengine(*PLAIN, "-s", "training.batch_size=4", folder=problem)
    assert done.code == 0, done.err
    assert run_json(problem)["micro_batch"] == {"images": 2, "from_step": 1}
    assert run_json(problem)["evaluation_batch"] == 1
    assert "a whole batch doesn't fit into memory: 2 images per pass" in done.err
    assert "batch normalisation uses smaller batches" in (folder_of(problem) / "log.txt").read_text()
    assert [row["step"] for row in scores(folder_of(problem))] == [2, 4, 6]


def test_too_little_memory_for_one_image_begins_no_run_and_says_what_helps(
    problem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce(monkeypatch, 0)
    done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    assert (
        "out of memory: a training step with a single image doesn't fit; close other programs that use the device, or choose "
        "a smaller crop or network, or set training.gradient_checkpointing: true"
    ) in errors(done)
    assert not (folder_of(problem) / "run.json").exists()


def test_memory_that_runs_out_in_mid_run_fails_it_with_advice(problem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Segmenter, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def start() -> None:
        monkeypatch.setattr(Segmenter, "forward", none)

    monkeypatch.setattr(TrainingStep, "__call__", at_call(1, TrainingStep.__call__, start))
    done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    assert run_json(problem)["message"] == (
        "out of memory (CUDA out of memory); close other programs that use the device, or start a run with a smaller crop, "
        "network or training.batch_size"
    )
    assert run_json(problem)["message"] in errors(done)


def test_a_plugins_loss_with_a_nan_gradient_at_step_7_fails_the_run_and_mended_it_resumes(
    problem: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = CrossEntropy.forward, 0

    def broken(self: CrossEntropy, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value = forward(self, logits, target)
        return value + (logits * 0).sum().sqrt() if calls == 7 else value

    with monkeypatch.context() as patch:
        patch.setattr(CrossEntropy, "forward", broken)
        done = segengine(*PLAIN, folder=problem)
    assert done.code == 1
    message = run_json(problem)["message"]
    assert re.match(
        r"the gradient became infinite or NaN at images train/images/tr\d, train/images/tr\d \(learning rate .* though the loss is finite",
        message,
    )
    assert message in errors(done)
    for name in ("last", "previous", "best"):
        state = torch.load(folder_of(problem) / f"checkpoints/{name}.pt", weights_only=True)
        assert all(torch.isfinite(tensor).all() for tensor in state["model"].values()), name
    assert_goes_on(problem, study)
    rows = scores(folder_of(problem))
    assert all(0 < row["gradient_norm"] <= row["largest_gradient_norm"] for row in rows)
