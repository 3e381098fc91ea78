"""`data.cache: device`: runs whose batches are made where they are trained on, here in the memory of the CPU."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segengine.building.build import preflight
from segengine.components.augmentations import Albumentations, Crop, Flip
from segengine.data.batches import device_warp
from segengine.engine.distributed import World
from segengine.errors import DataError, SpecError
from segengine.nn.segmenter import Segmenter
from segengine.runs.folder import RunFolder
from segengine.training import memory_plan, streams
from segengine.training.streams import training_input
from tests.training.children import Blow, run
from tests.training.small import SPEC, segengine, write_problem

PLACE = "augmentations:\n  - {name: multi-scale, base_size: 48, scale: [0.8, 1.2], crop_size: 32}\n"
EXACT = SPEC.replace(PLACE, "augmentations:\n  - {name: crop, size: 32}\n  - brightness-contrast\n")
ON_DEVICE = ("run", "blobs.yaml", "-s", "data.cache=device")
WEIGHTS = "checkpoints/weights.safetensors"

pytestmark = pytest.mark.usefixtures("no_report")


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["train_loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the device that was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("killed")
    write_problem(folder)
    blow = Blow("segengine.engine.step:TrainingStep.__call__", 5)
    assert run(*ON_DEVICE, folder=folder, blow=blow) == -signal.SIGKILL
    return folder


def test_where_pixels_are_equal_the_device_changes_no_bit_of_the_weights(tmp_path: Path) -> None:
    variants = "variants: {cpu: {data: {cache: ram}}, device: {data: {cache: device}}}\n"
    write_problem(tmp_path, EXACT + variants)
    cpu, device = (segengine("run", "blobs.yaml", "--variant", name, folder=tmp_path) for name in ("cpu", "device"))
    assert (cpu.code, device.code) == (0, 0), device.err
    folders = [tmp_path / "runs/blobs" / f"{name}-seed0" for name in ("cpu", "device")]
    for name in (WEIGHTS, "counts/validation.csv", "counts/test.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    assert [RunFolder(folder).read()["augmented_on"] for folder in folders] == ["cpu", "device"]
    assert "data.cache: device: the decoded training images take 1 MB of " in device.err
    assert "MB free in memory; batches are augmented there" in device.err
    assert "data.cache" not in cpu.err
    assert "augmented_on" in segengine("compare", folder=tmp_path).out


def test_a_killed_run_on_the_device_goes_on_there_and_ends_bit_for_bit(killed: Path, tmp_path: Path) -> None:
    write_problem(tmp_path / "whole")
    assert run(*ON_DEVICE, folder=tmp_path / "whole") == 0
    shutil.copytree(killed, tmp_path / "killed")
    # With auto, which would take the CPU here, a run stays where it began.
    assert run("run", "blobs.yaml", folder=tmp_path / "killed") == 0, (tmp_path / "killed/said.txt").read_text()
    mine, whole = (tmp_path / name / "runs/blobs/default-seed0" for name in ("killed", "whole"))
    assert (mine / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert losses(mine) == losses(whole)
    assert RunFolder(mine).read()["augmented_on"] == "device"


def scarce(monkeypatch: pytest.MonkeyPatch, *, warped: int, trained: int = 99) -> None:
    """Memory for so many samples at once while batches are made, and for so many images in training."""
    warp, forward = device_warp._warped, Segmenter.forward
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def warp_some(flat: Any, numbers: torch.Tensor, *more: Any) -> Any:
        if len(numbers) > warped:
            raise full
        return warp(flat, numbers, *more)

    def some(self: Segmenter, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > trained:
            raise full
        return forward(self, images)

    monkeypatch.setattr(device_warp, "_warped", warp_some)
    monkeypatch.setattr(Segmenter, "forward", some)


def test_where_a_batch_has_no_room_to_be_made_at_once_a_step_still_sees_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problem(tmp_path, SPEC.replace("epochs: 3", "epochs: 1") + "variants: {plenty: {}, scarce: {}}\n")
    batch = (*ON_DEVICE, "-s", "training.batch_size=4")
    assert segengine(*batch, "--variant", "plenty", folder=tmp_path).code == 0
    scarce(monkeypatch, warped=1)
    done = segengine(*batch, "--variant", "scarce", folder=tmp_path)
    assert done.code == 0, done.err
    plenty, other = (tmp_path / "runs/blobs" / f"{name}-seed0" for name in ("plenty", "scarce"))
    assert (plenty / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    assert "micro_batch" not in RunFolder(other).read()

    scarce(monkeypatch, warped=1, trained=2)
    monkeypatch.setattr(memory_plan, "tries_memory", lambda world: True)
    done = segengine(*batch, "--variant", "scarce", "--fresh", folder=tmp_path)
    assert done.code == 0, done.err
    run = RunFolder(other).read()
    assert run["micro_batch"] == {"images": 2, "from_step": 1}
    assert (run["trained"]["steps"], run["trained"]["images"]) == (2, 8)


def test_no_room_to_make_a_batch_fails_the_run_and_it_goes_on_elsewhere(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(killed, tmp_path / "killed")
    with monkeypatch.context() as patch:
        scarce(patch, warped=0)
        done = segengine(*ON_DEVICE, folder=tmp_path / "killed")
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith(
        "out of memory (while augmenting a single image on the device beside the network and the training images; "
        "set data.cache: ram to keep these in main memory); close other programs that use the device, or start "
        "a run with a smaller crop, network or training.batch_size"
    )
    assert segengine("run", "blobs.yaml", "-s", "data.cache=ram", folder=tmp_path / "killed").code == 0


def test_a_run_that_goes_on_elsewhere_says_so(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path / "killed")
    done = segengine("run", "blobs.yaml", "-s", "data.cache=ram", folder=tmp_path / "killed")
    assert done.code == 0, done.err
    assert "earlier batches of this run were augmented on the device; the results differ by rounding" in done.err
    assert RunFolder(tmp_path / "killed/runs/blobs/default-seed0").read()["augmented_on"] == "device and cpu"


def test_an_augmentation_that_only_a_cpu_can_do_is_refused_before_data_is_read(tmp_path: Path) -> None:
    spec = EXACT.replace("brightness-contrast", "{name: albumentations, transform: GaussNoise}")
    (tmp_path / "blobs.yaml").write_text(spec)
    done = segengine(*ON_DEVICE, folder=tmp_path)
    assert done.code == 2
    assert (
        "data.cache: device: albumentations runs on the CPU only; remove it from augmentations, or set "
        "data.cache: auto" in done.err
    )


# What is decided


class Data:
    """Three images of 100 x 100 pixels with three channels: 90 kB and 30 kB of masks."""

    def __init__(self) -> None:
        self.channels = 3
        self.sizes = np.full((3, 2), 100)
        self.records = [SimpleNamespace(id=name) for name in "abc"]
        self.splits = {"train": (0, 1, 2)}


class WorldOf(World):
    """A process among others whose memory is told."""

    free: tuple[int, ...] = ()

    def gathered(self, item: Any) -> list[Any]:
        return [item, *self.free]


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Where batches are made, and the note, for a cache, a device, and its free bytes."""
    monkeypatch.setattr(streams, "_on_device", lambda setting, order, pipeline: order)

    def decide(
        cache: str,
        device: str,
        free: int = 10**6,
        *,
        before: str | None = None,
        others: tuple[int, ...] = (),
        **more: Any,
    ) -> tuple[str, str]:
        monkeypatch.setattr(streams, "free_bytes", lambda device: free)
        monkeypatch.setattr(streams, "_before", lambda folder: before)
        world = WorldOf(torch.device(device), size=1 + len(others))
        object.__setattr__(world, "free", others)
        experiment = SimpleNamespace(
            data=SimpleNamespace(cache=cache), augmentations=more.get("augmentations", [Crop(size=32), Flip()]),
            training=SimpleNamespace(workers=0),
        )  # fmt: skip
        request = SimpleNamespace(experiment=experiment, seed=0, folder=None)
        setting: Any = SimpleNamespace(
            request=request, world=world, dataset=Data(), listener=lambda event: None, batch_size=4, found_batch=None
        )
        made = training_input(setting)
        return made.augmented_on, made.note

    return decide


def test_auto_takes_a_gpu_with_room_and_says_how_much(decided: Any) -> None:
    place, note = decided("auto", "cuda", 8 * 10**9)
    assert place == "device"
    assert note == (
        "data.cache: auto: the decoded training images take 1 MB of 8,000 MB free on the GPU; batches are augmented there"
    )


def test_auto_takes_a_quarter_of_a_gpu_at_most(decided: Any) -> None:
    assert decided("auto", "cuda", 480_000)[0] == "device"
    assert decided("auto", "cuda", 479_999) == (
        "cpu",
        "data.cache: auto augments on the CPU: the decoded training images take 1 MB of 1 MB free on the GPU, and at most "
        "25% is used",
    )


def test_the_fullest_gpu_decides_for_all_processes(decided: Any) -> None:
    assert decided("auto", "cuda", 10**9, others=(10**9,))[0] == "device"
    assert decided("auto", "cuda", 10**9, others=(400_000,))[0] == "cpu"


@pytest.mark.parametrize(
    ("cache", "device"), [("auto", "cpu"), ("auto", "mps"), ("ram", "cuda"), ("none", "cuda"), ("disk", "cuda")]
)
def test_nothing_else_is_taken_to_the_device_unasked(decided: Any, cache: str, device: str) -> None:
    assert decided(cache, device) == ("cpu", "")


def test_what_is_asked_for_and_does_not_fit_is_refused(decided: Any) -> None:
    assert decided("device", "cuda", 240_000)[0] == "device"
    with pytest.raises(DataError) as caught:
        decided("device", "cuda", 239_999)
    assert str(caught.value) == (
        "data.cache: device: the decoded training images take 1 MB of 1 MB free on the GPU; at most 50% is used; set "
        "data.cache: auto"
    )


def test_processes_that_share_a_memory_take_it_together(decided: Any) -> None:
    assert decided("device", "cpu", 480_000, others=(480_000,))[0] == "device"
    with pytest.raises(DataError, match="at most 50% is used"):
        decided("device", "cpu", 479_999, others=(479_999,))


def test_other_devices_are_refused(decided: Any) -> None:
    with pytest.raises(SpecError, match=r"data\.cache: device works on CUDA GPUs, not on mps; set data.cache: auto"):
        decided("device", "mps")


def test_auto_falls_back_to_the_cpu_where_an_augmentation_needs_it(decided: Any) -> None:
    augmentations = [Crop(size=32), Albumentations(transform="GaussNoise")]
    assert decided("auto", "cuda", augmentations=augmentations) == (
        "cpu",
        "data.cache: auto augments on the CPU: albumentations has no device implementation",
    )
    assert decided("auto", "cpu", augmentations=augmentations) == ("cpu", "")


def test_a_run_that_goes_on_stays_where_it_began(decided: Any) -> None:
    assert decided("auto", "cuda", before="cpu") == ("cpu", "")
    assert decided("auto", "cpu", before="device")[0] == "device"
    place, note = decided("auto", "cuda", 1000, before="device")
    assert place == "cpu"
    assert note.endswith("; earlier batches of this run were augmented on the device; the results differ by rounding")


def test_preflight_knows_what_the_device_can_do() -> None:
    def experiment(*augmentations: Any) -> Any:
        return SimpleNamespace(
            data=SimpleNamespace(cache="device"), augmentations=list(augmentations), components=lambda: iter(())
        )

    preflight(experiment(Crop(), Flip()))
    with pytest.raises(SpecError, match=r"data\.cache: device: albumentations runs on the CPU only"):
        preflight(experiment(Crop(), Albumentations(transform="GaussNoise")))
