from __future__ import annotations

import pytest

from segengine.errors import SpecError
from segengine.yaml_source import Position, parse


def test_a_number_in_exponent_notation_is_a_number() -> None:
    assert parse("a: 3e-4\nb: 1.5\nc: -2\nd: .5\ne: 1E3", "x").data == {
        "a": 3e-4,
        "b": 1.5,
        "c": -2,
        "d": 0.5,
        "e": 1000.0,
    }


def test_words_of_older_yaml_stay_words() -> None:
    assert parse("a: on\nb: no\nc: true\nd: null\ne: ~\nf:\ng: 012\nh: 1:30", "x").data == {
        "a": "on", "b": "no", "c": True, "d": None, "e": None, "f": None, "g": 12, "h": "1:30",
    }  # fmt: skip


def test_keys_and_values_have_positions() -> None:
    source = parse("model:\n  backbone: {name: vgg}\nlist:\n  - a: 1\n", "x.yaml")
    assert source.keys[("model", "backbone")] == Position(2, 3)
    assert source.values[("model", "backbone", "name")] == Position(2, 20)
    assert source.where(("list", 0, "a")) == "x.yaml:4:8"
    assert source.where(("model", "backbone", "missing")) == "x.yaml:2:13"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: 'a' is given twice (first on line 1); remove one"),
        (
            "a: [1, 2",
            "f.yaml:1:9: not valid YAML: expected ',' or ']', but got '<stream end>'; check indentation, colons and quotes",
        ),
        (
            "a: !!python/name:os.system x",
            "f.yaml:1:4: the tag tag:yaml.org,2002:python/name:os.system is not allowed; write a plain value",
        ),
        (
            "a: &x {b: 1}\nc:\n  <<: *x",
            "f.yaml:3:3: merge keys are not supported; write the settings out, or use variants",
        ),
        ("a: &x [*x]", "f.yaml:1:4: an alias refers to the block it is in; write the block out"),
        ("? [1, 2]\n: 3", "f.yaml:1:3: a key must be a plain word"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text, "f.yaml")
    assert str(caught.value) == message


def test_a_small_file_can_not_blow_up() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(7)
    )
    with pytest.raises(SpecError, match="more than 100000 values"):
        parse(bomb, "bomb.yaml")
