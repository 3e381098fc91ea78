"""Conformance checks for plugin authors: `check(MyComponent)` in a test says all that is wrong, and what to write.

`segengine plugins check` runs the same on what is installed; segengine's own components pass it too.
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
    """Check a component class of any kind: what it declares, what it builds, and what that does.

    Args:
        component_class: the class behind the entry point.
        parameters: settings to construct it with; needed where fields have no default, welcome where others are faster.
        folder: files for kinds that read them: masks that a mask mapper is tried on instead of small made-up ones, or files
            of a reader's format.

    Raises:
        AssertionError: all findings, a line each.
    """
    found = findings(component_class, parameters, folder=folder)
    if found:
        raise AssertionError("\n".join([f"{component_class.__name__} has {len(found)} findings:", *found]))


__all__ = ["check", "findings", "sample_folder"]
