"""All checks of a component class, in order: its declaration, then the contract of its kind."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segengine.components.base import KINDS, Component
from segengine.testing import declaration
from segengine.testing.lightness import imports_nothing_heavy
from segengine.testing.subject import Check, Subject, run_check, run_checks

_MODULES = {
    "backbones": "backbones",
    "decoders": "decoders",
    "losses": "losses",
    "mask_mappers": "mask_mappers",
    "augmentations": "augmentations",
    "sources": "sources",
    "readers": "readers",
    "optimizers": "optimizers",
    "schedules": "schedules",
    "metrics": "metrics",
    "trackers": "outputs",
    "executors": "outputs",
    "exporters": "outputs",
    "postprocessors": "postprocessors",
}
"""Kind -> module of this package with a sequence `CHECKS`; the others run only if the first check passes."""


def findings(
    component_class: type[Component], parameters: Mapping[str, Any] | None = None, *, folder: Path | None = None
) -> list[str]:
    """Problems of a component class, one line each with the problem and its fix; empty if there are none.

    Args:
        parameters: settings of the component.
        folder: input files for kinds that read files (see `check`).
    """
    if not declaration.is_of_a_kind(component_class):
        bases = ", ".join(base.__name__ for base in KINDS.values())
        return [f"{component_class!r} is not a component; derive it from one class of segengine.plugin: {bases}"]
    found = [*declaration.class_findings(component_class), *imports_nothing_heavy(component_class)]
    unfit = list(declaration.keyword_findings(component_class))
    component, problem = _constructed(component_class, dict(parameters or {}))
    if unfit or component is None:
        return _labelled(component_class, [*found, *unfit, *([problem] if problem else [])])
    with tempfile.TemporaryDirectory(prefix="segengine-check-") as scratch:
        subject = Subject(component_class, dict(parameters or {}), component, Path(scratch), folder)
        for check in declaration.CHECKS:
            found += run_check(subject, check)
        found += run_checks(subject, _checks(component_class.kind))
    return _labelled(component_class, found)


def _labelled(cls: type[Component], found: Sequence[str]) -> list[str]:
    return [f"{cls.__name__}: {line}" for line in dict.fromkeys(found)]


def _checks(kind: str) -> Sequence[Check]:
    checks: Sequence[Check] = importlib.import_module(f"segengine.testing.{_MODULES[kind]}").CHECKS
    return checks


def missing_parameters(cls: type[Component], parameters: Mapping[str, Any]) -> list[str]:
    """Names of required fields that are not in `parameters`."""
    return [name for name, field in cls.model_fields.items() if field.is_required() and name not in parameters]


def _constructed(cls: type[Component], parameters: dict[str, Any]) -> tuple[Component | None, str]:
    missing = missing_parameters(cls, parameters)
    if missing:
        given = ", ".join(f"{name!r}: ..." for name in missing)
        return None, f"{', '.join(missing)} must be given; call check({cls.__name__}, {{{given}}})"
    try:
        return cls.model_validate(parameters), ""
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "parameters"
        return None, f"validation fails: {where}: {first['msg']}; correct the default, or the given parameters"
