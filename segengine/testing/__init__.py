"""Conformance checks for plugin authors: in a test, `check(MyComponent)` reports all problems and how to fix them.

`segengine plugins check` runs the same checks on installed components; the built-in components are tested with them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segengine.components.base import Component
from segengine.testing.conformance import findings
from segengine.testing.samples import sample_folder


def check(
    component_class: type[Component], parameters: Mapping[str, Any] | None = None, *, folder: Path | None = None
) -> None:
    """Check a component class of any kind: its declaration, the object that it builds, and that object's behaviour.

    Args:
        component_class: the class that the entry point refers to.
        parameters: settings of the component; required if fields have no default, useful to make the checks faster.
        folder: input files for kinds that read files, such as the masks that a mask mapper is checked with (by default small
            generated ones) or files of a reader's format.

    Raises:
        AssertionError: the component has findings; the message has one line per finding.
    """
    found = findings(component_class, parameters, folder=folder)
    if found:
        raise AssertionError("\n".join([f"{component_class.__name__} has {len(found)} findings:", *found]))


__all__ = ["check", "findings", "sample_folder"]
