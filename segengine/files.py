"""Files that are whole or absent: written aside, synced, and only then given their name."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_mask_of_rights = os.umask(0)  # can be asked for only by setting it: once, while no thread writes
os.umask(_mask_of_rights)
_RIGHTS = 0o666 & ~_mask_of_rights


@contextmanager
def whole_file(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A path in the same folder to write to; on leaving without an error it replaces `path`, else it is removed.

    What stood at `path` is kept as `previous`, if that is given: at every moment one of the two is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(_RIGHTS)
        if previous is not None and path.exists():
            path.replace(previous)
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write indented strict JSON (no NaN), whole or not at all."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Strict JSON: no NaN, no infinity, no half of a character.

    Raises:
        OSError: the file can't be read.
        ValueError: it isn't such a document; says why.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from error


def parse_json(text: str) -> Any:
    """The document of a strict JSON text. Raises ValueError, which says what is wrong."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"it contains an unpaired surrogate, U+{ord(error.object[error.start]):04X}") from error
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it contains {name}, which is not valid JSON")


_EVALUATED = re.compile(r"'*[=+\-@\t\r]")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")


def csv_cell(text: str) -> str:
    """A text as a cell that no spreadsheet evaluates: `=1+1` as `'=1+1`; `csv_text` gives the text back."""
    return f"'{text}" if _EVALUATED.match(text) else text


def csv_text(cell: str) -> str:
    """The text that `csv_cell` made a cell of."""
    return cell[1:] if _QUOTED.match(cell) else cell


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut, on systems that let folders be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
