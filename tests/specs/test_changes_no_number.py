from typing import Annotated

from pydantic import Field

from segengine.comparison.confounders import FREE
from segengine.components.settings import ChangesNoNumber, Settings, paths_that_change_no_number
from segengine.specs.experiment import CHANGE_NO_NUMBER
from segengine.training.request import differences


class Inner(Settings):
    speed: Annotated[int, ChangesNoNumber()] = 1
    size: int = 1


class Outer(Settings):
    inner: Inner = Inner()
    block: Annotated[dict[str, int], ChangesNoNumber(keys=("here", "there"))] = Field(default={})
    text: str = ""


def test_marks_are_found_at_their_paths():
    assert paths_that_change_no_number(Outer) == {("inner", "speed"), ("block", "here"), ("block", "there")}


def test_settings_that_change_no_number_are_those_marked_on_the_fields():
    assert {
        ("title",), ("trackers",), ("data", "cache"), ("data", "source", "root"), ("training", "workers"),
        ("training", "gradient_checkpointing"), ("training", "checkpoint_every"), ("evaluation", "cost"),
        ("evaluation", "metrics"), ("evaluation", "spacing"), ("evaluation", "unit"),
    } == CHANGE_NO_NUMBER  # fmt: skip


def test_resuming_and_comparing_read_the_same_marks():
    assert CHANGE_NO_NUMBER < FREE
    for path in CHANGE_NO_NUMBER:
        old, new = 1, 2
        for key in reversed(path):
            old, new = {key: old}, {key: new}
        assert list(differences(old, new)) == []
    assert list(differences({"training": {"epochs": 1}}, {"training": {"epochs": 2}})) == ["training.epochs: 1 -> 2"]
