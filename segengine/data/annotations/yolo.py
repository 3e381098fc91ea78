"""YOLO segmentation: a data.yaml with class names and folders, and one text file of polygons per image.

A line is a class number and x1 y1 x2 y2 ... as fractions of the image's size (Ultralytics).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from segengine.data.annotations.image_files import ImageFiles
from segengine.data.annotations.shapes import AnnotatedImage, Annotations, Shape, number
from segengine.data.files.limits import file_bytes
from segengine.errors import DataError

_SPLIT_KEYS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_BOX_COLUMNS = 5
_LEAST_COLUMNS = 7


def add_yolo(root: Path, names: str, files: ImageFiles, *, by_folder: bool, found: Annotations) -> None:
    """Add all images to `found`; classes in the order of their numbers.

    Args:
        root: the folder of the data set.
        names: the data.yaml, or a text file with one class name per line, relative to `root`.
        files: the image files.
        by_folder: use the images of the folders that data.yaml lists for each split, instead of all of `files`.
        found: the result.

    Raises:
        DataError: no such file, class numbers without a name, or lines that are not polygons.
    """
    path = root / names
    document = _names_file(path)
    labels = _labels(document, path)
    found.add_labels(labels)
    images = list(_of_folders(document, path, files)) if by_folder else [(p, m.split) for p, m in files.matches.items()]
    if not images:
        raise DataError(f"{path}: its train, val and test folders have no images; set data.source.images to a pattern")
    for image, split in images:
        text = _label_file(image, root)
        shapes = tuple(_shapes(text, labels, found)) if text is not None else ()
        where = str(text or image)
        name = image.relative_to(files.root).as_posix()
        found.images.append(AnnotatedImage((name,), where, files.root, None, shapes, split, True, text is not None))


def _names_file(path: Path) -> dict[str, Any]:
    content = file_bytes(path).decode("utf-8-sig", errors="replace")
    if path.suffix.lower() not in (".yaml", ".yml"):
        return {"names": [line.strip() for line in content.splitlines() if line.strip()]}
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: is not valid YAML ({' '.join(str(error).split())[:100]})") from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: has no settings; add names: with the class names")
    return document


def _labels(document: dict[str, Any], path: Path) -> list[str]:
    names = document.get("names")
    if isinstance(names, dict):
        try:
            by_number = {int(key): str(name) for key, name in names.items()}
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: a key of names is not a number") from error
        if by_number and not 0 <= min(by_number) <= max(by_number) < 65535:
            raise DataError(f"{path}: class numbers must be from 0 to 65534")
        names = [by_number.get(i, f"class {i}") for i in range(max(by_number, default=-1) + 1)]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: lists no class names; write names: [...] in the order of the class numbers")
    labels = [str(name) for name in names]
    repeated = sorted({name for name in labels if labels.count(name) > 1})
    return [f"{name} {i}" if name in repeated else name for i, name in enumerate(labels)]


def _of_folders(document: dict[str, Any], path: Path, files: ImageFiles) -> Iterator[tuple[Path, str | None]]:
    """Images of the folders, or lists of images, that data.yaml names for each split."""
    seen: set[Path] = set()
    for key, split in _SPLIT_KEYS.items():
        value = document.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str) or not entry.strip():
                continue
            for image in _images_of(entry, document, path, files):
                if image not in seen:
                    seen.add(image)
                    yield image, split


def _images_of(entry: str, document: dict[str, Any], path: Path, files: ImageFiles) -> list[Path]:
    base = document.get("path")
    parts = tuple(part for part in entry.replace("\\", "/").split("/") if part not in ("", "."))
    # Roboflow writes ../train/images for folders beside data.yaml; `path` is often that of another computer.
    inside = tuple(part for part in parts if part != "..")
    own = (path.parent / base,) if isinstance(base, str) and not os.path.isabs(base) else ()
    for start in (*own, path.parent, files.root):
        for tail in (parts, *(inside[i:] for i in range(len(inside)))):
            folder = Path(os.path.normpath(Path(os.path.abspath(start), *tail)))
            if folder.suffix == ".txt" and folder.is_file() and folder.is_relative_to(files.root):
                pattern = folder.relative_to(files.root).as_posix()
                return _listed(files, pattern)
            images = sorted(image for image in files.matches if image.is_relative_to(folder)) if tail else []
            if images and folder.is_relative_to(files.root):
                return images
    return []


def _listed(files: ImageFiles, pattern: str) -> list[Path]:
    """Images in a list of names, one per line."""
    lines = (files.root / pattern).read_text("utf-8-sig", errors="replace").splitlines()
    wanted = [AnnotatedImage((line.strip(),), pattern, files.root, None, ()) for line in lines if line.strip()]
    return sorted({path for image in wanted if (path := files.find(image)) is not None})


def _label_file(image: Path, root: Path) -> Path | None:
    """The text file of an image: in the folder `labels` in place of `images`, or beside the image."""
    base = Path(os.path.abspath(root))
    folders = image.relative_to(base).parts[:-1]
    for i in reversed(range(len(folders))):
        if folders[i].lower() == "images":
            text = base.joinpath(*folders[:i], "labels", *folders[i + 1 :], f"{image.stem}.txt")
            if text.is_file():
                return text
    beside = image.with_suffix(".txt")
    return beside if beside.is_file() else None


def _shapes(path: Path, labels: list[str], found: Annotations) -> Iterator[Shape]:
    content = file_bytes(path).decode("utf-8-sig", errors="replace")
    for line, text in enumerate(content.splitlines(), start=1):
        words = text.split()
        if not words:
            continue
        where = f"{path}:{line}"
        index = number(words[0], where)
        if not index.is_integer() or not 0 <= index < len(labels):
            raise DataError(
                f"{where}: class {words[0]} has no name (there are {len(labels)}); add it to the list of names"
            )
        values = tuple(number(word, where) for word in words[1:])
        if len(words) == _BOX_COLUMNS:
            found.skip("box")
        elif len(words) < _LEAST_COLUMNS or len(words) % 2 == 0:
            raise DataError(
                f"{where}: {len(values)} coordinates are not a polygon of x y pairs; export the annotations again"
            )
        else:
            yield Shape(labels[int(index)], (values,))
