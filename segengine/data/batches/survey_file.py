"""Cached facts about the files of a data set, so that a start decodes only new and changed files.

One survey file per data folder in the user's cache folder. An entry is valid while path, size and times of its file are
unchanged. The file can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock

from segengine.data.batches.cache_folder import DECODING, default_folder
from segengine.data.batches.held_files import HeldFiles
from segengine.data.files.formats import import_readers
from segengine.data.files.images import ImageFacts, WindowChoice, image_facts
from segengine.data.files.parallel import Progress, in_threads
from segengine.data.files.windows import Windowing
from segengine.data.masks.facts import codes_of, mask_facts, unpacked
from segengine.data.masks.mapping import Evidence, MaskEncoding, MaskFacts
from segengine.data.masks.shapes import Shapes, contents, examined
from segengine.data.sources.fingerprint import file_digest
from segengine.files import write_bytes

_VERSION = 1
_MOST_WINDOWS = 64  # windows of other folds and settings
_KEPT_SECONDS = 30 * 24 * 3600
_SETTLED_SECONDS = 2.0  # coarsest file time resolution: a file may change again within it

_Facts = TypeVar("_Facts", ImageFacts, MaskFacts)


class FileState(NamedTuple):
    """Size in bytes and times in nanoseconds of a file; ctime changes with the content even if mtime is reset."""

    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, path: Path) -> FileState | None:
        """The current state; None if stat fails."""
        try:
            stat = os.stat(path)
        except OSError:
            return None
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    def settled(self, seconds: float) -> bool:
        """Whether any later change of the file is guaranteed to change the state."""
        return max(self.mtime, self.ctime) / 1e9 < seconds - _SETTLED_SECONDS


class _Known(NamedTuple, Generic[_Facts]):
    state: FileState
    settled: bool
    facts: _Facts


class SurveyFile:
    """The facts of images and masks by path, and the shapes of masks by their contents.

    `held` holds decoded files for the cache. With `path` None nothing is saved.
    """

    def __init__(self, path: Path | None, held: HeldFiles | None = None) -> None:
        self.path = path
        self.held = held or HeldFiles()
        self._images: dict[str, _Known[ImageFacts]] = {}
        self._masks: dict[str, _Known[MaskFacts]] = {}
        self._shapes: dict[str, Shapes] = {}
        self._windows: dict[str, list[Any]] = {}
        self._asked: set[str] = set()
        self._changed = False
        if path is not None:
            with contextlib.suppress(
                OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile
            ):
                self._load(path)

    def images(self, paths: Sequence[Path], progress: Progress | None = None) -> list[ImageFacts]:
        """Facts of image files; new and changed ones are decoded. Raises DataError for a broken file."""
        return self._facts(self._images, paths, lambda path: image_facts(path, self.held.decode), "images", progress)

    def masks(self, paths: Sequence[Path], progress: Progress | None = None) -> list[MaskFacts]:
        """Facts of mask files; new and changed ones are decoded. Raises DataError for a broken file."""
        return self._facts(self._masks, paths, lambda path: mask_facts(path, self.held.decode), "masks", progress)

    def shapes(self, masks: Sequence[MaskFacts]) -> Shapes:
        """Shape statistics of a sample of `masks`, computed if not cached for these contents."""
        key = contents(masks)
        if key not in self._shapes:
            self._shapes = {key: examined(masks, self.held.read)}
            self._changed = True
        return self._shapes[key]

    def windows(self, depends_on: object, choose: Callable[[], WindowChoice]) -> WindowChoice:
        """The cached windows for the same `depends_on` (settings and digests), else the result of `choose`."""
        key = hashlib.sha256(repr(depends_on).encode()).hexdigest()
        if key not in self._windows:
            windowing, note = choose()
            self._windows[key] = [windowing.as_record(), note]
            self._windows = dict(list(self._windows.items())[-_MOST_WINDOWS:])
            self._changed = True
        record, note = self._windows[key]
        return Windowing.from_record(record), note

    def digests(self, paths: Sequence[Path], progress: Progress | None = None) -> list[str]:
        """SHA-256 of files in hexadecimal; new and changed files are read but not decoded."""

        def digest(path: Path) -> str:
            known = self._images.get(_key(path)) or self._masks.get(_key(path))
            if known is not None and known.settled and known.state == FileState.of(path):
                return known.facts.digest
            return file_digest(path)

        return in_threads(digest, paths, "fingerprint", progress)

    def _facts(
        self, known: dict[str, _Known[_Facts]], paths: Sequence[Path], look: Callable[[Path], _Facts], what: str,
        progress: Progress | None,
    ) -> list[_Facts]:  # fmt: skip
        keys = [_key(path) for path in paths]
        self._asked.update(keys)
        found = [self._still_true(known.get(key), path) for key, path in zip(keys, paths, strict=True)]
        missing = [i for i, entry in enumerate(found) if entry is None]
        self._changed |= bool(missing)
        import_readers(paths[i] for i in missing)

        def fill(i: int) -> None:  # keeps results found before a corrupt file stops the pass
            found[i] = known[keys[i]] = _looked(paths[i], look)

        in_threads(fill, missing, what, progress)
        return [entry.facts for entry in found if entry is not None]

    def _still_true(self, known: _Known[_Facts] | None, path: Path) -> _Known[_Facts] | None:
        if known is None or known.state != FileState.of(path):
            return None
        if known.settled:
            return known
        if file_digest(path) != known.facts.digest:
            return None
        self._changed = True
        return known._replace(settled=known.state.settled(time.time()))

    def save(self) -> None:
        """Save the facts for the next start; does nothing if the cache folder is not writable."""
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            if self._changed:
                for known in (self._images, self._masks):
                    for key in [key for key in known if key not in self._asked and not os.path.exists(key)]:
                        del known[key]
                write_bytes(self.path, self._packed())
            self.path.touch()
            oldest = time.time() - _KEPT_SECONDS
            for other in self.path.parent.glob("*.npz"):
                if other.stat().st_mtime < oldest:
                    other.unlink()

    def _packed(self) -> bytes:
        encodings: dict[MaskEncoding, int] = {}
        masks = []
        for key, (state, settled, facts) in self._masks.items():
            encoding = encodings.setdefault(facts.encoding, len(encodings))
            colours, kind = facts.values.ndim == 3, facts.values.dtype.name
            masks.append(
                [
                    key,
                    state,
                    settled,
                    facts.height,
                    facts.width,
                    encoding,
                    facts.lossy,
                    facts.digest,
                    facts.notes,
                    colours,
                    kind,
                ]
            )
        document = {
            "version": _version(),
            "images": [[key, state, settled, *_plain(facts)] for key, (state, settled, facts) in self._images.items()],
            "masks": masks,
            "encodings": [_plain(encoding) for encoding in encodings],
            "windows": self._windows,
            "shapes": {
                key: [_plain(of.evidence), list(of.solid.items()), of.usual] for key, of in self._shapes.items()
            },
        }
        codes = [codes_of(known.facts) for known in self._masks.values()]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            document=np.frombuffer(json.dumps(document).encode(), np.uint8),
            lengths=np.array([len(of) for of in codes], np.int64),
            codes=np.concatenate([np.zeros(0, np.int64), *codes]).astype(np.uint32),
            pixels=np.concatenate([np.zeros(0, np.int64), *(known.facts.pixels for known in self._masks.values())]),
        )
        return buffer.getvalue()

    def _load(self, path: Path) -> None:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            document = json.loads(stored["document"].tobytes())
            ends = np.cumsum(stored["lengths"])
            codes, pixels = (np.split(stored[name], ends[:-1]) for name in ("codes", "pixels"))
        if document["version"] != _version():
            return
        images = {
            key: _Known(FileState(*state), settled, _image(row)) for key, state, settled, *row in document["images"]
        }
        encodings = [_encoding(row) for row in document["encodings"]]
        masks: dict[str, _Known[MaskFacts]] = {}
        for (key, state, settled, height, width, encoding, lossy, digest, notes, colours, kind), of, count in zip(
            document["masks"], codes, pixels, strict=False
        ):
            values = unpacked(of, np.dtype(kind), colours=colours)
            facts = MaskFacts(Path(key), height, width, values, count, encodings[encoding], lossy, digest, tuple(notes))
            masks[key] = _Known(FileState(*state), settled, facts)
        shapes = {
            key: Shapes(Evidence(*evidence), dict(solid), usual)
            for key, (evidence, solid, usual) in document["shapes"].items()
        }
        self._images, self._masks, self._shapes, self._windows = images, masks, shapes, document["windows"]


def _key(path: Path) -> str:
    """The absolute path as text."""
    text = str(path)
    return text if os.path.isabs(text) else str(path.absolute())


def _looked(path: Path, look: Callable[[Path], _Facts]) -> _Known[_Facts]:
    before, now = FileState.of(path), time.time()
    facts = look(path)
    assert before is not None, "look raises for a missing file"
    return _Known(before, before.settled(now), facts)


def _plain(facts: ImageFacts | MaskEncoding | Evidence) -> list[Any]:
    return [getattr(facts, field.name) for field in fields(facts)]


def _image(row: Sequence[Any]) -> ImageFacts:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return ImageFacts(*values)


def _encoding(row: Sequence[Any]) -> MaskEncoding:
    kind, bits, palette, suffix, channels = row
    return MaskEncoding(kind, bits, tuple(map(tuple, palette)) if palette else None, suffix, channels)


def _version() -> list[Any]:
    """Version and fields; files that differ are ignored and rewritten."""
    return [
        _VERSION,
        DECODING,
        *([field.name for field in fields(kind)] for kind in (ImageFacts, MaskFacts, MaskEncoding, Evidence)),
    ]


@contextlib.contextmanager
def survey_file(
    data: Path, cache_folder: Path | None = None, *, processes: int = 1, held_bytes: int = 0
) -> Iterator[SurveyFile]:
    """The survey file of the data folder `data`, saved on leaving; decoded files are held up to `held_bytes`.

    Of several `processes` on one machine the first does the survey; the others wait and load its results.
    """
    key = hashlib.sha256(str(data.absolute().resolve()).encode()).hexdigest()[:32]
    path = (cache_folder or default_folder()) / "surveys" / f"{key}.npz"
    with contextlib.ExitStack() as stack:
        if processes > 1:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(path.with_suffix(".lock")))
        survey = SurveyFile(path, HeldFiles(held_bytes))
        try:
            yield survey
        finally:
            survey.held.drop()
            survey.save()
