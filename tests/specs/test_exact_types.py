"""What a spec accepts is of the type that is declared: nothing is converted, nothing infinite, nothing that can't be a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segengine.components.losses import Tversky
from segengine.errors import SpecError
from segengine.specs.load import load_experiment, read_experiment
from segengine.yaml_source import parse

BASE = "data: {source: {name: folders, root: data}, classes: [a, b]}\nmodel: {backbone: vgg}\n"


def message(text: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        read_experiment(Path("e.yaml"), BASE + text, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("deterministic: no", "training.deterministic: must be true or false, not 'no'"),
        ("deterministic: off", "training.deterministic: must be true or false, not 'off'"),
        ("deterministic: 1", "training.deterministic: must be true or false, not 1"),
        ('deterministic: "true"', "training.deterministic: must be true or false, not the text 'true'; write it without quotes"),
        ("epochs: true", "training.epochs: must be a whole number, not true"),
        ('epochs: "3"', "training.epochs: must be a whole number, not the text '3'; write it without quotes"),
        ("epochs: 3.5", "training.epochs: must be a whole number, not 3.5"),
        ("clip_norm: .inf", ".inf is not a finite number; write one"),
        ("minutes: 1e999", "1e999 is not a finite number; write one"),
        ("optimizer: {name: adamw, learning_rate: .nan}", ".nan is not a finite number; write one"),
        ("batch_size: true", "training.batch_size: must be auto or a whole number, not true"),
        ("epochs: 10000000000", "training.epochs: must be less than or equal to 1000000000, not 10000000000"),
        ("epochs: !!int many", "'many' is tagged !!int but is not one; write a plain value"),
        (f"epochs: {'9' * 5000}", "a whole number of 5000 digits is too large; the largest is 9223372036854775807"),
        (f"epochs: {'[' * 100}{']' * 100}", "blocks are nested more than 50 deep; is this an experiment file?"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(setting: str, said: str) -> None:
    text = f"training: {{{setting}}}"
    found = message(text)
    assert found.startswith("e.yaml:3:")
    assert found.endswith(f": {said}")


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("[5, 1]", "must be two numbers in ascending order"),
        ("[.nan, 3]", ".nan is not a finite number; write one"),
        ("[1, 1]", "must be two numbers in ascending order"),
    ],
)
def test_a_window_is_two_ascending_numbers(window: str, said: str) -> None:
    assert message(f"# {window}", f"data.window={window}").endswith(said)


def test_whole_floats_are_whole_numbers_as_in_json_schema() -> None:
    loaded = read_experiment(Path("e.yaml"), BASE + "training: {epochs: 1e2, clip_norm: 1}\nseeds: [3.0]")
    assert loaded.variants["default"].training.epochs == 100
    assert type(loaded.variants["default"].training.epochs) is int
    assert loaded.seeds == [3]


def test_components_are_as_strict_in_python() -> None:
    for wrong in (float("inf"), float("nan"), "0.5", True):
        with pytest.raises(ValueError, match="validation error"):
            Tversky(alpha=wrong)


@pytest.mark.parametrize("character", ["\\x1b", "\\x00", "\\x7f", "\\x85", "\\ud800"])
def test_control_characters_are_named_by_their_code(character: str) -> None:
    code = f"U+{int(character[2:], 16):04X}"
    assert message(f'title: "a{character}b"') == f"e.yaml:3:8: the character {code} is not allowed in a text; remove it"


def test_a_raw_control_character_is_named_with_its_place() -> None:
    assert message("title: a\x1b[31mb") == "e.yaml:3:9: the character U+001B is not allowed; remove it"


@pytest.mark.parametrize("name", ['"a\\nb"', '"a\\n"', "a/b", "..", ".hidden", "x" * 101, "-a", "ü"])
def test_a_variant_is_named_as_a_folder_can_be(name: str) -> None:
    assert "is not a valid folder name; use up to 100 letters" in message(f"variants: {{{name}: {{}}}}")


def test_the_longest_name_of_a_variant_makes_a_folder(tmp_path: Path) -> None:
    (tmp_path / f"{'x' * 100}-fold999-seed9223372036854775807-20261231T235959999999").mkdir()


@pytest.mark.parametrize("classes", ['["a\\nb", c]', '["", c]', '["a\\tb", c]'])
def test_a_class_has_a_name_of_one_line(classes: str) -> None:
    assert "data.classes.0: must" in message("# a name", f"data.classes={classes}")


def test_two_runs_never_share_a_folder() -> None:
    text = "variants:\n  a: {data: {split: {folds: 3}}}\n  a-fold0: {}\n"
    assert message(text) == (
        "e.yaml:5:3: variants.a-fold0: the folder of its run a-fold0-seed0 is also that of a run of variant 'a'; rename one"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!bool maybe", "f:1:4: 'maybe' is tagged !!bool but is not one; write a plain value"),
        ("a: !!null x", "f:1:4: 'x' is tagged !!null but is not one; write a plain value"),
        ("a: !!set {x, y}", "f:1:4: the tag tag:yaml.org,2002:set is not allowed; write a plain list or mapping"),
        ("a: !thing [1]", "f:1:4: the tag !thing is not allowed; write a plain list or mapping"),
        ("[" * 5000, "f: blocks are nested more than 50 deep; is this an experiment file?"),
        ('a: "\\U00ffffff"', "f: not valid YAML: chr() arg not in range(0x110000)"),
        ('"\\x1b": 1', "f:1:1: the character U+001B is not allowed in a text; remove it"),
        ('"a\\nb": 1\n"a\\nb": 2', "f:2:1: 'a\\nb' is given twice (first on line 1); remove one"),
    ],
)
def test_tags_and_depths_that_mean_nothing_are_refused(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text, "f")
    assert str(caught.value) == said


@pytest.mark.parametrize("override", ["augmentations.²=flip", f"augmentations.{'9' * 5000}.p=1"])
def test_a_position_is_a_plain_number(override: str) -> None:
    assert message("augmentations: [flip]", override).endswith("augmentations is a list of 1; use an index from 0 to 0")


def test_an_endless_or_blocking_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        with pytest.raises(SpecError, match="is not a regular file; an experiment is a YAML file"):
            load_experiment(path)
    with pytest.raises(SpecError, match="is a directory; an experiment is a YAML file"):
        load_experiment(tmp_path)
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(SpecError, match=r"has 8,589,934,592 bytes; is this an experiment file\?"):
        load_experiment(huge)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"title: \xe9")
    with pytest.raises(SpecError, match=r"is not UTF-8 text \(byte 7\); save it as UTF-8"):
        load_experiment(latin)
