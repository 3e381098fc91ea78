"""Atomic file writing: written to a temporary file, synced and renamed. Strict JSON and safe CSV cells."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_mask_of_rights = os.umask(0)  # reading the umask requires setting it: once, before threads start
os.umask(_mask_of_rights)
_RIGHTS = 0o666 & ~_mask_of_rights


@contextmanager
def whole_file(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """Temporary path in the same folder; replaces `path` on exit without an exception, otherwise it is removed.

    An existing file is kept as `previous` if given, so that one of the two is intact at any moment.

    Raises:
        OSError: names `path`, also where writing the temporary file failed.
    """
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(_RIGHTS)
        if previous is not None and path.exists():
            path.replace(previous)
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary = error.filename is None or str(error.filename).endswith(".part")
        if error.errno is None or not temporary:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    with whole_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write indented strict JSON (no NaN) atomically."""
    write_text(path, json_text(document))


def json_text(document: Any) -> str:
    """Indented strict JSON (no NaN)."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read strict JSON: no NaN, no infinity, no unpaired surrogates.

    Raises:
        OSError: the file can't be read.
        ValueError: invalid JSON; names the reason.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from error


def parse_json(text: str) -> Any:
    """Parse strict JSON. Raises ValueError with the reason."""
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
    """Text as a CSV cell that spreadsheets don't evaluate as a formula: `=1+1` becomes `'=1+1`; inverse of `csv_text`."""
    return f"'{text}" if _EVALUATED.match(text) else text


def csv_text(cell: str) -> str:
    """Inverse of `csv_cell`."""
    return cell[1:] if _QUOTED.match(cell) else cell


def _sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, on systems that support it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
