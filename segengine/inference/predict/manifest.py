"""The list of files written by `predict` in an output folder: what is complete, and what must not be replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segengine.engine.checkpoint_hash import sha256_of
from segengine.errors import DataError
from segengine.files import whole_file

NAME = "predictions.jsonl"
HEADER = {"format": 1, "kind": "segengine predictions"}
FOREIGN = "exists, and was not written by segengine predict"
"""Reason why a file that is in no list is kept."""


@dataclass(frozen=True)
class Origin:
    """What a file was predicted from: the image's path and sha256, the model's identity, and all settings that affect the file."""

    image: str
    image_sha256: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def difference(self, other: Origin, *, same_image: bool = True) -> str:
        """Why a file of `other` is kept when this origin would replace it; '' if both produce the same file.

        `same_image`: False for files about all images of a folder, which may have changed.
        """
        if (self.model, self.settings) != (other.model, other.settings):
            return "exists, and was predicted by another model or with other settings"
        if same_image and self.image_sha256 != other.image_sha256:
            return f"exists, and was predicted from other content of {self.image}"
        return ""


@dataclass
class Manifest:
    """The list of written files in one folder, one JSON object per line; later lines replace earlier ones of the same file.

    A line is written before its file gets its final name. So after a crash at any moment a file either is in the list or
    doesn't exist.
    """

    folder: Path
    overwrite: bool = False
    _known: dict[str, tuple[str, Origin]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, *, overwrite: bool = False) -> Manifest:
        """Read a folder's list; empty if there is none.

        Raises:
            DataError: the file is not such a list, or can't be read.
        """
        path = folder / NAME
        if not os.path.lexists(path):
            return cls(folder, overwrite)
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror})") from error
        if lines and _parsed(lines[0]) != HEADER:
            raise DataError(
                f"{path}: is not a list of predictions written by segengine; choose another folder with -o, or move the file"
            )
        known = {}
        for line in lines[1:]:
            match _parsed(line):  # the line of a killed process may be incomplete
                case {"file": str(file), "sha256": str(sha256), "origin": dict(origin)} if set(origin) == _ORIGIN:
                    known[file] = (sha256, Origin(**origin))
        return cls(folder, overwrite, known)

    def obstacle(self, target: Path, origin: Origin | None, *, same_image: bool = True) -> str:
        """Why `target` can't be written; '' if it can: it doesn't exist, or may be replaced.

        `origin`: None if the image can't be read. `same_image`: as in `Origin.difference`.
        """
        if not os.path.lexists(target):
            return ""
        if target.is_dir() and not target.is_symlink():
            return "is a directory"
        if self.overwrite:
            return ""
        recorded = self._known.get(self._name(target))
        if recorded is None or target.is_symlink():
            return FOREIGN
        sha256, earlier = recorded
        if _sha256(target) != sha256:
            return "exists, and was changed since segengine predict wrote it"
        return "" if origin is None else origin.difference(earlier, same_image=same_image)

    def complete(self, target: Path, origin: Origin | None) -> bool:
        """Whether `target` was written from this origin and is unchanged; an image that can't be read is never complete."""
        recorded = self._known.get(self._name(target))
        return (
            not self.overwrite
            and recorded is not None
            and origin is not None
            and target.is_file()
            and not target.is_symlink()
            and _sha256(target) == recorded[0]
            and not origin.difference(recorded[1])
        )

    @contextmanager
    def writing(self, target: Path, origin: Origin, *, same_image: bool = True) -> Iterator[Path]:
        """Temporary path whose file becomes `target` and is listed on exit without an exception.

        Raises:
            DataError: another program created `target` meanwhile.
        """
        with whole_file(target) as part:
            yield part
            if obstacle := self.obstacle(target, origin, same_image=same_image):
                raise DataError(f"{target}: {obstacle}")
            self._add(target, origin, sha256_of(part))

    def _add(self, target: Path, origin: Origin, sha256: str) -> None:
        name = self._name(target)
        line = json.dumps({"file": name, "sha256": sha256, "origin": asdict(origin)}, ensure_ascii=True)
        path = self.folder / NAME
        with path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                file.write(f"{json.dumps(HEADER)}\n".encode())
            else:
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else f"\n{line}"
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self._known[name] = (sha256, origin)

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()


_ORIGIN = {"image", "image_sha256", "model", "settings"}


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""
