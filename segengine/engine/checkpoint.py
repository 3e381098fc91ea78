"""Checkpoints: the full state of training, so that a resumed run equals an uninterrupted one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from segengine.engine.checkpoint_hash import damage, seal, sha256_of
from segengine.engine.machine_errors import not_written
from segengine.engine.non_finite import non_finite_tensors, weights_error
from segengine.engine.wrap_model import MovingAverage
from segengine.errors import RunError, unexpected
from segengine.files import whole_file

FORMAT = 1


class DamagedError(RunError):
    """A checkpoint is missing, truncated, modified, or contains infinite or NaN weights; an older one may be usable."""


@dataclass(frozen=True)
class CheckpointPaths:
    """Paths of the checkpoint files."""

    last: Path
    best: Path
    previous: Path


@dataclass
class Progress:
    """All counters of the training loop."""

    epoch: int = 0  # completed epochs
    step_in_epoch: int = 0  # steps completed in the current epoch
    step: int = 0  # optimizer steps since the start
    loss_sum: float = 0.0  # over the steps of the current epoch
    norm_sum: float = 0.0  # of gradient norms, over the steps of the current epoch that a gradient scaler didn't skip
    norm_max: float = 0.0
    norm_steps: int = 0
    seconds_in_epoch: float = 0.0
    best_score: float | None = None
    best_epoch: int | None = None
    evaluations_without_rise: int = 0
    over: bool = False
    images: int = 0  # seen since the start, by all processes
    train_seconds: float = 0.0  # steps and waiting for their batches, since the start


@dataclass
class Trainable:
    """Model, optimizer, schedule, gradient scaler and moving average."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler | None = None
    average: MovingAverage | None = None

    def evaluated(self) -> nn.Module:
        """The model that is evaluated: the moving average if there is one."""
        return self.average.module if self.average is not None else self.model

    def check_finite(self) -> None:
        """Raises RunError if weights, buffers or their average are infinite or NaN; names the first tensor."""
        found = non_finite_tensors(self.model.state_dict())
        if not found and self.average is not None:
            found = non_finite_tensors(self.average.state_dict())
        if found:
            raise weights_error(found)


def generator_states() -> dict[str, Any]:
    """The states of torch's generators in this process, on the CPU and on all CUDA devices."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_generators(checkpoint: Mapping[str, Any], rank: int, size: int) -> None:
    """Restore this process's generators; with a different number of processes, from the state of rank 0."""
    older = [{"cpu": checkpoint["generator_cpu"], "cuda": checkpoint["generators_cuda"]}]
    states: Sequence[Mapping[str, Any]] = checkpoint.get("generators", older)
    state = states[rank if len(states) == size else 0]
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def capture(
    trainable: Trainable, progress: Progress, generators: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """A checkpoint as tensors and plain values (loadable with weights_only=True).

    `generators` are the generator states of all processes, by rank; this process's own if None.
    """
    states = [dict(state) for state in generators or [generator_states()]]
    return {
        "format": FORMAT,
        "progress": asdict(progress),
        "model": trainable.model.state_dict(),
        "optimizer": trainable.optimizer.state_dict(),
        "schedule": {k: v for k, v in trainable.schedule.state_dict().items() if k != "lr_lambdas"},
        "scaler": trainable.scaler.state_dict() if trainable.scaler else None,
        "average": trainable.average.state_dict() if trainable.average else None,
        "generator_cpu": states[0]["cpu"],
        "generators_cuda": states[0]["cuda"],
        "generators": states,
    }


def capture_weights(trainable: Trainable, progress: Progress) -> dict[str, Any]:
    """A checkpoint of the evaluated weights only, about a third of the size."""
    return {"format": FORMAT, "progress": asdict(progress), "model": trainable.evaluated().state_dict()}


def restore(checkpoint: dict[str, Any], trainable: Trainable, *, rank: int = 0, size: int = 1) -> Progress:
    """Restore the state captured in `checkpoint`, in process `rank` of `size`.

    Raises:
        DamagedError: the contents don't match `trainable`.
    """
    try:
        return _restore(checkpoint, trainable, rank, size)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedError(
            f"the checkpoint doesn't match this network and optimizer ({unexpected(error)}); start over with --fresh"
        ) from error


def _restore(checkpoint: dict[str, Any], trainable: Trainable, rank: int, size: int) -> Progress:
    for part, key in (("progress", "epoch"), ("progress", "step"), ("schedule", "last_epoch")):
        if not isinstance(checkpoint[part][key], int):
            raise TypeError(f"{part} has no number of {key}")
    trainable.model.load_state_dict(checkpoint["model"])
    trainable.optimizer.load_state_dict(checkpoint["optimizer"])
    trainable.schedule.load_state_dict({**trainable.schedule.state_dict(), **checkpoint["schedule"]})
    if trainable.scaler and checkpoint["scaler"]:
        trainable.scaler.load_state_dict(checkpoint["scaler"])
    if trainable.average is not None and checkpoint["average"]:
        trainable.average.load_state_dict(checkpoint["average"])
    restore_generators(checkpoint, rank, size)
    known = {f.name for f in fields(Progress)}
    return Progress(**{k: v for k, v in checkpoint["progress"].items() if k in known})


def save(path: Path, checkpoint: dict[str, Any], *, previous: Path | None = None) -> None:
    """Write a checkpoint with its hash, atomically; an existing file is kept as `previous` if given.

    Raises:
        RunError: the disk is full, or the folder can't be written to.
    """
    try:
        with whole_file(path, previous=previous) as part:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
            seal(part)
    except (OSError, RuntimeError) as error:
        raise not_written(path, error) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint safely (weights_only=True).

    Raises:
        DamagedError: the file is missing, truncated, modified, or contains infinite or NaN weights.
        RunError: unsupported format version.
    """
    try:
        reason = damage(path)
        if reason is None:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            found = checkpoint["format"]
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        reason = f"{type(error).__name__}: {text}"
        raise DamagedError(f"{path}: not a readable checkpoint ({reason}); start over with --fresh") from error
    if reason is not None:
        raise DamagedError(f"{path}: not a readable checkpoint ({reason}); start over with --fresh")
    if found != FORMAT:
        raise RunError(
            f"{path}: a checkpoint of format {found}; this version of segengine reads format {FORMAT}; start over with --fresh"
        )
    broken = [name for part in ("model", "average") for name in non_finite_tensors(_mapping(checkpoint.get(part)))]
    if broken:
        raise DamagedError(f"{path}: contains infinite or NaN weights ({broken[0]}); start over with --fresh")
    return dict(checkpoint)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def load_newest(last: Path, previous: Path) -> tuple[dict[str, Any] | None, str]:
    """The newest intact checkpoint with finite weights, and a note for the user if it isn't the last one ('' otherwise).

    None if no checkpoint was written yet.

    Raises:
        RunError: none of them is usable.
    """
    if not last.exists() and not previous.exists():
        return None, ""
    try:
        return load(last), ""
    except DamagedError as error:
        if not previous.exists():
            raise
        problem = "is missing" if not last.exists() else str(error).split(": ", 1)[1].rpartition("; ")[0]
        try:
            checkpoint = load(previous)
        except DamagedError:
            raise RunError(
                f"{last.parent}: neither {last.name} nor {previous.name} is a readable checkpoint with finite weights; "
                "start over with --fresh"
            ) from error
    return checkpoint, f"{last}: {problem}; resuming from the checkpoint before it, {previous.name}"


def save_weights(path: Path, model: nn.Module) -> str:
    """Write all parameters and buffers as safetensors, atomically.

    Returns:
        The sha256 of the file, for `load_weights`.

    Raises:
        RunError: a weight is NaN or infinite, the disk is full, or the folder can't be written to.
    """
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    _refuse_non_finite(path, tensors)
    try:
        with whole_file(path) as part:
            save_file(tensors, part)
            return sha256_of(part)
    except Exception as error:  # safetensors wraps OSError in its own exception
        raise not_written(path, error) from error


def load_weights(path: Path, model: nn.Module, sha256: str | None = None) -> None:
    """Load safetensors into a model. `sha256`: expected digest of the file; None for runs that recorded none.

    Raises:
        RunError: the file is missing, truncated, modified, belongs to another network, or contains NaN or infinity.
    """
    try:
        if sha256 is not None and sha256_of(path) != sha256:
            raise RunError(
                f"{path}: was changed after training (its sha256 differs from the one in run.json); restore it, or train again"
            )
        tensors = load_file(path)
        _refuse_non_finite(path, tensors)
        model.load_state_dict(tensors)
    except RunError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path}: doesn't match the network ({type(error).__name__}: {reason})") from error


def _refuse_non_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    bad = non_finite_tensors(tensors)
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise RunError(f"{path}: the weights {bad[0]}{more} contain NaN or infinity; the network is unusable")


def weights_hash(model: nn.Module) -> str:
    """sha256 over all parameters and buffers, names included: equal hashes are equal weights, bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
