"""The component under test, and the functions that run its checks and collect their findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.components.base import Component


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        cls, parameters, component: the class, the given settings, and the component constructed from them.
        scratch: empty temporary folder.
        files: the user's folder of input files, if given.
    """

    cls: type[Component]
    parameters: Mapping[str, Any]
    component: Any
    scratch: Path
    files: Path | None = None


Check = Callable[[Subject], Iterator[str]]
"""Yields one line per problem; its docstring is the requirement that it checks."""


def run_checks(subject: Subject, checks: Sequence[Check]) -> list[str]:
    """All findings; if the first check has findings, the others, which depend on it, are skipped."""
    found: list[str] = []
    for number, check in enumerate(checks):
        found += run_check(subject, check)
        if found and number == 0:
            break
    return found


def run_check(subject: Subject, check: Check) -> list[str]:
    """The findings of one check; an exception counts as a finding."""
    found: list[str] = []
    try:
        found.extend(check(subject))  # findings before an exception are kept
    except (Exception, SystemExit) as error:
        found.append(f"{raised(error)}; requirement: {requirement(check)}")
    return found


def requirement(check: Check) -> str:
    """The requirement that a check checks: its docstring's first line."""
    return (check.__doc__ or check.__name__).strip().splitlines()[0].rstrip(".")


def raised(error: BaseException) -> str:
    """The exception as `raises TypeError: ...`, on one line."""
    text = " ".join(str(error).split())
    return f"raises {type(error).__name__}" + (f": {text}" if text else "")
