"""What is checked, and how one check after the other is run so that all findings come at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segengine.components.base import Component


@dataclass(frozen=True)
class Subject:
    """A component class with one component of it, and a folder of its own to write to.

    `files` is the user's folder of files to check with, None where there is none.
    """

    cls: type[Component]
    parameters: Mapping[str, Any]
    component: Any
    scratch: Path
    files: Path | None = None


Check = Callable[[Subject], Iterator[str]]
"""Yields a line for each thing that is wrong; its docstring is the claim that it checks."""


def run_checks(subject: Subject, checks: Sequence[Check]) -> list[str]:
    """All findings; where the first check finds something, the others would only repeat it and are left out."""
    found: list[str] = []
    for number, check in enumerate(checks):
        found += run_check(subject, check)
        if found and number == 0:
            break
    return found


def run_check(subject: Subject, check: Check) -> list[str]:
    """The findings of one check; an exception is one of them."""
    found: list[str] = []
    try:
        found.extend(check(subject))  # what comes before an exception is kept
    except (Exception, SystemExit) as error:
        found.append(f"{raised(error)}; it must hold: {claim(check)}")
    return found


def claim(check: Check) -> str:
    """What a check checks, from its docstring's first line."""
    return (check.__doc__ or check.__name__).strip().splitlines()[0].rstrip(".")


def raised(error: BaseException) -> str:
    """`raises TypeError: ...` on one line."""
    text = " ".join(str(error).split())
    return f"raises {type(error).__name__}" + (f": {text}" if text else "")
