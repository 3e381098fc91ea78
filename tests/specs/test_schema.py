from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from segengine.components.base import KINDS
from segengine.components.lookup import registry
from segengine.specs.schema import experiment_schema
from segengine.yaml_source import parse

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made, broken = experiment_schema()
    assert broken == []
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def errors(schema: dict[str, Any], data: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(data)]


def data_of(path: Path) -> Any:
    return parse(path.read_text(), str(path)).data


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_shipped_experiment_fits_the_schema(schema: dict[str, Any], path: Path) -> None:
    assert errors(schema, data_of(path)) == []


def test_the_schema_knows_every_installed_component_and_its_parameters(schema: dict[str, Any]) -> None:
    for kind in KINDS:
        for name in registry(kind).names():
            block = schema["$defs"][f"{kind}.{name}"]
            assert block["additionalProperties"] is False
            assert all("description" in field for field in block["properties"].values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["training"].update(epoks=3), "epoks"),
        (lambda d: d["model"].update(decoder="unett"), "unett"),
        (lambda d: d["model"]["backbone"].update(depth=12), "depth"),
        (lambda d: d["variants"]["resnet18"].update(modle={}), "modle"),
        (lambda d: d["variants"]["resnet18"].update(seeds=[1]), "seeds"),
        (lambda d: d["augmentations"].append({"name": "flip", "horizontl": 1}), "horizontl"),
        (lambda d: d.update(loss={"name": "weighted-sum", "terms": [{"loss": "dcie"}]}), "dcie"),
    ],
)
def test_the_schema_refuses_what_validation_refuses(
    schema: dict[str, Any], change: Callable[[Any], Any], words: str
) -> None:
    data = data_of(ROOT / "experiments" / "abdomen.yaml")
    change(data)
    assert any(words in message for message in errors(schema, data))


def test_a_variant_may_change_parameters_without_naming_the_component(schema: dict[str, Any]) -> None:
    data = data_of(ROOT / "experiments" / "abdomen.yaml")
    data["variants"] = {"deep": {"model": {"backbone": {"depth": 19}}, "training": {"epochs": 3}}, "none": None}
    assert errors(schema, data) == []
