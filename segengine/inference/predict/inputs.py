"""Finds the images to predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segengine.data.files.formats import missing_libraries, picture_suffixes, readable_suffixes, suffix_of
from segengine.errors import DataError
from segengine.registry import suggest


def images_in(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Images of files and folders (recursively), each with its relative path below the output folder.

    An output folder inside an input folder is skipped: it contains earlier predictions.

    Raises:
        DataError: missing path, or no image found.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = _images_below(path)
            if path.resolve() in out.resolve().parents:
                inside = [p for p in inside if out.resolve() not in p.resolve().parents]
            if not inside:
                raise DataError(f"{path}: holds no image ({', '.join(readable_suffixes())})")
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            near = suggest(path.name, [p.name for p in path.parent.glob("*")]) if path.parent.is_dir() else ""
            raise DataError(f"{path}: there is no such file or folder" + (f"; {near}" if near else ""))
    if unread := missing_libraries([image for image, _ in found]):
        raise DataError(unread)
    return found


def _images_below(folder: Path) -> list[Path]:
    """Image files below a folder, as training finds them: hidden files and folders (`._a.png`,
    `.ipynb_checkpoints`) are left out. Arrays (.npy, .npz) count where there is no picture.
    """
    readable, pictures = readable_suffixes(), picture_suffixes()
    files = [
        path for path in sorted(folder.rglob("*"))
        if suffix_of(path) in readable and not any(p.startswith(".") for p in path.relative_to(folder).parts) and path.is_file()
    ]  # fmt: skip
    return [path for path in files if suffix_of(path) in pictures] or files
