"""Which files a folder holds: pictures, texts that may describe them, and what can't be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segengine.data.files.formats import PICTURE_SUFFIXES
from segengine.data.sources.records import counted, listed
from segengine.errors import DataError

Parts = tuple[str, ...]
"""A file's path below the root, as names."""

_TEXTS = (".txt", ".csv", ".tsv", ".json", ".yaml", ".yml", ".xml", ".names", ".ctbl", ".label", ".lbl")
_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r", "ehthumbs.db", "$recycle.bin"}
_HOW_TO_READ = {
    ".dcm": "DICOM", ".nii": "NIfTI", ".gz": "NIfTI (.nii.gz) or an archive", ".nrrd": "NRRD (3D Slicer)", ".mha": "MetaImage",
    ".mhd": "MetaImage", ".npy": "NumPy arrays", ".npz": "NumPy arrays", ".svs": "whole slides", ".ndpi": "whole slides",
    ".mrxs": "whole slides", ".jp2": "JPEG 2000", ".webp": "WebP", ".heic": "HEIC", ".zip": "an archive: unpack it",
    ".tar": "an archive: unpack it", ".7z": "an archive: unpack it", ".rar": "an archive: unpack it", ".h5": "HDF5", ".hdf5": "HDF5",
    ".mat": "MATLAB arrays", ".parquet": "Parquet tables", ".tfrecord": "TFRecord",
}  # fmt: skip


@dataclass(frozen=True)
class Tree:
    """A folder's files below `root`, sorted; `unread` counts files by (folder, suffix) that no reader takes.

    `outside` are links that lead out of the root; they are not followed. `linked`: some files are links.
    """

    root: Path
    pictures: tuple[Parts, ...]
    texts: tuple[Parts, ...]
    unread: Mapping[tuple[str, str], int]
    outside: tuple[Parts, ...]
    linked: bool = False

    def path(self, parts: Parts) -> Path:
        """A file of this tree."""
        return self.root.joinpath(*parts)

    def unread_words(self) -> str:
        """What can't be read, by folder and suffix; '' where there is nothing."""
        found = sorted(self.unread.items(), key=lambda item: (-item[1], item[0]))
        words = []
        for (folder, suffix), number in found[:3]:
            kind = _HOW_TO_READ.get(suffix, "")
            words.append(
                f"{folder or '.'}/ holds {counted(number, suffix or 'file without suffix', suffix)}{f' ({kind})' if kind else ''}"
            )
        more = f" and {counted(len(found) - 3, 'other kind')}" if len(found) > 3 else ""
        return f"{listed(words)}{more}, which can't be read; readable: {' '.join(PICTURE_SUFFIXES)}" if words else ""


def suffix_of(name: str) -> str:
    """A file name's suffix as `PurePath.suffix` has it, without a path object per file."""
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def look_around(root: Path, *, outside: bool = False) -> Tree:
    """All files below a folder, with `outside` those of links that lead out of it too. Raises DataError where it is none."""
    if not root.is_dir():
        raise DataError(f"{root}: is no folder; give the folder that holds images and masks")
    pictures: list[Parts] = []
    texts: list[Parts] = []
    leaving: list[Parts] = []
    unread: Counter[tuple[str, str]] = Counter()
    base = os.path.realpath(root)
    for parts, leaves in _walk(Path(root), (), base, {base}, outside):
        suffix = suffix_of(parts[-1]).lower()
        if leaves:
            leaving.append(parts)
        elif suffix in PICTURE_SUFFIXES:
            pictures.append(parts)
        elif suffix in _TEXTS:
            texts.append(parts)
        else:
            unread["/".join(parts[:-1]), suffix] += 1
    linked = any(
        os.path.islink(os.path.join(root, *parts[: i + 1])) for parts in pictures[:2000] for i in range(len(parts))
    )
    return Tree(root, tuple(sorted(pictures)), tuple(sorted(texts)), dict(unread), tuple(sorted(leaving)), linked)


def _walk(folder: Path, parts: Parts, base: str, above: set[str], follow: bool) -> Iterator[tuple[Parts, bool]]:
    """Each file with whether it is a link out of the root; folders are entered once on each way down."""
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _JUNK or entry.name.endswith("~"):
            continue
        here = (*parts, entry.name)
        real = os.path.realpath(entry.path) if entry.is_symlink() else ""
        leaves = not follow and bool(real) and real != base and not real.startswith(base + os.sep)
        if entry.is_dir():
            if leaves:
                yield here, True
            elif (real or os.path.realpath(entry.path)) not in above:
                yield from _walk(Path(entry.path), here, base, above | {real or os.path.realpath(entry.path)}, follow)
        elif entry.is_file():
            yield here, leaves
