"""Decoded files held in memory between the survey and the cache, so that a start decodes each file once."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from segengine.data.files.decoding import Stored, decode


class HeldFiles:
    """Holds what is decoded up to a limit, and decodes anew what it doesn't hold. Safe to use from several threads."""

    def __init__(self, limit_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes
        self._held: dict[Path, Stored] = {}
        self._bytes = 0
        self._lock = Lock()

    def decode(self, path: Path, content: bytes) -> Stored:
        """The decoded `content` of a file, held from now on where there is room."""
        stored = decode(path, content)
        size = _bytes_of(stored)
        with self._lock:
            if path not in self._held and self._bytes + size <= self.limit_bytes:
                self._held[path] = stored
                self._bytes += size
        return stored

    def read(self, path: Path) -> Stored:
        """A decoded file, which stays held if it is."""
        return self._held.get(path) or decode(path)

    def take(self, path: Path) -> Stored:
        """A decoded file, held no longer."""
        with self._lock:
            stored = self._held.pop(path, None)
            if stored is not None:
                self._bytes -= _bytes_of(stored)
        return stored or decode(path)

    def drop(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._held, self._bytes, self.limit_bytes = {}, 0, 0


def _bytes_of(stored: Stored) -> int:
    return int(stored.values.nbytes + (0 if stored.missing is None else stored.missing.nbytes))
