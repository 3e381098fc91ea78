"""Every number of every component has bounds, and infinity, NaN and booleans are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from segengine.components.base import KINDS, Component, Loss
from segengine.components.lookup import checked_class, component_class, registry
from segengine.components.schedules import StepDecay
from tests.training.small import segengine, write_problem

BUILT_IN = [
    checked_class(provider) for kind in KINDS for provider in registry(kind).providers if provider.built_in
]  # fmt: skip


def numbers(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each number in a JSON Schema, with its place."""
    if isinstance(schema, Mapping):
        if schema.get("type") in ("number", "integer") and "const" not in schema and "enum" not in schema:
            yield path, schema
        for key, value in schema.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from numbers(value, f"{path}/{index}")


def fields() -> Iterator[tuple[type[Component], str, Mapping[str, Any]]]:
    for cls in BUILT_IN:
        for path, schema in numbers(cls.model_json_schema()):
            yield cls, path, schema


OWN_CHECK = {("step", "/properties/milestones/items")}
"""Checked by a validator that knows the likely mistake."""


@pytest.mark.parametrize(("cls", "path", "schema"), [pytest.param(*f, id=f"{f[0].__name__}{f[1]}") for f in fields()])
def test_every_number_of_a_built_in_component_has_two_bounds(
    cls: type[Component], path: str, schema: Mapping[str, Any]
) -> None:
    if (cls.model_fields["name"].default, path) in OWN_CHECK:
        return
    assert {"minimum", "exclusiveMinimum"} & set(schema), "has no lower bound"
    assert {"maximum", "exclusiveMaximum"} & set(schema), "has no upper bound"


REFUSED = [
    ("optimizers", "adamw", {"learning_rate": math.inf}), ("optimizers", "adamw", {"learning_rate": math.nan}),
    ("optimizers", "adamw", {"learning_rate": "inf"}), ("optimizers", "adamw", {"learning_rate": True}),
    ("optimizers", "adamw", {"betas": [0.9, 1.0]}), ("optimizers", "adam", {"betas": [-0.1, 0.9]}),
    ("optimizers", "adamw", {"betas": [0.9, math.nan]}), ("optimizers", "adamw", {"betas": [True, 0.9]}),
    ("optimizers", "adamw", {"weight_decay": math.inf}), ("optimizers", "sgd", {"momentum": 1.0}),
    ("optimizers", "sgd", {"nesterov": 2}),
    ("schedules", "step", {"milestones": [0.5, math.nan]}), ("schedules", "step", {"milestones": []}),
    ("schedules", "step", {"milestones": [0.8, 0.3]}), ("schedules", "step", {"milestones": [0.0, 0.3]}),
    ("schedules", "step", {"milestones": [-30, 80]}), ("schedules", "poly", {"power": math.inf}),
    ("losses", "tversky", {"alpha": 0, "beta": 0}), ("losses", "focal", {"gamma": math.inf}),
    ("losses", "cross-entropy", {"class_weights": [0, 0]}), ("losses", "cross-entropy", {"class_weights": [1, math.inf]}),
    ("losses", "weighted-sum", {"terms": [{"loss": "dice", "weight": 0}]}),
    ("losses", "weighted-sum", {"terms": [{"loss": "dice", "weight": math.inf}]}),
    ("augmentations", "multi-scale", {"scale": [0.5, math.inf]}), ("augmentations", "rotate", {"degrees": math.nan}),
    ("augmentations", "multi-scale", {"scale": [0, 1]}), ("augmentations", "crop", {"size": 10**9}),
    ("augmentations", "flip", {"horizontal": True}), ("augmentations", "cutmix", {"alpha": math.inf}),
    ("augmentations", "albumentations", {"transform": "Affine", "parameters": {"scale": {"x": [1.0, math.inf]}}}),
    ("decoders", "deeplabv3-plus", {"atrous_rates": [6, 12, 10**6]}), ("decoders", "unet", {"channels": [10**7] * 5}),
    ("metrics", "nsd", {"tolerance": math.inf}), ("executors", "ray", {"gpus": math.inf}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "given"), REFUSED, ids=str)
def test_numbers_that_mean_nothing_are_refused(kind: str, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        component_class(kind, name).model_validate(given)


@pytest.mark.parametrize(
    ("milestones", "likely"),
    [((30, 80), "[0.3, 0.8]"), ((0.3, 80), "[0.003, 0.8]"), ((1,), "[0.1]"), ((100, 150), "[0.1, 0.15]")],
)
def test_epochs_given_as_milestones_are_refused_with_the_shares_that_may_be_meant(
    milestones: tuple[float, ...], likely: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        StepDecay(milestones=milestones)
    assert raised.value.errors()[0]["msg"].endswith(
        f"milestones are fractions of training, above 0 and below 1; {likely}?"
    )


def test_a_plugins_numbers_are_finite_without_its_doing() -> None:
    class Theirs(Loss):
        """A plugin's loss."""

        name: Literal["theirs"] = "theirs"
        power: float = Field(default=1.0, description="power")
        table: dict[str, list[float]] = Field(default={}, description="table")
        flag: bool | float = Field(default=False, description="either")

    for given in ({"power": math.inf}, {"power": True}, {"table": {"a": [1.0, math.nan]}}, {"flag": math.inf}):
        with pytest.raises(ValidationError):
            Theirs.model_validate(given)
    assert Theirs(flag=True, power=-3, table={"a": [1.0]}).flag is True


def test_validate_names_the_line_and_what_is_wrong(tmp_path: Any) -> None:
    write_problem(tmp_path)
    done = segengine(
        "validate", "blobs.yaml", "-s", "training.optimizer={name: adamw, learning_rate: true, betas: [0.9, 1.0]}",
        "-s", "training.schedule={name: step, milestones: [30, 80]}", folder=tmp_path,
    )  # fmt: skip
    assert done.code == 2
    assert "training.optimizer.learning_rate: must be a number, not true" in done.err
    assert "training.optimizer.betas.1: must be less than 1, not 1.0" in done.err
    assert (
        "training.schedule.milestones: milestones are fractions of training, above 0 and below 1; [0.3, 0.8]?"
        in done.err
    )
