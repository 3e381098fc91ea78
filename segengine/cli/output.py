"""What commands print: text that no file name can turn into commands for the terminal, and documents that nothing mixes with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from segengine.errors import UNPRINTABLE, printable

_document_stream: TextIO | None = None


def escape(text: str) -> str:
    """Text from files, file names and libraries as it stands in rich's markup; what terminals obey is escaped (`\\\\x1b`)."""
    from rich.markup import escape as escape_markup

    return escape_markup("\n".join(map(printable, text.split("\n"))))


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines on standard output or standard error; what terminals obey is escaped."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print_json_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_json_text(text: str) -> None:
    """A document in JSON on standard output; bidirectional and other controls are escaped, and halves of characters."""
    lines = (UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
    click.echo("\n".join(lines), file=_document_stream)


@contextmanager
def stdout_for_the_document() -> Iterator[None]:
    """Until the end only `print_json` writes to standard output; what plugins, libraries and processes print goes to standard error."""
    global _document_stream
    before, whole_process = sys.stdout, sys.stdout is sys.__stdout__
    if whole_process:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        _document_stream = os.fdopen(kept, "w", encoding="utf-8")
    else:
        _document_stream = before
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = before
        stream, _document_stream = _document_stream, None
        if whole_process:
            os.dup2(kept, 1)
            with suppress(OSError):  # what couldn't be written was reported when it was tried
                stream.close()


def table_width() -> int | None:
    """Columns for tables: the terminal's (None), or as many as a table may need where nobody watches."""
    return None if sys.stdout is not None and sys.stdout.isatty() else 200
