"""Declaration of a component class: each mistake is one finding with its fix."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from segengine.plugin import Augmentation, Component, Schedule, Tracker
from segengine.testing import check, findings


class Good(Schedule):
    """The peak rate, always."""

    name: Literal["good"] = "good"

    def factor(self, step, total_steps):
        return 1.0


def test_a_good_class_has_no_findings():
    assert findings(Good) == []
    check(Good)


def test_all_findings_are_reported_together():
    class Bad(Schedule):
        name: Literal["Bad_Name"] = "Bad_Name"
        power: float = 1.0

        def factor(self, step, total_steps):
            return 2.0

    with pytest.raises(AssertionError) as caught:
        check(Bad)
    assert str(caught.value).splitlines() == [
        "Bad has 4 findings:",
        'Bad: docstring is missing; describe in one sentence what it does: """Blurs the image."""',
        "Bad: name 'Bad_Name' must consist of lower-case letters, digits and single hyphens; write 'bad-name'",
        'Bad: field `power` has no description; write Field(description="meaning and unit")',
        "Bad: the factor at step 0 of 1 is 2.0; return a fraction of the peak rate, 0..1",
    ]


@pytest.mark.parametrize("thing", [int, 3, Component, Schedule])
def test_an_object_that_is_not_a_component_is_one_finding(thing):
    (line,) = findings(thing)
    assert "is not a component; derive it from one class of segengine.plugin: Backbone, Decoder" in line


def test_the_first_line_is_a_sentence():
    class Long(Good):
        """The peak rate, always,
        whatever the step is.
        """

    assert findings(Long) == [
        "Long: docstring's first line 'The peak rate, always,' does not end with a full stop; write one sentence on one line"
    ]


def test_the_name_is_a_literal_with_itself_as_default():
    class Loose(Good):
        """The peak rate, always."""

        name: str = "loose"  # type: ignore[assignment]

    assert findings(Loose) == [
        'Loose: `name` must be a Literal with its value as default; write name: Literal["loose"] = "loose"'
    ]


def test_fields_of_nested_models_are_described_too():
    class Part(BaseModel):
        share: float = 0.5

    class Nested(Good):
        """The peak rate, always."""

        part: Part = Field(default=Part(), description="a part")

    assert findings(Nested) == [
        'Nested: field `share` of Part has no description; write Field(description="meaning and unit")'
    ]


def test_unknown_settings_must_be_rejected_and_components_frozen():
    class Open(Good, extra="allow", frozen=False):
        """The peak rate, always."""

    assert findings(Open) == [
        "Open: model_config sets frozen=False; keep the default True",
        "Open: model_config sets extra='allow'; keep the default 'forbid'",
    ]


def test_build_has_the_parameters_of_its_kind():
    class Old(Augmentation):
        """Does nothing."""

        name: Literal["old"] = "old"

        def build(self, height, width):
            return None

    assert findings(Old) == [
        "Old: build() has the wrong parameters; write def build(self, *, size: tuple[int, int] | None) -> Transform"
    ]


def test_a_missing_build_is_named():
    class Empty(Tracker):
        """Listens to nothing."""

        name: Literal["empty"] = "empty"

    assert findings(Empty) == ["Empty: build() is missing; write def build(self, *, folder: Path) -> Any"]


def test_required_fields_must_be_given():
    class Needy(Good):
        """The peak rate, always."""

        power: float = Field(description="exponent")

    assert findings(Needy) == ["Needy: power must be given; call check(Needy, {'power': ...})"]
    assert findings(Needy, {"power": 1}) == []
    (line,) = findings(Needy, {"power": "much"})
    assert line.startswith("Needy: validation fails: power: Input should be a valid number")


def test_fields_that_yaml_loses_are_named():
    class Secret(Good):
        """The peak rate, always."""

        hidden: int = Field(default=1, exclude=True, description="a number")

    assert findings(Secret, {"hidden": 2}) == [
        "Secret: fields that change in a round trip through YAML: hidden; use types that YAML has: numbers, strings, lists, mappings"
    ]


def test_an_exception_is_a_finding_with_the_requirement():
    class Raising(Good):
        """The peak rate, always."""

        def factor(self, step, total_steps):
            raise KeyError("lost")

        def preflight(self):
            raise SystemExit(3)

    assert findings(Raising) == [
        "Raising: raises SystemExit: 3; requirement: The preflight check raises no error for these parameters",
        "Raising: raises KeyError: 'lost'; requirement: The factor is a finite number in 0..1 at every step, and not 0 at all of them",
    ]


def test_heavy_imports_are_named_with_their_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = '''
import matplotlib
from typing import Literal
from segengine.plugin import Schedule

class Heavy(Schedule):
    """The peak rate, always."""
    name: Literal["heavy"] = "heavy"
    def factor(self, step, total_steps):
        return 1.0
'''
    (tmp_path / "heavy_schedule_plugin.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    from heavy_schedule_plugin import Heavy

    assert findings(Heavy) == [
        "Heavy: importing heavy_schedule_plugin also imports matplotlib; import it inside build(), or in a module that build() imports"
    ]


def test_an_installed_component_passes_a_round_trip_through_a_spec(install):
    code = '''
from typing import Literal
from pydantic import Field
from segengine.plugin import Schedule

class Flat(Schedule):
    """The same share of the peak rate, always."""
    name: Literal["flat"] = "flat"
    share: float = Field(default=0.5, description="share of the peak rate")
    def factor(self, step, total_steps):
        return self.share
'''
    install("acme-flat", {"schedules": {"flat": "acme_flat:Flat"}}, code)
    from segengine.components.lookup import component_class

    assert findings(component_class("schedules", "acme-flat/flat")) == []
