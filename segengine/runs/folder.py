"""One run's folder: run.json, spec.yaml, locking, and setting aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from segengine.errors import NotARunError, RunError, unexpected
from segengine.files import read_json, write_json
from segengine.runs import names

FORMAT = 1
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader, ten times as fast, if available


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run's files."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def exists(self) -> bool:
        return (self / names.RUN).exists()

    @property
    def name(self) -> str:
        """`<experiment>/<variant>-seed<k>`."""
        return f"{self.path.parent.name}/{self.path.name}"

    def read(self) -> dict[str, Any]:
        """run.json.

        Raises:
            NotARunError: run.json and the other files of a run are missing.
            RunError: only run.json is missing, or it is damaged or has an unsupported format.
        """
        path = self / names.RUN
        try:
            document = read_json(path)
            found = document["format"]
        except FileNotFoundError:
            lost = (self / names.SPEC).exists() and (self / names.EXPERIMENT).exists()
            if lost:
                raise RunError(f"{self.path}: its {names.RUN} is missing; the run folder is damaged") from None
            why = f"it has no {names.RUN}" if self.path.exists() else "it doesn't exist"
            raise NotARunError(f"{self.path}: not a run folder, {why}") from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: not readable ({unexpected(error)}); the run folder is damaged") from error
        if found != FORMAT:
            raise RunError(f"{path}: has format {found}; this version of segengine reads format {FORMAT}")
        return dict(document)

    @property
    def is_run(self) -> bool:
        """Whether run.json has the format of a run, and isn't another program's file of the same name."""
        try:
            document = self.read()
        except RunError:
            return False
        return {"status", "experiment", "variant", "seed"} <= set(document)

    def update(self, **facts: Any) -> dict[str, Any]:
        """Update run.json with `facts`."""
        document = self.read() if self.exists else {"format": FORMAT}
        document |= facts
        write_json(self / names.RUN, document)
        return document

    def spec(self) -> dict[str, Any]:
        """The resolved settings of spec.yaml.

        Raises:
            RunError: missing or damaged.
        """
        path = self / names.SPEC
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML)  # noqa: S506 (either is a safe one)
            if not isinstance(document, dict):
                raise ValueError("it holds no settings")
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunError(
                f"{path}: not readable ({' '.join(str(error).split())}); the run folder is damaged"
            ) from error
        return document

    def set_aside(self) -> Path:
        """Move the folder to the hidden folder .old beside it; nothing is deleted."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        target = self.path.parent / names.SET_ASIDE / f"{self.path.name}-{stamp}"
        target.parent.mkdir(exist_ok=True)
        self.path.rename(target)
        return target

    @contextmanager
    def locked(self, patience: float = 0.0) -> Iterator[None]:
        """Hold the folder's lock; it is released when the process ends.

        Temporary files of a killed process are removed; so is the folder if it has no run.json afterwards.

        Raises:
            RunError: another process holds the lock for more than `patience` seconds, or the folder can't be
                written to.
        """
        lock = FileLock(self / names.LOCK, timeout=patience)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{self.path}: another process is working on this run; wait for it, or use another --out"
            ) from None
        except OSError as error:
            raise RunError(
                f"{self.path}: can't be written to ({error.strerror}); choose another folder with --out"
            ) from error
        try:
            for part in self.path.rglob(".*.part"):
                part.unlink()
            yield
        finally:
            lock.release()
            if not self.exists:
                self._vanish()

    def _vanish(self) -> None:
        """Remove the folder and its parent if they contain nothing but a lock."""
        with suppress(OSError):
            if [path.name for path in self.path.iterdir()] == [names.LOCK]:
                (self / names.LOCK).unlink()
            self.path.rmdir()
            self.path.parent.rmdir()
