"""Finds the images to predict: files, folders, patterns, lists of paths."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from segengine.data.files.formats import (
    missing_libraries,
    picture_suffixes,
    readable_suffixes,
    stem_of,
    suffix_of,
)
from segengine.errors import DataError
from segengine.registry import suggest

LIST_SUFFIX = ".txt"


def images_in(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Images of files, folders (recursively), patterns (`a/*.png`) and lists (.txt, one path per line).

    Each image has a relative path below the output folder: below its own folder for an image of a folder, else its name, or
    its path below the common folder where names occur twice. An image given twice counts once. An output folder inside an
    input folder is skipped: it contains earlier predictions.

    Raises:
        DataError: missing path, or no image found.
    """
    files: list[Path] = []
    found: dict[Path, Path] = {}
    for path in _expanded(paths):
        if path.is_dir():
            inside = images_below(path, out)
            if not inside:
                raise DataError(f"{path}: holds no image ({', '.join(readable_suffixes())})")
            found |= {p: p.relative_to(path) for p in inside if p not in found}
        elif path.exists():
            files.append(path)
        else:
            near = suggest(path.name, [p.name for p in path.parent.glob("*")]) if path.parent.is_dir() else ""
            raise DataError(f"{path}: no such file or folder" + (f"; {near}" if near else ""))
    if unread := missing_libraries([*found, *files]):
        raise DataError(unread)
    once = {path.resolve(): path for path in reversed([*found, *files])}
    places = {path: found.get(path) or place for path, place in [*found.items(), *_places(files)]}
    return [(path, places[path]) for path in dict.fromkeys([*found, *files]) if once[path.resolve()] == path]


def paths_in(lines: Iterable[str]) -> list[Path]:
    """Paths of a list: one per line, empty lines are left out."""
    return [Path(line.rstrip("\r\n")) for line in lines if line.strip()]


def images_below(folder: Path, out: Path) -> list[Path]:
    """Image files below a folder, as training finds them: hidden files and folders (`._a.png`,
    `.ipynb_checkpoints`) are left out, and so is the output folder. Arrays (.npy, .npz) count where there is no picture.
    """
    readable, pictures = readable_suffixes(), picture_suffixes()
    files = [
        path for path in sorted(folder.rglob("*"))
        if suffix_of(path) in readable and not any(p.startswith(".") for p in path.relative_to(folder).parts) and path.is_file()
    ]  # fmt: skip
    if folder.resolve() in out.resolve().parents:
        files = [path for path in files if out.resolve() not in path.resolve().parents]
    return [path for path in files if suffix_of(path) in pictures] or files


def _expanded(paths: Sequence[Path]) -> Iterator[Path]:
    """Paths with patterns and lists replaced by what they match and contain."""
    for path in paths:
        if path.suffix.lower() == LIST_SUFFIX and path.is_file():
            try:
                yield from paths_in(path.read_text(encoding="utf-8").splitlines())
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{path}: can't be read as a list of paths, one per line ({error})") from error
        elif not path.exists() and glob.has_magic(str(path)):
            matches = sorted(glob.glob(str(path), recursive=True))
            if not matches:
                raise DataError(f"{path}: the pattern matches no file")
            yield from (
                Path(match) for match in matches if suffix_of(match) in readable_suffixes() or Path(match).is_dir()
            )
        else:
            yield path


def _places(files: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The paths of single files below the output folder."""
    different = list({path.resolve(): path for path in files}.values())
    common = Path(os.path.commonpath([path.resolve().parent for path in different])) if different else Path()
    twice = {stem for stem, count in Counter(stem_of(path) for path in different).items() if count > 1}
    return [(path, path.resolve().relative_to(common) if stem_of(path) in twice else Path(path.name)) for path in files]
