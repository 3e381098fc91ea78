"""The sections of an experiment file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, PositiveFloat, model_validator
from pydantic_core import CoreSchema, core_schema

from segengine.components.choices import (
    AnyBackbone,
    AnyDecoder,
    AnyMaskMapper,
    AnyMetric,
    AnyOptimizer,
    AnySchedule,
    AnySource,
)
from segengine.components.settings import ChangesNoNumber, Settings

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A count, bounded to avoid overflow."""
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\t\r\n]+$")]
"""Text on one line, for names in tables."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


class ShortFor:
    """Annotation of a block with a short form: a number is the value of its setting `key`; `forms` is the type of both forms."""

    def __init__(self, key: str, forms: Any) -> None:
        self.key, self.forms = key, forms

    def __call__(self, value: Any) -> Any:
        return {self.key: value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        forms = handler.generate_schema(self.forms)
        return core_schema.no_info_before_validator_function(self, handler(source), json_schema_input_schema=forms)


class SplitSection(Settings):
    """Division of the images into splits, if the folders don't define it."""

    train: float | None = Field(
        default=None, gt=0, lt=1, description="fraction of the images for training (0.7 unless given)"
    )
    validation: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="fraction for validation, which selects the checkpoint (0.15 unless given)",
    )
    test: float | None = Field(default=None, ge=0, lt=1, description="fraction for the test scores (0.15 unless given)")
    by: Literal["image", "group"] = Field(
        default="image", description="what is divided: single images, or groups that stay together"
    )
    group: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None,
        description="regular expression on the image's stem; its first group names the patient, video or scene",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="random seed of the division")
    folds: int | None = Field(
        default=None, ge=2, le=1000, description="cross-validation: number of folds, one run each"
    )
    fold: int | None = Field(default=None, ge=0, description="only this fold (from 0)")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shares = [s for s in (self.train, self.validation, self.test) if s is not None]
        if sum(shares) > 1 + 1e-9:
            raise ValueError(f"train + validation + test is {sum(shares):g}; it must not exceed 1")
        if self.folds and (self.train is not None or self.test is not None):
            raise ValueError(
                "with `folds`, remove train and test; only `validation` sets the fraction that selects the checkpoint"
            )
        if self.fold is not None and (self.folds is None or self.fold >= self.folds):
            raise ValueError("`fold` counts from 0 and must be below `folds`")
        return self

    @property
    def chosen_folds(self) -> list[int | None]:
        """The folds to train, one run each; [None] without cross-validation."""
        if self.folds is None:
            return [None]
        return [self.fold] if self.fold is not None else list(range(self.folds))


def _window(window: tuple[float, float]) -> tuple[float, float]:
    if not window[0] < window[1]:
        raise ValueError("must be two numbers in ascending order")
    return window


WindowPair = Annotated[tuple[float, float], AfterValidator(_window)]


class DataSection(Settings):
    """Images, masks and the meaning of mask values."""

    source: Annotated[AnySource, ChangesNoNumber(keys=("root",))] = Field(description="where images and masks are")
    classes: list[Line] | None = Field(
        default=None, min_length=2, description="names of the classes, in ascending order of their mask values"
    )
    mask_mapper: AnyMaskMapper = Field(default={"name": "gray-index"}, description="mapping of mask values to classes")  # type: ignore[assignment]
    split: SplitSection = Field(default=SplitSection(), description="division into train, validation and test")
    cache: Annotated[Literal["auto", "none", "ram", "disk", "device"], ChangesNoNumber()] = Field(
        default="auto",
        description="cache of decoded images: auto uses ram if they fit in half of the free memory, and on a GPU the "
        "device, which then also augments batches, if training images fit in a quarter of its free memory",
    )
    channels: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        default="auto", description="number of input channels: auto uses that of the images"
    )
    window: Literal["auto", "per-image"] | WindowPair | Annotated[list[WindowPair], Field(min_length=1)] | None = Field(
        default="auto",
        description="values of 16-bit and float images mapped to 0 and 255, as one pair or one per channel; auto: the 0.5 and 99.5 "
        "percentiles of each channel over the training images; per-image: those of each image, or of each group if "
        "data.split.group is given",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        duplicates = sorted({c for c in self.classes or () if (self.classes or []).count(c) > 1})
        if duplicates:
            raise ValueError(f"class names must be unique; duplicates: {', '.join(duplicates)}")
        return self


class ModelSection(Settings):
    """The network: a backbone and a decoder."""

    backbone: AnyBackbone = Field(description="network that computes feature maps")
    decoder: AnyDecoder = Field(
        default={"name": "unet"}, description="network that turns feature maps into a label map"
    )  # type: ignore[assignment]
    freeze_backbone: bool = Field(
        default=False,
        description="freeze the backbone, including its batch normalisation statistics; useful with pretrained weights "
        "(Yosinski et al., 2014)",
    )
    auxiliary_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of the mean loss of auxiliary heads, used only in training: on the inner nodes of unet-plus-plus (deep "
        "supervision, Zhou et al., 2018), else on the backbone's second-deepest map (Zhao et al., PSPNet, 2017, with 0.4); 0: none",
    )


class EarlyStopping(Settings):
    """Stops training when the validation score no longer improves."""

    patience: Count = Field(default=10, description="number of evaluations without improvement before training stops")
    min_rise: float = Field(default=0.0, ge=0, le=1, description="minimum improvement of the score (0 to 1)")


class CheckpointEvery(Settings):
    """When a checkpoint is written; the end of training and an interruption always write one."""

    epochs: Count | None = Field(default=None, description="after this many epochs")
    steps: Count | None = Field(default=None, description="after this many optimizer steps")
    minutes: float | None = Field(default=None, gt=0, description="after this many minutes")


class TrainingSection(Settings):
    """How the network is trained."""

    epochs: Count | None = Field(default=50, description="passes over the training images; null if `minutes` are given")
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="minutes of training instead of epochs: steps and waiting for batches, without evaluation and checkpoints",
    )
    batch_size: Literal["auto"] | Count = Field(
        default=8,
        description="images per batch over all processes; auto: as many as fit into a GPU's memory, up to 64, found at the start of a "
        "run and stored in its run.json",
    )
    optimizer: AnyOptimizer = Field(default={"name": "adamw"}, description="optimizer of the weights")  # type: ignore[assignment]
    backbone_learning_rate_factor: float = Field(
        default=1.0,
        gt=0,
        description="the backbone's learning rate as a multiple of the optimizer's; below 1 changes pretrained weights less "
        "(Howard & Ruder, 2018)",
    )
    schedule: AnySchedule = Field(default={"name": "cosine", "warmup": 0.05}, description="learning-rate schedule")  # type: ignore[assignment]
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 if the GPU supports it, fp16 on older GPUs, fp32 on CPU"
    )
    accumulate: Count = Field(
        default=1, description="number of batches whose gradients are accumulated per optimizer step"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="gradient clipping: maximum norm (Pascanu et al., 2013)"
    )
    early_stopping: Annotated[
        EarlyStopping | None,
        ShortFor("patience", EarlyStopping | Count | None),
    ] = Field(default=None, description="stop when validation no longer improves; a number is the patience")
    evaluate_every: Count = Field(default=1, description="epochs between evaluations on the validation images")
    checkpoint_every: Annotated[
        CheckpointEvery,
        ShortFor("epochs", CheckpointEvery | Count),
        ChangesNoNumber(),
    ] = Field(default=CheckpointEvery(epochs=1), description="how often a checkpoint is written; a number means epochs")
    deterministic: bool = Field(default=False, description="bit-identical results on one machine; slower on GPUs")
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="torch.compile the network: faster steps after a minute or two; auto compiles on a GPU if training is "
        "long enough, and records the reason in run.json",
    )
    gradient_checkpointing: Annotated[bool, ChangesNoNumber()] = Field(
        default=False,
        description="trade time for memory: recompute activations in the backward pass (Chen et al., 2016); "
        "affects no result",
    )
    sync_batch_norm: bool = Field(
        default=False,
        description="batch normalisation over the batches of all processes, on GPUs; for small batches per GPU (Peng et al., 2018)",
    )
    workers: Annotated[Literal["auto"] | Annotated[int, Field(ge=0, le=1024)], ChangesNoNumber()] = Field(
        default="auto",
        description="threads (up to 2) or processes that prepare batches; 0: the training loop prepares them",
    )
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="decay per step of an exponential moving average of the weights, with a warm-up, which is evaluated and saved "
        "(Polyak & Juditsky, 1992; Tarvainen & Valpola, 2017)",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        epochs, minutes = value.get("epochs"), value.get("minutes")
        if epochs is not None and minutes is not None:
            raise ValueError(
                "has both epochs and minutes as its budget; remove one (epochs: null removes an inherited value)"
            )
        if "epochs" in value and epochs is None and minutes is None:
            raise ValueError("has no budget; set epochs or minutes")
        return {**value, "epochs": None} if minutes is not None else value


class EvaluationSection(Settings):
    """Classes, metrics and units of the scores."""

    leave_out: Literal["auto"] | list[str] = Field(
        default="auto",
        description="classes excluded from means, but not from counts; auto excludes the class named background",
    )
    cost: Annotated[bool, ChangesNoNumber()] = Field(
        default=True,
        description="measure the trained network's latency and throughput at the end of a run",
    )
    metrics: Annotated[list[AnyMetric], ChangesNoNumber()] = Field(
        default=[], description="additional metrics, measured per image at the end of a run"
    )
    spacing: Annotated[Literal["auto"] | tuple[PositiveFloat, PositiveFloat] | None, ChangesNoNumber()] = Field(
        default=None,
        description="height and width of a pixel in `unit`; auto: as each image file declares them (DICOM, NIfTI: mm; GeoTIFF: map "
        "units); by default lengths are in pixels",
    )
    unit: Annotated[Line, ChangesNoNumber()] = Field(default="mm", description="unit of `spacing`")

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        labels = [metric.label() for metric in self.metrics]
        duplicates = sorted({label for label in labels if labels.count(label) > 1})
        if duplicates:
            raise ValueError(f"evaluation.metrics must be unique; duplicates: {', '.join(duplicates)}")
        return self

    @property
    def length_unit(self) -> str:
        """Unit of lengths."""
        return "pixels" if self.spacing is None else self.unit
