"""The errors that users meet: each says what is wrong, where, and what to do.

`exit_code` is what the command line ends with: 2 where the request is wrong (spec, data, plugin),
1 where a run failed. Programming mistakes are assertions and built-in exceptions, never these.
"""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What terminals obey instead of showing it: controls, escapes, bidirectional overrides; line ends; halves of characters."""


def printable(text: str) -> str:
    """Text from a file, a file name or a library, safe to print on one line: what can't be shown is escaped (`\\x1b`)."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


class SegengineError(Exception):
    """Base of every error that is meant for the user: one or a few lines, no traceback."""

    exit_code = 1


class SpecError(SegengineError):
    """The experiment file, an override or an argument is wrong; lists all problems, a line each."""

    exit_code = 2


class RegistryError(SegengineError):
    """A component can't be found or its plugin can't be used."""

    exit_code = 2


class DataError(SegengineError):
    """An image, a mask, a folder or a split is not what it must be."""

    exit_code = 2


class RunError(SegengineError):
    """A run failed or its folder can't be used."""


class NotARunError(RunError):
    """The path given is no run folder."""

    exit_code = 2


class ComparisonError(SegengineError):
    """Runs can't be compared fairly, or there are none; says what differs in which runs."""

    exit_code = 2


def unexpected(error: BaseException) -> str:
    """One line for an error that no one expected: its kind, and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {printable(said[0])}" if said else type(error).__name__
