"""run.json as a typed record, for readers of finished runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segengine.errors import RunError
from segengine.runs import names
from segengine.runs.costs import Memory
from segengine.runs.folder import RunFolder

Status = Literal["running", "finished", "failed", "interrupted"]
Raw = int | tuple[int, int, int]


class _Block(BaseModel):
    """Frozen; unknown keys are kept, so that files of newer versions can be read."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class LabelRecord(_Block):
    """One class: index 0..K-1, name, mask value, colour."""

    index: int
    name: str
    raw: Raw
    colour: tuple[int, int, int]


class DataRecord(_Block):
    """The data of a run: fingerprint, and number of images by split."""

    fingerprint: str
    images: dict[str, int] = {}
    channels: int | None = None
    window: tuple[float, float] | tuple[tuple[float, float], ...] | str | None = None


class PolicyRecord(_Block):
    """Classes that mean scores average over, and classes left out."""

    averaged: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class Trained(_Block):
    """Training so far: epochs (may be fractional), steps, images seen, minutes of steps."""

    epochs: float
    steps: int
    images: int
    minutes: float


class RunRecord(_Block):
    """run.json. Times are ISO 8601 in UTC; `parameters` and `macs` (multiply-accumulates per image) are whole numbers.

    `images_per_second`, `train_seconds` and `train_memory` are those of training; None if the run ended earlier.
    `threads` are torch's threads on a CPU; `strides` those of the backbone's feature maps; `training_size` is height and width in
    pixels of training samples, None if they differ; `micro_batch` the images per pass, and the step since which it applies;
    `augmented_on` the devices that augmented training batches: cpu, device, or both in order for a resumed run;
    `plugins` the version and `plugin_files` the SHA-256 of each plugin package, joined by " and " if the run was resumed with another;
    `compilation` whether the network was compiled, and why; `initial_weights` the backbone's file, its sha256 and keys;
    `weights` the sha256 of weights.safetensors; `found_batch` the batch size chosen by training.batch_size: auto, and the reason.
    """

    status: Status
    message: str = ""
    experiment: str
    title: str = ""
    variant: str
    seed: int
    fold: int | None = None
    started: str | None = None
    ended: str | None = None
    devices: tuple[str, ...] = ()
    precision: str = ""
    versions: dict[str, str] = {}
    plugins: dict[str, str] = {}
    plugin_files: dict[str, str] = {}
    parameters: int | None = None
    macs: int | None = None
    macs_size: tuple[int, int] | None = None
    images_per_second: float | None = None
    train_seconds: float | None = None
    train_memory: Memory | None = None
    threads: int | None = None
    trained: Trained | None = None
    strides: tuple[int, ...] = ()
    training_size: tuple[int, int] | None = None
    micro_batch: dict[str, Any] | None = None
    augmented_on: str | None = None
    compilation: dict[str, Any] | None = None
    initial_weights: dict[str, Any] | None = None
    found_batch: dict[str, Any] | None = None
    weights: dict[str, Any] | None = None
    data: DataRecord
    labels: tuple[LabelRecord, ...] = Field(min_length=2)
    ignored: tuple[Raw, ...] = ()
    metric_policy: PolicyRecord
    budget: dict[str, Any] = {}
    best: dict[str, Any] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in order of their index."""
        return tuple(label.name for label in self.labels)


def read_record(folder: RunFolder) -> RunRecord:
    """run.json, checked.

    Raises:
        RunError: missing, damaged, of an unsupported format, or incomplete.
    """
    document = folder.read()
    try:
        return RunRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise RunError(f"{folder / names.RUN}: {where}: {first['msg']}; the run folder is damaged") from error
