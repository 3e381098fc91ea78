"""The settings of one experiment."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from segengine.components.base import Component
from segengine.components.choices import AnyAugmentation, AnyExecutor, AnyLoss, AnyTracker
from segengine.components.settings import ChangesNoNumber, Settings, paths_that_change_no_number
from segengine.specs.sections import DataSection, EvaluationSection, ModelSection, TrainingSection

FOLDER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")
"""Names of experiments and variants, which are valid folder names on all systems. Use `fullmatch`."""
OF_THE_FILE = ("name", "title", "seeds", "executor", "variants")
"""Settings of the file that a variant can't change."""


Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _one_seed(value: Any) -> Any:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


class Experiment(Settings):
    """One variant of an experiment file, with all defaults."""

    name: str | None = Field(
        default=None,
        pattern=FOLDER_NAME.pattern,
        description="the experiment's folder under runs/; the file's name unless given",
    )
    title: Annotated[str, ChangesNoNumber()] = Field(
        default="", description="title of the experiment in tables and reports"
    )
    data: DataSection = Field(description="images, masks and the meaning of mask values")
    augmentations: list[AnyAugmentation] = Field(
        default=[], description="random changes of training samples, in this order"
    )
    model: ModelSection = Field(description="the network: a backbone and a decoder")
    loss: AnyLoss = Field(default={"name": "cross-entropy"}, description="what training minimises")  # type: ignore[assignment]
    training: TrainingSection = Field(default=TrainingSection(), description="how the network is trained")
    evaluation: EvaluationSection = Field(
        default=EvaluationSection(), description="classes, metrics and units of the scores"
    )
    trackers: Annotated[list[AnyTracker], ChangesNoNumber()] = Field(
        default=[], description="listeners to the run's events, such as experiment trackers"
    )
    executor: AnyExecutor = Field(
        default={"name": "local"},  # type: ignore[assignment]
        description="where the runs of the file execute; affects no result and is not stored in a run's spec.yaml",
    )
    seeds: Annotated[
        Annotated[list[Seed], Field(min_length=1)],
        BeforeValidator(_one_seed, json_schema_input_type=Seed | Annotated[list[Seed], Field(min_length=1)]),
    ] = Field(default=[0], description="one run of each variant for each seed; a number is a single seed")
    variants: dict[str, dict[str, Any] | None] | None = Field(
        default={},
        description="named changes of this file, merged key by key; a block that gives a `name` replaces the block",
    )

    @model_validator(mode="after")
    def _seeds_and_names(self) -> Self:
        duplicates = sorted({seed for seed in self.seeds if self.seeds.count(seed) > 1})
        if duplicates:
            raise ValueError(f"seeds must be unique; duplicates: {', '.join(map(str, duplicates))}")
        unknown = (
            set(self.evaluation.leave_out) - {*(self.data.classes or ()), *getattr(self.data.mask_mapper, "merge", ())}
            if self.data.classes and self.evaluation.leave_out != "auto"
            else ()
        )
        if unknown:
            raise ValueError(
                f"evaluation.leave_out has unknown classes: {', '.join(sorted(unknown))}; classes are {', '.join(self.data.classes or ())}"
            )
        return self

    def components(self) -> list[Component]:
        """All components of the experiment, including nested ones."""
        chosen = [
            self.data.source, self.data.mask_mapper, *self.augmentations, self.model.backbone, self.model.decoder,
            self.loss, self.training.optimizer, self.training.schedule, *self.evaluation.metrics, *self.trackers,
        ]  # fmt: skip
        return [part for component in chosen for part in component.parts()]


CHANGE_NO_NUMBER = paths_that_change_no_number(Experiment)
"""Settings that change no result of a run, as marked on their fields; the data is compared by its fingerprint."""
