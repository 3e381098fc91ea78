from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from segengine.data.batches.batch import Batch
from segengine.engine import checkpoint
from segengine.engine.checkpoint import weights_hash
from segengine.engine.fit import fit
from segengine.engine.memory import MicroBatch, keep_freed_memory
from segengine.events import Ended, Event, MicroBatchHalved, StepDone
from tests.engine.tiny import Problem, problem


class Small(nn.Module):
    """A network on a device with memory for `most` images; without batch norm, so that parts make the whole."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, [0]
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        if self.training and len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total ...")
        return self.layer(images.float() / 255)  # type: ignore[no-any-return]


def on(most: int, folder: Path, **options: object) -> Problem:
    return problem(folder, model=Small(most), batch_size=6, epochs=2, **options)  # type: ignore[arg-type]


def run(p: Problem) -> list[Event]:
    return list(fit(p.step, p.stream, p.settings, p.store, evaluator=p.evaluator))


@pytest.mark.parametrize(("most", "halvings"), [(4, [3]), (2, [2]), (1, [1])])
def test_where_memory_runs_out_smaller_parts_make_the_same_steps(
    most: int, halvings: list[int], tmp_path: Path
) -> None:
    plenty, scarce = on(99, tmp_path / "plenty"), on(most, tmp_path / "scarce")
    expected, events = run(plenty), run(scarce)
    assert [event.images for event in events if isinstance(event, MicroBatchHalved)] == halvings
    losses, theirs = ([e.loss for e in each if isinstance(e, StepDone)] for each in (events, expected))
    assert losses == pytest.approx(theirs, rel=1e-5)
    assert [e.images for e in events if isinstance(e, StepDone)] == [6, 6, 6, 6]
    for a, b in zip(scarce.step.network.parameters(), plenty.step.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_keeps_the_smaller_parts_and_ends_with_equal_bits(tmp_path: Path) -> None:
    whole = on(2, tmp_path / "whole")
    run(whole)
    first = on(2, tmp_path / "parts", save_steps=1)
    for event in fit(first.step, first.stream, first.settings, first.store, evaluator=first.evaluator):
        if isinstance(event, StepDone) and event.step == 3:
            break
    second = on(2, tmp_path / "parts")
    progress = checkpoint.restore(checkpoint.load(second.store.last), second.step.trainable)
    assert (progress.step, progress.micro_batch) == (2, 2)
    events = list(
        fit(second.step, second.stream, second.settings, second.store, evaluator=second.evaluator, progress=progress)
    )
    assert not any(isinstance(event, MicroBatchHalved) for event in events)
    assert isinstance(events[-1], Ended)
    assert weights_hash(second.step.trainable.model) == weights_hash(whole.step.trainable.model)


def test_where_one_image_is_too_much_training_ends(tmp_path: Path) -> None:
    p = on(0, tmp_path)
    with pytest.raises(torch.OutOfMemoryError):
        run(p)
    assert p.step.network.seen == [0, 6, 3, 2, 1]


def test_other_errors_of_torch_are_not_tried_again(tmp_path: Path) -> None:
    p = on(99, tmp_path)
    p.step.network.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(p)


@pytest.mark.parametrize(("images", "limit", "sizes"), [(6, 4, [3, 3]), (7, 3, [3, 2, 2]), (4, 4, [4]), (2, 1, [1, 1])])
def test_parts_are_nearly_equal_and_lose_no_image(images: int, limit: int, sizes: list[int]) -> None:
    batch = Batch(torch.zeros(images, 1, 2, 2), torch.zeros(images, 2, 2), torch.arange(images))
    parts = MicroBatch(limit).parts([batch])
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.indices for part in parts]), torch.arange(images))


FAULTS = """
import os, resource, sys, torch
from segengine.engine.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory(torch.device("cpu"))
torch.set_num_threads(1)
for i in range(25):
    if i == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [torch.ones(4 << 20) for _ in range(4)]  # 16 MB each
    del maps
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, os.environ.get("THP_MEM_ALLOC_ENABLE"))
"""


def faults(keep: str, **environment: str) -> tuple[int, str]:
    """Pages faulted in by twenty rounds of four maps after a few others, and the setting of huge pages."""
    surrounding = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"} | environment
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, keep], env=surrounding, capture_output=True, text=True, check=True
    )
    count, setting = done.stdout.split()
    return int(count), setting


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    small = {"THP_MEM_ALLOC_ENABLE": "0", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    given_back, _ = faults("no", **small)
    kept, setting = faults("keep", **small)
    assert setting == "0"  # a choice of the user's stands
    assert given_back > 20 * 4 * (16 << 20) / os.sysconf("SC_PAGE_SIZE") * 0.9
    assert kept < 0.1 * given_back
    _, setting = faults("keep")
    assert setting == "1"


def test_on_another_device_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    keep_freed_memory(torch.device("cuda"))
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ
