"""Local, content-addressed store of initial weights, for machines without a network; specs name its entries `store:NAME`.

The store is a folder: `files/SHA256.SUFFIX` holds the weights, `names/NAME.json` the entry. A file is compared with its
SHA-256 whenever it is used. The folder is SEGENGINE_WEIGHTS, by default `segengine/weights` in the user's data folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from segengine.errors import SpecError
from segengine.files import read_json, whole_file, write_json
from segengine.registry import suggest

FOLDER_VARIABLE = "SEGENGINE_WEIGHTS"
PREFIX = "store:"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredWeights:
    """An entry of the store: `size` in bytes, `added` as ISO 8601 in UTC; `licence` and `source` as given by the user."""

    name: str
    sha256: str
    suffix: str
    size: int
    filename: str
    licence: str
    source: str
    added: str

    @property
    def path(self) -> Path:
        """The file in the store."""
        return store_folder() / "files" / f"{self.sha256}{self.suffix}"


def store_folder() -> Path:
    """The folder of the store; it need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "segengine" / "weights"


def entries() -> list[StoredWeights]:
    """All entries, sorted by name.

    Raises:
        SpecError: a damaged entry; names its file.
    """
    return [_entry(path) for path in sorted((store_folder() / "names").glob("*.json"))]


def add(file: Path, *, name: str, licence: str = "", source: str = "") -> StoredWeights:
    """Copy a file of weights into the store under `name`; adding the same content again changes nothing.

    Raises:
        SpecError: no such file, another suffix, an invalid name, or a name that other weights have.
    """
    if not file.is_file():
        raise SpecError(f"{file}: no such file; specify a weights file ({', '.join(SUFFIXES)})")
    if file.suffix not in SUFFIXES:
        raise SpecError(f"{file}: is not a weights file; known suffixes: {', '.join(SUFFIXES)}")
    if not _NAME.fullmatch(name):
        raise SpecError(f"name '{name}': use up to 100 letters, digits, dots, hyphens and underscores")
    digest = sha256_of(file)
    known = next((entry for entry in entries() if entry.name == name), None)
    if known is not None and known.sha256 != digest:
        raise SpecError(
            f"name '{name}' is taken by other weights (sha256 {known.sha256[:12]}..., added {known.added[:10]}); "
            "choose another name, so that experiments that name it keep their numbers"
        )
    entry = known or StoredWeights(
        name, digest, file.suffix, file.stat().st_size, file.name, licence, source, datetime.now(UTC).isoformat(timespec="seconds")
    )  # fmt: skip
    if not entry.path.is_file() or sha256_of(entry.path) != digest:
        with whole_file(entry.path) as part:
            shutil.copyfile(file, part)
            if sha256_of(part) != digest:
                raise SpecError(f"{file}: changed while it was copied; add it again")
    write_json(store_folder() / "names" / f"{name}.json", asdict(entry))
    return entry


def find(name: str) -> StoredWeights:
    """The entry `name`.

    Raises:
        SpecError: no such entry, or a damaged one; says how to add it.
    """
    path = store_folder() / "names" / f"{name}.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        hint = suggest(name, (entry.name for entry in entries()))
        raise SpecError(
            f"weights {PREFIX}{name} are not in the store {store_folder()}; "
            f"{hint or f'add the file: segengine weights add FILE --name {name}'}"
        )
    return _entry(path)


def verified(name: str) -> StoredWeights:
    """The entry `name`, after comparing its file with the recorded SHA-256.

    Raises:
        SpecError: no such entry, or a file that is missing or has changed.
    """
    entry = find(name)
    if not entry.path.is_file():
        raise SpecError(
            f"weights {PREFIX}{name}: {entry.path} is missing; add {entry.filename} again "
            f"(sha256 {entry.sha256}{f', from {entry.source}' if entry.source else ''})"
        )
    if sha256_of(entry.path) != entry.sha256:
        raise SpecError(
            f"weights {PREFIX}{name}: {entry.path} has changed since it was added; delete it and add it again"
        )
    return entry


def weights_path(weights: str | Path) -> Path:
    """The file of a path or `store:NAME`; a file of the store is verified.

    Raises:
        SpecError: see `verified`.
    """
    text = str(weights)
    return verified(text.removeprefix(PREFIX)).path if text.startswith(PREFIX) else Path(weights)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entry(path: Path) -> StoredWeights:
    try:
        read = read_json(path)
        entry = StoredWeights(**{**read, "name": path.stem})
        valid = all(isinstance(value, str) for key, value in asdict(entry).items() if key != "size")
        # The digest and suffix become a file name.
        if not (valid and _DIGEST.fullmatch(entry.sha256) and entry.suffix in SUFFIXES and isinstance(entry.size, int)):
            raise ValueError("unexpected content")
    except (OSError, ValueError, TypeError) as error:
        raise SpecError(
            f"{path}: damaged entry of the weight store ({error}); delete it and add the file again"
        ) from error
    return entry
