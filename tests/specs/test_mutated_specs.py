"""Whatever stands in an experiment file: a message or an experiment, and the editor's schema says the same."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from segengine.errors import SpecError
from segengine.specs.experiment import Experiment
from segengine.specs.load import LoadedExperiment, read_experiment
from segengine.specs.schema import experiment_schema
from segengine.yaml_source import parse
from tests.specs.drawn import GOOD, Drawer, mutated_data, mutated_text

SEED = int(os.environ.get("SEGENGINE_TEST_SEED", "0"))
NUMBERS = [pytest.param(25, id="few"), pytest.param(300, id="many", marks=pytest.mark.slow)]
ACROSS_SETTINGS = {"value_error", "weights", "class_weights"}
"""Errors of rules that no JSON Schema expresses, which components raise themselves."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return experiment_schema()[0]


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(text: str) -> LoadedExperiment | str:
    """The experiment, or the message; any other error fails the test."""
    with within(20):
        try:
            return read_experiment(Path("test.yaml"), text)
        except SpecError as error:
            message = str(error)
    assert message
    assert all(line.startswith("test.yaml") for line in message.splitlines()), message
    assert "[type=" not in message
    return message


def editor_errors(schema: dict[str, Any], data: Any) -> list[str]:
    return [error.message[:200] for error in jsonschema.Draft202012Validator(schema).iter_errors(data)]


def kinds_of_errors(data: Any) -> set[str]:
    try:
        Experiment.model_validate(data)
    except ValidationError as error:
        return {detail["type"] for detail in error.errors()}
    return set()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_mutated_text_is_refused_in_words_or_accepted_by_editors_too(schema: dict[str, Any], number: int) -> None:
    draw, accepted = random.Random(f"text {SEED}"), 0
    for _ in range(number):
        text = mutated_text(draw)
        if not isinstance(outcome(text), str):
            accepted += 1
            assert editor_errors(schema, parse(text, "test.yaml").data) == [], text
    assert 0 < accepted < number


@pytest.mark.parametrize("number", NUMBERS)
def test_mutated_settings_are_judged_alike_by_validation_and_by_editors(schema: dict[str, Any], number: int) -> None:
    draw, accepted = random.Random(f"data {SEED}"), 0
    good = parse(GOOD, "test.yaml").data
    for _ in range(number):
        data = mutated_data(draw, good)
        text = json.dumps(data)
        found = outcome(text)
        if not isinstance(found, str):
            accepted += 1
            assert editor_errors(schema, data) == [], text
    assert 0 < accepted < number


@pytest.mark.parametrize("number", NUMBERS)
def test_what_the_schema_allows_validation_accepts_but_for_rules_across_settings(
    schema: dict[str, Any], number: int
) -> None:
    draw, accepted = random.Random(f"schema {SEED}"), 0
    for _ in range(number):
        data = Drawer(draw, schema)({**schema["else"], "type": "object"})
        assert editor_errors(schema, data) == []
        kinds = kinds_of_errors(data)
        assert not kinds or kinds & ACROSS_SETTINGS, json.dumps(data)  # a union names the errors of all its branches
        accepted += not kinds
        assert isinstance(outcome(json.dumps(data)), str) == bool(kinds)
    assert accepted > number // 10
