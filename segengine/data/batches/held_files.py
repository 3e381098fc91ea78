"""Decoded files held in memory between survey and cache, so that each file is decoded once per start."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from segengine.data.files.decoding import Stored, decode


class HeldFiles:
    """Holds decoded files up to a memory limit and decodes others again. Thread-safe."""

    def __init__(self, limit_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes
        self._held: dict[Path, Stored] = {}
        self._bytes = 0
        self._lock = Lock()

    def decode(self, path: Path, content: bytes) -> Stored:
        """Decode the `content` of a file, and hold it if there is room."""
        stored = decode(path, content)
        size = _bytes_of(stored)
        with self._lock:
            if path not in self._held and self._bytes + size <= self.limit_bytes:
                self._held[path] = stored
                self._bytes += size
        return stored

    def read(self, path: Path) -> Stored:
        """A decoded file; stays held."""
        return self._held.get(path) or decode(path)

    def take(self, path: Path) -> Stored:
        """A decoded file; released from the store."""
        with self._lock:
            stored = self._held.pop(path, None)
            if stored is not None:
                self._bytes -= _bytes_of(stored)
        return stored or decode(path)

    def drop(self) -> None:
        """Release all files."""
        with self._lock:
            self._held, self._bytes, self.limit_bytes = {}, 0, 0


def _bytes_of(stored: Stored) -> int:
    return int(stored.values.nbytes + (0 if stored.missing is None else stored.missing.nbytes))
