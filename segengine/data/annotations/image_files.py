"""Finds the image files that annotations name, inside the root only, and their sizes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from segengine.data.annotations.shapes import AnnotatedImage
from segengine.data.files.decoding import decode
from segengine.data.sources.patterns import ALIASES, Match, find
from segengine.data.sources.records import listed
from segengine.errors import DataError

_HEADER_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_ORIENTATION_TAG = 274
_TURNED = (5, 6, 7, 8)


class ImageFiles:
    """Image files under a root folder, found by their names in annotations.

    A name is resolved as a path relative to the annotation's folder, relative to the root, and then by its trailing parts, so
    that absolute paths of another computer and paths with `..` are found as well. Files outside the root are never returned.
    """

    def __init__(self, root: Path, pattern: str | None) -> None:
        """Raises DataError for a pattern or a link that leads outside the root, or a pattern that matches nothing."""
        self.root = Path(os.path.abspath(root))
        self.matches: dict[Path, Match] = {m.path: m for m in find(self.root, pattern or "**/*")}
        if pattern and not self.matches:
            raise DataError(f"{root}: no image matches '{pattern}'; correct data.source.images")
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.matches:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def find(self, image: AnnotatedImage) -> Path | None:
        """The file of an annotated image; None if there is none. Raises DataError if several match equally well."""
        for name in image.names:
            parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
            if not parts:
                continue
            for base in (image.beside, self.root):
                path = Path(os.path.normpath(Path(os.path.abspath(base), *parts)))
                if path in self.matches:
                    return path
            stem = parts[-1].rpartition(".")[0]
            for found in (self._by_name.get(parts[-1]), self._by_stem.get(parts[-1]), self._by_stem.get(stem)):
                if found:
                    return self._nearest(found, parts, image)
        return None

    def _nearest(self, found: Sequence[Path], parts: tuple[str, ...], image: AnnotatedImage) -> Path:
        rest = _most(found, [_shared_folders(path, parts) for path in found])
        if len(rest) > 1 and image.split is not None:
            rest = _most(rest, [self._of_split(path, image.split) for path in rest])
        if len(rest) > 1:
            rest = _most(rest, [path.is_relative_to(os.path.abspath(image.beside)) for path in rest])
        if len(rest) > 1:
            raise DataError(
                f"{image.where}: '{image.names[0]}' may be {listed(sorted(rest), 3)}; set data.source.images to a pattern "
                "of the intended images"
            )
        return rest[0]

    def _of_split(self, path: Path, split: str) -> bool:
        folders = path.relative_to(self.root).parts[:-1]
        return self.matches[path].split == split or any(_split_of(folder) == split for folder in folders)


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image after its EXIF orientation, from the file's header if possible. Raises DataError."""
    try:
        with Image.open(path, formats=_HEADER_FORMATS) as picture:
            width, height = picture.size
            turned = picture.getexif().get(_ORIENTATION_TAG, 1) in _TURNED
            return (width, height) if turned else (height, width)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        height, width = decode(path).values.shape[:2]
        return height, width


def _split_of(folder: str) -> str | None:
    return ALIASES.get(folder.lower().strip("0123456789_-"))


def _shared_folders(path: Path, parts: tuple[str, ...]) -> int:
    """Number of equal folders above the file, from the file upwards."""
    shared = 0
    for ours, theirs in zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False):
        if ours != theirs:
            break
        shared += 1
    return shared


def _most(paths: Sequence[Path], scores: Sequence[int | bool]) -> list[Path]:
    best = max(scores)
    return [path for path, score in zip(paths, scores, strict=True) if score == best]
