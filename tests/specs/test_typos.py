"""One-character typos in the shipped experiment files: all caught before data is read, nearly all with the right word."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from segengine.errors import SpecError
from segengine.specs.load import load_experiment

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "experiments").glob("*.yaml"))
FREE = {"title", "vgg11", "resnet18", "vgg13", "vgg16", "resnet34", "vgg", "resnet"}  # variants are named by the user
NAME = re.compile(
    r"(?<![\w./-])([a-z][a-z0-9_-]+)(?=:[ \n])|(?<=name: )([a-z][a-z0-9-]+)|(?<=loss: )([a-z-]+)|(?<=decoder: )([a-z0-9-]+)"
)


def places(path: Path) -> list[tuple[int, int, str]]:
    """Beginning, end and text of each key and component name, outside of comments."""
    text = path.read_text()
    found = []
    for match in NAME.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "#" not in line and match[0] not in FREE and '"' not in line:
            found.append((match.start(), match.end(), match[0]))
    return found


def typo(word: str, dice: random.Random) -> str:
    """The word with one character missing, doubled, replaced or exchanged with its neighbour."""
    i = dice.randrange(len(word) - 1) if len(word) > 1 else 0
    kinds = [
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
        word[:i] + dice.choice("abcdefghijklmnopqrstuvwxyz") + word[i + 1 :],
        word[:i] + word[i + 1] + word[i] + word[i + 2 :],
    ]
    return dice.choice([kind for kind in kinds if kind not in (word, "")])


def cases(count: int = 40) -> list[tuple[Path, int, int, str, str]]:
    dice = random.Random(2026)
    everything = [(path, *place) for path in SPECS for place in places(path)]
    chosen = dice.sample(everything, count)
    return [(path, begin, end, word, typo(word, dice)) for path, begin, end, word in chosen]


def test_forty_typos_are_caught_before_data_is_read_and_most_with_the_right_suggestion(tmp_path: Path) -> None:
    suggested, missed = 0, []
    for path, begin, end, word, wrong in cases():
        text = path.read_text()
        (tmp_path / path.name).write_text(text[:begin] + wrong + text[end:])
        with pytest.raises(SpecError) as caught:
            load_experiment(tmp_path / path.name)  # the data folder doesn't exist here
        if f"'{word}'" in str(caught.value):
            suggested += 1
        else:
            missed.append(f"{path.name}: {word} -> {wrong}: {caught.value}")
    assert suggested >= 36, "\n".join(missed)
