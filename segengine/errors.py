"""Errors for users: each message states the problem, its location and the remedy.

`exit_code` is the exit code of the command line: 2 for an invalid request (spec, data, plugin),
1 for a failed run. Programming errors are assertions and built-in exceptions.
"""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, escapes, bidirectional overrides, line ends and unpaired surrogates."""


def printable(text: str) -> str:
    """Text from a file, a file name or a library, safe to print on one line: unprintable characters are escaped (`\\x1b`)."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


class SegengineError(Exception):
    """Base of all errors for the user: one or a few lines, no traceback."""

    exit_code = 1


class SpecError(SegengineError):
    """Invalid experiment file, override or argument; lists all problems, one per line."""

    exit_code = 2


class RegistryError(SegengineError):
    """Unknown component, or unusable plugin."""

    exit_code = 2


class DataError(SegengineError):
    """Invalid image, mask, folder or split."""

    exit_code = 2


class RunError(SegengineError):
    """A run failed, or its folder is unusable."""


class NotARunError(RunError):
    """The path is not a run folder."""

    exit_code = 2


class ComparisonError(SegengineError):
    """Runs can't be compared, or none were found; names the differences by run."""

    exit_code = 2


def unexpected(error: BaseException) -> str:
    """One line for an unexpected exception: its class and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {printable(lines[0])}" if lines else type(error).__name__


def counted(number: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 image`, `1,234 images`; `plural` where it isn't the noun and an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
