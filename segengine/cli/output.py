"""Output of commands: text with control characters escaped, and JSON documents alone on standard output."""

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
    """Escape text from files, file names and libraries for rich markup; control characters become `\\\\x1b`."""
    from rich.markup import escape as escape_markup

    return escape_markup("\n".join(map(printable, text.split("\n"))))


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines to standard output or standard error, with control characters escaped."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def print_json(document: Any) -> None:
    """Print one JSON document to standard output."""
    print_json_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_json_text(text: str) -> None:
    """Print JSON text to standard output, with control and bidirectional characters and unpaired surrogates escaped."""
    lines = (UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
    click.echo("\n".join(lines), file=_document_stream)


@contextmanager
def stdout_for_the_document() -> Iterator[None]:
    """Reserve standard output for `print_json`; other output, also of plugins and subprocesses, goes to standard error.

    If it is the process's own, the file descriptor stays redirected afterwards: C libraries and `atexit` functions may still
    write to it when the process ends.
    """
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
            with suppress(OSError):  # the failed write was reported already
                stream.close()


def table_width() -> int | None:
    """Width of tables: None for the terminal's, 200 columns without a terminal."""
    return None if sys.stdout is not None and sys.stdout.isatty() else 200
