"""Batch sizes in whole runs: `training.batch_size: auto`, and what the dry run finds on a device that can run out of memory."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from segengine.building.dataset import load_dataset
from segengine.engine.checkpoint import load
from segengine.engine.distributed import World, open_world
from segengine.engine.dry_run import DryRun
from segengine.engine.precision import pick_precision
from segengine.errors import RunError
from segengine.events import Doing
from segengine.runs.folder import RunFolder
from segengine.specs.load import load_experiment
from segengine.training import memory_plan
from segengine.training.context import FoundBatch, MemoryPlan, RunContext, metric_policy
from segengine.training.memory_plan import most_images, with_memory_plan
from segengine.training.request import RunRequest
from segengine.training.streams import training_input
from tests.engine.test_processes import free_port
from tests.training import children
from tests.training.children import Blow
from tests.training.small import SPEC, segengine, write_problem

AUTO = SPEC.replace("batch_size: 2", "batch_size: auto\n  ema: 0.9").replace(
    ", model: test_resnet", ", model: test_resnet"
)
MB = 10**6


def made_up_memory(monkeypatch: pytest.MonkeyPatch, free: int, per_image: int = 100 * MB) -> None:
    """Steps that take 100 MB per image, on a device with so much that a dry run can try."""
    monkeypatch.setattr(memory_plan, "free_bytes", lambda device: free)
    monkeypatch.setattr(memory_plan, "tries_memory", lambda world: True)

    def taken(self: DryRun, images: int) -> int | None:
        return per_image * images if per_image * images <= free else None

    monkeypatch.setattr(DryRun, "training_bytes", taken)


def context_of(folder: Path, spec: str = AUTO, world: World | None = None, **images: int) -> RunContext:
    loaded = load_experiment(write_problem(folder, spec, **{"train": 20, "validation": 1, "test": 1} | images))
    [experiment] = loaded.variants.values()
    world = world or World(torch.device("cpu"))
    request = RunRequest(loaded, "default", 0, None, RunFolder(folder / "runs/blobs/default-seed0"))
    dataset = load_dataset(experiment, None, lambda event: None)
    policy = metric_policy("auto", [label.name for label in dataset.mapper.labels])
    return RunContext(request, dataset, world, pick_precision("fp32", world.device), policy, lambda event: None)


def finished(folder: Path, wanted: str) -> RunFolder:
    """A run with such a batch size, without its report."""
    write_problem(folder, AUTO.replace("batch_size: auto", f"batch_size: {wanted}"), train=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segengine.training.finish._report", lambda *arguments: None)
        done = segengine("run", "blobs.yaml", folder=folder)
    assert done.code == 0, done.err
    return RunFolder(folder / "runs/blobs/default-seed0")


@pytest.fixture(scope="module")
def auto(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with auto; not to be changed."""
    return finished(tmp_path_factory.mktemp("auto"), "auto")


def test_a_run_with_auto_that_finds_8_equals_one_with_8(auto: RunFolder, tmp_path: Path) -> None:
    runs = {"auto": auto, "set": finished(tmp_path, "8")}
    why = "8 images; at most 8 of 20 training images per step"
    found = runs["auto"].read()["found_batch"]
    assert found == {"images": 8, "why": why}
    assert runs["set"].read()["found_batch"] is None
    assert runs["auto"].read()["budget"] == runs["set"].read()["budget"] == {"epochs": 3, "steps": 9, "images": 72}
    assert f"note: training.batch_size: auto: {why}\n" in (runs["auto"] / "log.txt").read_text()
    assert runs["auto"].spec()["training"]["batch_size"] == "auto"
    for name in ("counts/test.csv", "counts/validation.csv", "checkpoints/weights.safetensors"):
        assert (runs["auto"] / name).read_bytes() == (runs["set"] / name).read_bytes()
    ours, theirs = (load(run / "checkpoints/last.pt") for run in runs.values())
    for part in ("model", "average"):
        assert all(torch.equal(ours[part][key], theirs[part][key]) for key in theirs[part])
    assert str(ours["optimizer"]) == str(theirs["optimizer"])
    assert torch.equal(ours["generator_cpu"], theirs["generator_cpu"])
    losses = [
        [json.loads(line)["train_loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in runs.values()
    ]
    assert losses[0] == losses[1]


def test_where_memory_decides_the_number_and_the_reason_are_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up_memory(monkeypatch, 550 * MB)
    write_problem(tmp_path, AUTO.replace("epochs: 3", "epochs: 1"), train=20)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    told = "training.batch_size: auto: 4 images; a step with 6 doesn't fit into 90% of the 0.6 GB free on the GPU"
    assert done.err.count(told) == 1
    folder = tmp_path / "runs/blobs/default-seed0"
    assert json.loads((folder / "run.json").read_text())["found_batch"]["images"] == 4
    assert told.replace("'", "&#39;") in (folder / "report.html").read_text()
    assert yaml.safe_load((folder / "spec.yaml").read_text())["training"]["batch_size"] == "auto"


@pytest.mark.usefixtures("no_report")
def test_a_run_that_goes_on_keeps_what_it_found(
    auto: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problem(tmp_path, AUTO, train=20)
    killed = Blow("segengine.engine.step:TrainingStep.__call__", 6)  # in the second epoch
    assert children.run("run", "blobs.yaml", folder=tmp_path, blow=killed) == -9
    monkeypatch.setattr(memory_plan, "batch_on_cpu", lambda context: pytest.fail("it was chosen again"))
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert "resuming after step" in done.err
    assert "training.batch_size: auto: 8 images" in done.err
    weights = "checkpoints/weights.safetensors"
    again = tmp_path / "runs/blobs/default-seed0" / weights
    assert again.read_bytes() == (auto / weights).read_bytes()


def test_what_was_found_is_kept_on_another_machine_and_must_be_shared_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up_memory(monkeypatch, 250 * MB)
    begun = context_of(tmp_path)
    begun.request.folder.path.mkdir(parents=True)
    begun.request.folder.update(found_batch={"images": 8, "why": "8 images; as it was"})
    kept = with_memory_plan(begun)
    assert kept.found_batch == FoundBatch(8, "8 images; as it was")
    assert kept.batch_size == 8
    assert kept.memory.micro_batch == 2
    with pytest.raises(RunError) as raised:
        training_input(replace(kept, world=World(torch.device("cpu"), 0, 3)))
    assert str(raised.value) == (
        "training.batch_size: auto chose 8 when this run started, which can't be divided among 3 processes; use a number of "
        "processes that divides it, or start over with --fresh"
    )


def test_where_not_even_the_smallest_batch_fits_no_run_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up_memory(monkeypatch, 150 * MB)
    write_problem(tmp_path, AUTO)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 1
    assert (
        "training.batch_size: auto: a step with 2 images doesn't fit into 90% of the 0.1 GB free on the GPU; choose a smaller "
        "crop or network, set training.gradient_checkpointing: true, or close other programs that use the memory"
    ) in done.err
    assert not (tmp_path / "runs/blobs/default-seed0/run.json").exists()


def test_validate_says_that_the_number_is_found_later(tmp_path: Path) -> None:
    write_problem(tmp_path, AUTO)
    done = segengine("validate", "blobs.yaml", folder=tmp_path)
    assert "3 epochs, batch size chosen to fit memory when a run starts" in done.out
    assert '"batch_size": "auto"' in segengine("validate", "blobs.yaml", "--json", folder=tmp_path).out
    wrong = segengine("validate", "blobs.yaml", "-s", "training.batch_size=0", folder=tmp_path)
    assert "training.batch_size: must be greater than or equal to 1, not 0" in wrong.err


@pytest.mark.parametrize(("images", "most"), [(1, 1), (5, 5), (20, 8), (80, 8), (250, 25), (640, 64), (9999, 64)])
def test_an_epoch_has_ten_steps_where_there_are_images_for_them(images: int, most: int) -> None:
    assert most_images(images) == most


def found(context: RunContext) -> int:
    plan = with_memory_plan(context)
    assert plan.found_batch is not None
    return plan.found_batch.images


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({"accumulate": 2}, 4),  # two batches make a step of 8 images
        ({"accumulate": 99}, 2),  # never fewer than batch normalisation needs
        ({}, 8),
    ],
)
@pytest.mark.parametrize("tries", [True, False])
def test_batches_that_make_one_step_share_its_limit(
    changes: dict[str, int], images: int, tries: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tries:
        made_up_memory(monkeypatch, 1200 * MB)
    spec = AUTO.replace("  ema: 0.9\n", "".join(f"  {key}: {value}\n" for key, value in changes.items()))
    assert found(context_of(tmp_path, spec)) == images


def test_on_a_cpu_nothing_is_tried_and_a_batch_has_eight_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DryRun, "of", lambda *arguments, **named: pytest.fail("a dry run on a CPU"))
    context = with_memory_plan(context_of(tmp_path, train=100))
    assert context.found_batch == FoundBatch(8, "8 images; at most 8 images per step on a CPU")
    assert context.memory == MemoryPlan(None, None)
    shared = with_memory_plan(context_of(tmp_path / "two", world=World(torch.device("cpu")), train=100))
    assert shared.batch_size == 8


def test_decoded_images_on_the_device_are_left_their_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable, reserved = list[int](), list[int]()

    def fitting(dry_run: DryRun, numbers: list[int], most: int) -> int:
        usable.append(most)
        reserved.append(dry_run.reserved_bytes)
        return 2

    monkeypatch.setattr(memory_plan, "fitting_batch", fitting)
    for name, cache in (("ram", "ram"), ("device", "device")):
        made_up_memory(monkeypatch, 10**9)
        found(context_of(tmp_path / name, AUTO.replace("data:\n", f"data:\n  cache: {cache}\n")))
    assert usable[0] - usable[1] == 20 * 48 * 48 * 2
    assert reserved == [0, 20 * 48 * 48 * 2]


def test_the_dry_run_leaves_torchs_generator_and_settings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "tries_memory", lambda world: True)
    monkeypatch.setattr(memory_plan, "free_bytes", lambda device: 10**12)
    torch.manual_seed(11)
    before, seen = torch.get_rng_state(), list[object]()
    algorithms = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    given = context_of(tmp_path)
    torch.set_rng_state(before)
    assert found(replace(given, listener=seen.append)) == 8
    assert torch.equal(torch.get_rng_state(), before)
    assert algorithms == (torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled())
    assert seen == [
        Doing("searching for batch sizes that fit into memory", 0, 1),
        Doing("searching for batch sizes that fit into memory", 1, 1),
    ]


def test_a_set_batch_is_kept_and_its_micro_batch_found_and_never_raised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = AUTO.replace("batch_size: auto", "batch_size: 8")
    for free, micro_batch in ((1000, None), (500, 4), (250, 2)):
        made_up_memory(monkeypatch, free * MB)
        context = with_memory_plan(context_of(tmp_path, spec))
        assert (context.batch_size, context.found_batch) == (8, None)
        assert context.memory == MemoryPlan(micro_batch, 1)
    context.request.folder.path.mkdir(parents=True)
    context.request.folder.update(micro_batch={"images": 2, "from_step": 1})
    made_up_memory(monkeypatch, 1000 * MB)
    assert with_memory_plan(context).memory.micro_batch == 2


def _process(rank: int, port: int, folder: Path) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    made_up_memory(patch, 500 * MB, (100 if rank == 0 else 150) * MB)
    with open_world("cpu") as world:
        context = with_memory_plan(context_of(folder / str(rank), AUTO, world, train=100))
        (folder / f"{rank}.pickle").write_bytes(pickle.dumps((context.found_batch, context.memory)))


def test_two_processes_agree_on_what_the_poorer_one_has_memory_for(tmp_path: Path) -> None:
    port = free_port()
    workers: list[Any] = [children.context().Process(target=_process, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    plans = [pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in (0, 1)]
    assert [(batch.images, memory) for batch, memory in plans] == [(4, MemoryPlan(None, 1))] * 2
    assert plans[0][0].why == (
        "4 images (2 in each of 2 processes); a step with 8 doesn't fit into 90% of the 0.5 GB free on the GPU"
    )
