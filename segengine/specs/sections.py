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
from segengine.components.settings import Settings

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A number of things, within what arithmetic on it can hold."""
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\t\r\n]+$")]
"""Text of one line, as a name in a table must be."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


class ShortFor:
    """Marks a block of settings that can be written as a number alone, which is its setting `key`; `forms` is the type of both."""

    def __init__(self, key: str, forms: Any) -> None:
        self.key, self.forms = key, forms

    def __call__(self, value: Any) -> Any:
        return {self.key: value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        forms = handler.generate_schema(self.forms)
        return core_schema.no_info_before_validator_function(self, handler(source), json_schema_input_schema=forms)


class SplitSection(Settings):
    """How images are divided where the folders don't say it."""

    train: float | None = Field(
        default=None, gt=0, lt=1, description="share of the images for training (0.7 unless given)"
    )
    validation: float | None = Field(
        default=None, ge=0, lt=1, description="share for choosing the checkpoint (0.15 unless given)"
    )
    test: float | None = Field(
        default=None, ge=0, lt=1, description="share for the reported scores (0.15 unless given)"
    )
    by: Literal["image", "group"] = Field(
        default="image", description="what is divided: single images, or groups that stay together"
    )
    group: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None,
        description="regular expression on the image's stem; its first group names the patient, video or scene",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="which random division")
    folds: int | None = Field(
        default=None, ge=2, le=1000, description="cross-validation: this many runs, each with another part as test"
    )
    fold: int | None = Field(default=None, ge=0, description="only this fold (from 0)")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shares = [s for s in (self.train, self.validation, self.test) if s is not None]
        if sum(shares) > 1 + 1e-9:
            raise ValueError(f"train + validation + test is {sum(shares):g}; it must not exceed 1")
        if self.folds and (self.train is not None or self.test is not None):
            raise ValueError(
                "with `folds`, leave out train and test; only `validation` says how much chooses the checkpoint"
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
        raise ValueError("must be two numbers, the smaller first")
    return window


WindowPair = Annotated[tuple[float, float], AfterValidator(_window)]


class DataSection(Settings):
    """Images, masks and what the masks mean."""

    source: AnySource = Field(description="where images and masks are")
    classes: list[Line] | None = Field(
        default=None, min_length=2, description="names of the classes, in ascending order of their mask values"
    )
    mask_mapper: AnyMaskMapper = Field(default={"name": "gray-index"}, description="how mask values become classes")  # type: ignore[assignment]
    split: SplitSection = Field(default=SplitSection(), description="division into train, validation and test")
    cache: Literal["auto", "none", "ram", "disk", "device"] = Field(
        default="auto",
        description="where decoded images stay: auto takes ram when they fit in half of the free memory, and on a GPU the "
        "device, where batches are then augmented, when training images fit in a quarter of its free memory",
    )
    channels: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        default="auto", description="channels that the model sees: auto takes what the images have"
    )
    window: Literal["auto", "per-image"] | WindowPair | Annotated[list[WindowPair], Field(min_length=1)] | None = Field(
        default="auto",
        description="values of 16-bit and float images that become 0 and 255, as one pair or one per channel; auto: the 0.5 and 99.5 "
        "percentiles of each channel over the training images; per-image: those of each image, or of each group where "
        "data.split.group is given",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = sorted({c for c in self.classes or () if (self.classes or []).count(c) > 1})
        if twice:
            raise ValueError(f"class names must differ; given twice: {', '.join(twice)}")
        return self


class ModelSection(Settings):
    """The network: a backbone and a decoder."""

    backbone: AnyBackbone = Field(description="the network that makes feature maps")
    decoder: AnyDecoder = Field(default={"name": "unet"}, description="the network that turns them into a label map")  # type: ignore[assignment]
    freeze_backbone: bool = Field(
        default=False,
        description="keep the backbone as it starts, its batch normalisation's statistics too; sensible with trained weights "
        "(Yosinski et al., 2014)",
    )
    auxiliary_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of the mean loss of heads that exist in training alone: on the inner nodes of unet-plus-plus (deep "
        "supervision, Zhou et al., 2018), else on the backbone's last map but one (Zhao et al., PSPNet, 2017, with 0.4); 0: none",
    )


class EarlyStopping(Settings):
    """Stops when the validation score no longer rises."""

    patience: Count = Field(default=10, description="evaluations without a rise after which training stops")
    min_rise: float = Field(default=0.0, ge=0, le=1, description="a rise counts only above this (score from 0 to 1)")


class CheckpointEvery(Settings):
    """When a checkpoint is written; the end of training and an interruption always write one."""

    epochs: Count | None = Field(default=None, description="after this many epochs")
    steps: Count | None = Field(default=None, description="after this many optimizer steps")
    minutes: float | None = Field(default=None, gt=0, description="after this many minutes")


class TrainingSection(Settings):
    """How the network is trained."""

    epochs: Count | None = Field(
        default=50, description="passes over the training images; nothing where `minutes` are given"
    )
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="minutes of training instead of epochs: steps and waiting for batches, without evaluation and checkpoints",
    )
    batch_size: Literal["auto"] | Count = Field(
        default=8,
        description="images a batch, over all processes; auto: as many as fit into a GPU's memory, up to 64, found at the start of a "
        "run and kept in its run.json",
    )
    optimizer: AnyOptimizer = Field(default={"name": "adamw"}, description="how weights follow gradients")  # type: ignore[assignment]
    backbone_learning_rate_factor: float = Field(
        default=1.0,
        gt=0,
        description="the backbone's learning rate as a multiple of the optimizer's; below 1 keeps trained weights closer "
        "(Howard & Ruder, 2018)",
    )
    schedule: AnySchedule = Field(default={"name": "cosine", "warmup": 0.05}, description="how the learning rate moves")  # type: ignore[assignment]
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 where the GPU has it, fp16 on older GPUs, fp32 on CPU"
    )
    accumulate: Count = Field(default=1, description="batches whose gradients make one step")
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of the gradient; longer ones are shortened (Pascanu et al., 2013)"
    )
    early_stopping: Annotated[
        EarlyStopping | None,
        ShortFor("patience", EarlyStopping | Count | None),
    ] = Field(default=None, description="stop when validation no longer improves; a number is the patience")
    evaluate_every: Count = Field(default=1, description="epochs between evaluations on the validation images")
    checkpoint_every: Annotated[
        CheckpointEvery,
        ShortFor("epochs", CheckpointEvery | Count),
    ] = Field(default=CheckpointEvery(epochs=1), description="how often a checkpoint is written; a number means epochs")
    deterministic: bool = Field(
        default=False, description="bit-equal repeats on one machine, at some cost in speed on GPUs"
    )
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="torch.compile the network: faster steps after a minute or two; auto does so on a GPU where training is "
        "long enough, and says why or why not in run.json",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="less memory for longer steps: inner maps are computed again in the backward pass (Chen et al., 2016); "
        "changes no number",
    )
    sync_batch_norm: bool = Field(
        default=False,
        description="batch normalisation over the batches of all processes, on GPUs; for small batches a GPU (Peng et al., 2018)",
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=1024)] = Field(
        default="auto", description="threads (up to 2) or processes that prepare batches; 0: the training loop does"
    )
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="decay per step of an exponential moving average of the weights, with a warm-up, which is then evaluated and kept "
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
                "has both epochs and minutes as its budget; leave one out (epochs: null takes back what stands elsewhere)"
            )
        if "epochs" in value and epochs is None and minutes is None:
            raise ValueError("has no budget; give epochs or minutes")
        return {**value, "epochs": None} if minutes is not None else value


class EvaluationSection(Settings):
    """What the scores are about."""

    leave_out: Literal["auto"] | list[str] = Field(
        default="auto",
        description="classes left out of means, never of counts; auto leaves out the one named background",
    )
    cost: bool = Field(
        default=True,
        description="measure the trained network's latency and throughput at the end of a run, which takes a few passes",
    )
    metrics: list[AnyMetric] = Field(
        default=[], description="metrics beside those from counts, measured on each image at the end of a run"
    )
    spacing: tuple[PositiveFloat, PositiveFloat] | None = Field(
        default=None, description="height and width of a pixel, in `unit`; without it lengths are in pixels"
    )
    unit: Line = Field(default="mm", description="what `spacing` is in")

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        labels = [metric.label() for metric in self.metrics]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"evaluation.metrics must differ; given twice: {', '.join(twice)}")
        return self

    @property
    def length_unit(self) -> str:
        """What lengths are in."""
        return "pixels" if self.spacing is None else self.unit
