"""Where training batches are made: sample by sample on the CPU, or all at once on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from segengine.building.build import build_mixing, build_pipeline, refused_on_device, without_batch_form
from segengine.data.augment.mixing import MixedStream
from segengine.data.augment.pipeline import Pipeline
from segengine.data.batches.batch import BatchStream
from segengine.data.batches.device_store import needed_bytes, stored
from segengine.data.batches.device_stream import DeviceStream
from segengine.data.batches.streams import TrainingStream
from segengine.engine.distributed import World
from segengine.engine.memory import free_bytes
from segengine.errors import DataError, RunError, SpecError
from segengine.events import Doing
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.training.context import RunContext

AugmentedOn = Literal["cpu", "device"]

_SHARE = {"auto": 0.25, "device": 0.5}  # maximum fraction of free memory; the network needs the rest
_MEGABYTE = 10**6


@dataclass(frozen=True)
class TrainingInput:
    """Training batches, where they are augmented, and a note for the user ('' if none)."""

    stream: BatchStream
    augmented_on: AugmentedOn
    note: str


def training_input(context: RunContext) -> TrainingInput:
    """The training batches of a run, according to data.cache.

    With `auto`, a resumed run keeps its device.

    Raises:
        SpecError: data.cache: device with an augmentation without device implementation, or on an unsupported device.
        DataError: data.cache: device, and the images don't fit.
        RunError: the batch size isn't divisible by the number of processes.
    """
    experiment, world = context.request.experiment, context.world
    training = experiment.training
    if context.batch_size % world.size:
        raise RunError(
            f"training.batch_size {context.batch_size} can't be divided evenly among {world.size} processes; choose a multiple"
            if context.found_batch is None
            else f"training.batch_size: auto chose {context.batch_size} when this run started, which can't be divided among "
            f"{world.size} processes; use a number of processes that divides it, or start over with --fresh"
        )
    pipeline = build_pipeline(experiment, context.dataset)
    stream = TrainingStream(
        context.dataset, context.dataset.splits["train"], pipeline,
        batch_size=context.batch_size, seed=context.request.seed, rank=world.rank, world_size=world.size,
        workers=_workers(training.workers, world), pin_memory=world.device.type == "cuda",
    )  # fmt: skip
    mixing = build_mixing(experiment, context.dataset, context.batch_size, processes=world.size)
    before = _before(context.request.folder)
    fits, note = _fits(context, before, without_batch_form(experiment, pipeline.transforms))
    device: AugmentedOn = "device" if fits else "cpu"
    made: BatchStream = _on_device(context, stream, pipeline) if fits else stream
    if before not in (None, device):
        note += f"{'; ' if note else ''}earlier batches of this run were augmented on the {before}; the results differ by rounding"
    return TrainingInput(MixedStream(made, mixing, world.device) if mixing else made, device, note)


def bytes_on_device(context: RunContext) -> int:
    """Bytes of the decoded training images of a new run on each process's device; 0 if they aren't stored there."""
    pipeline = build_pipeline(context.request.experiment, context.dataset)
    fits, _ = _fits(context, None, without_batch_form(context.request.experiment, pipeline.transforms))
    dataset = context.dataset
    return needed_bytes(dataset, dataset.splits["train"], dataset.channels) if fits else 0


def _on_device(context: RunContext, order: TrainingStream, pipeline: Pipeline) -> DeviceStream:
    def doing(what: str, done: int, total: int) -> None:
        context.listener(Doing(what, done, total))

    dataset = context.dataset
    store = stored(dataset, dataset.splits["train"], context.world.device, doing)
    return DeviceStream(order, dataset, pipeline, store)


def _fits(context: RunContext, before: str | None, cpu_alone: Sequence[str]) -> tuple[bool, str]:
    """Whether batches are augmented on the device, and a note."""
    requested, world = context.request.experiment.data.cache, context.world
    if requested == "auto" and not (world.device.type == "cuda" if before is None else before == "device"):
        return False, ""
    if requested not in _SHARE:
        return False, ""
    explicit = requested == "device"
    if world.device.type not in ("cuda", "cpu"):
        if explicit:
            raise SpecError(f"data.cache: device works on CUDA GPUs, not on {world.device.type}; set data.cache: auto")
        return False, ""
    if cpu_alone:
        if explicit:
            raise SpecError(refused_on_device(cpu_alone))
        return False, f"data.cache: auto augments on the CPU: {', '.join(cpu_alone)} has no device implementation"
    return _memory(context, requested)


def _memory(context: RunContext, requested: str) -> tuple[bool, str]:
    """Whether the decoded training images fit on the device of every process."""
    dataset, world = context.dataset, context.world
    on_cpu = world.device.type == "cpu"
    needed = needed_bytes(dataset, dataset.splits["train"], dataset.channels) * (world.size if on_cpu else 1)
    free, share = min(world.gathered(free_bytes(world.device))), _SHARE[requested]
    where = "in memory" if on_cpu else "on the GPU"
    sizes = f"the decoded training images take {_megabytes(needed)} MB of {_megabytes(free)} MB free {where}"
    if needed <= share * free:
        return True, f"data.cache: {requested}: {sizes}; batches are augmented there"
    if requested == "device":
        raise DataError(f"data.cache: device: {sizes}; at most {share:.0%} is used; set data.cache: auto")
    return False, f"data.cache: auto augments on the CPU: {sizes}, and at most {share:.0%} is used"


def _megabytes(number: int) -> str:
    return f"{-(-number // _MEGABYTE):,}"


def _before(folder: RunFolder) -> str | None:
    """Where the batches of a resumed run were augmented; None for a new run."""
    if not any((folder / name).exists() for name in (names.LAST, names.PREVIOUS)):
        return None
    return str(folder.read().get("augmented_on", "cpu")).split(" and ")[-1]


def _workers(requested: int | str, world: World) -> int:
    """Number of data loading workers; `auto`: none on a CPU, whose cores the network uses, else the cores per process - 1, at most 8."""
    if requested != "auto":
        return int(requested)
    if world.device.type == "cpu":
        return 0
    return min(8, max(1, world.cores - 1))
