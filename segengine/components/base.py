"""Base classes of components: a frozen pydantic class with a name, parameters and a `build` method.

The class is the schema, the documentation and the factory. A subclass declares
`name: Literal["..."] = "..."`, a docstring, and a `description` on each field; `build` imports what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from segengine.components.settings import Settings

if TYPE_CHECKING:
    import torch

    from segengine.components.jobs import Execute
    from segengine.data.augment.transforms import Transform
    from segengine.data.files.stored import FileReader
    from segengine.data.masks.mapping import Mapper, MaskSurvey, Postprocess
    from segengine.data.sources.records import Record
    from segengine.metrics.pairs import ImageMetric
    from segengine.nn.contracts import BackboneModule, DecoderModule


class Component(Settings):
    """A named block of parameters. `kind` is the registry of the component."""

    kind: ClassVar[str]
    name: str

    @field_validator("*", mode="after")
    @classmethod
    def _path_from_the_file(cls, value: Any, info: ValidationInfo) -> Any:
        """A relative path is relative to the experiment file's folder, whatever the working directory is."""
        if isinstance(value, list | tuple):
            return type(value)(cls._path_from_the_file(item, info) for item in value)
        if not isinstance(value, Path):
            return value
        if str(value).startswith("~"):
            raise ValueError(
                f"'{value}' is not expanded; write the full path, or a path relative to the experiment file"
            )
        base = (info.context or {}).get("base_folder")
        return value if base is None or value.is_absolute() else Path(base) / value

    def preflight(self) -> None:
        """Checks that need heavy imports or file access, run before any data is read.

        Raises:
            SpecError, DataError or RegistryError: one line with the problem and the remedy.
        """

    def parts(self) -> Iterator[Component]:
        """The component itself and all components in its fields, depth first."""
        yield self
        for value in (getattr(self, field) for field in type(self).model_fields):
            for item in value if isinstance(value, list | tuple) else (value,):
                if isinstance(item, Component):
                    yield from item.parts()

    @classmethod
    def title(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""


class Backbone(Component):
    """Turns images into feature maps at several strides."""

    kind = "backbones"

    def build(self, *, in_channels: int, output_stride: int = 32) -> BackboneModule:
        """A module: normalised float32 [B, in_channels, H, W] -> list of [B, channels[i], H/strides[i], W/strides[i]]."""
        raise NotImplementedError(type(self).__name__)


class Decoder(Component):
    """Turns feature maps into one map of features for the classifier."""

    kind = "decoders"

    @property
    def wanted_stride(self) -> int:
        """The output stride required of the backbone (32, or 16 or 8 for dilated backbones)."""
        return 32

    def build(self, *, channels: Sequence[int], strides: Sequence[int]) -> DecoderModule:
        """A module: the backbone's list -> [B, out_channels, H/stride, W/stride]."""
        raise NotImplementedError(type(self).__name__)


class Loss(Component):
    """What training minimises."""

    kind = "losses"

    def build(self, *, num_classes: int, ignore_index: int, class_pixels: Sequence[int]) -> torch.nn.Module:
        """A module: logits float32 [B, K, H, W], target int64 [B, H, W] (ignore_index where ignored) -> scalar.

        `class_pixels` holds the number of training pixels of each class. For a batch without a valid pixel the loss is 0.
        """
        raise NotImplementedError(type(self).__name__)


class MaskMapper(Component):
    """Turns the user's mask values into classes 0..K-1, and back."""

    kind = "mask_mappers"

    def build(self, *, classes: Sequence[str] | None, found: MaskSurvey) -> Mapper:
        """The mapper for masks with the survey `found`; `classes` are the user's class names, if given."""
        raise NotImplementedError(type(self).__name__)


class Augmentation(Component):
    """A random change of an image and its mask in training."""

    kind = "augmentations"

    def build(self, *, size: tuple[int, int] | None) -> Transform:
        """The transform for samples of `size` (height, width), None if sizes differ.

        It moves a sample's pixels (`draw`), changes them (`apply`), or mixes the images of a batch (`apply_batch`).
        """
        raise NotImplementedError(type(self).__name__)


class Source(Component):
    """Where images and masks come from."""

    kind = "sources"

    def build(self) -> list[Record]:
        """One record per image, sorted by id."""
        raise NotImplementedError(type(self).__name__)


class Reader(Component):
    """Reads image and mask files of one format.

    `name` lists the suffixes, without the leading dot and separated by hyphens: `nrrd-nhdr` reads .nrrd and .nhdr.
    `signatures`: leading bytes of the files, "?" matches any byte; empty for formats without. `holds`: a file has one
    image, one or several pages, or the slices of a volume. A reader has no settings.
    """

    kind = "readers"
    signatures: ClassVar[tuple[bytes, ...]] = ()
    holds: ClassVar[Literal["image", "pages", "volume"]] = "image"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes that the name lists, with the leading dot."""
        from segengine.data.files.plugin_readers import suffixes_of_name

        return suffixes_of_name(self.name)

    def build(self) -> FileReader:
        """An object with `read(path, content)`, and with `read_pages` or `read_volume` as declared by `holds`."""
        raise NotImplementedError(type(self).__name__)


class Optimizer(Component):
    """The optimizer of the network's weights."""

    kind = "optimizers"

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate that schedules scale."""
        raise NotImplementedError(type(self).__name__)

    def build(self, *, parameters: Sequence[dict[str, Any]], fused: bool = False) -> torch.optim.Optimizer:
        """The optimizer over parameter groups (`params`, optional `weight_decay` and `lr`)."""
        raise NotImplementedError(type(self).__name__)


class Schedule(Component):
    """The learning-rate schedule over the steps of a run."""

    kind = "schedules"

    def factor(self, step: int, total_steps: int) -> float:
        """The multiple of the peak learning rate at `step` of `total_steps` (0-based)."""
        raise NotImplementedError(type(self).__name__)

    def build(self, *, optimizer: torch.optim.Optimizer, total_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """A scheduler, stepped once per optimizer step."""
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, lambda step: self.factor(step, total_steps))


class Tracker(Component):
    """Receives a run's events; has no access to the model."""

    kind = "trackers"

    def build(self, *, folder: Path) -> Any:
        """A listener: a callable invoked with each event of the run in `folder`."""
        raise NotImplementedError(type(self).__name__)


class Executor(Component):
    """Where the runs of a study execute."""

    kind = "executors"

    def build(self) -> Execute:
        """A callable (jobs, context) that yields a JobEnded per job; see `segengine.components.jobs`."""
        raise NotImplementedError(type(self).__name__)


class Exporter(Component):
    """Exports a trained segmenter to another format. `suffix` is the suffix of its files."""

    kind = "exporters"
    suffix: ClassVar[str] = ""

    def build(self) -> Any:
        """A callable (job, path) that writes the file; `job` has the trained network, its metadata and calibration images."""
        raise NotImplementedError(type(self).__name__)


class Postprocessor(Component):
    """Changes predicted class maps, such as removing small objects. `postprocess fit` decides whether it helps a run."""

    kind = "postprocessors"

    def build(self, *, classes: Sequence[str], spacing: tuple[float, float] | None = None) -> Postprocess:
        """A callable: class map uint8 [H, W], 0..K-1, 255 = ignore -> class map of the same size; ignored pixels stay.

        `classes`: names of the classes by index; `spacing`: (row, column) distance of pixels, None if unknown.
        """
        raise NotImplementedError(type(self).__name__)


MetricNeeds = Literal["classes", "probabilities"]


class Metric(Component):
    """A value per image and class (or per image), in addition to the scores computed from counts.

    `needs`: "probabilities" if the metric uses them; computing them costs time and memory. `better`: whether higher or lower
    values are better. `length`: values are lengths in the spacing's unit, else fractions from 0 to 1. `by_class`: one value
    per class, else one per image. `words`: display name in tables, without settings; default: the name.
    """

    kind = "metrics"
    needs: ClassVar[MetricNeeds] = "classes"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    length: ClassVar[bool] = False
    by_class: ClassVar[bool] = True
    words: ClassVar[str] = ""

    def build(self) -> ImageMetric:
        """A callable: one image's truth and prediction (ImagePair) -> float64 [K] (or [1]), NaN where undefined.

        A value must not depend on classes outside `measured` or on ignored pixels, and is never infinite.
        """
        raise NotImplementedError(type(self).__name__)

    def label(self) -> str:
        """The name with all non-default settings, as used in file names: `hd95`, `nsd-tolerance-2`."""
        parts = [self.name]
        for field, facts in type(self).model_fields.items():
            value = getattr(self, field)
            if field != "name" and (facts.is_required() or value != facts.get_default(call_default_factory=True)):
                parts.append(f"{field}-{value:g}" if isinstance(value, float) else f"{field}-{value}")
        return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts)).strip("-")


class RelativePath:
    """Marker in `Annotated` for a text field that may be a path; on the command line it is relative to the working directory."""


KINDS: dict[str, type[Component]] = {
    base.kind: base
    for base in (
        Backbone, Decoder, Loss, MaskMapper, Augmentation, Source, Reader, Optimizer, Schedule, Tracker, Executor, Exporter,
        Postprocessor, Metric,
    )
}  # fmt: skip
