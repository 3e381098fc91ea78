"""Files of a folder: image files, text files that may describe them, and unsupported files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segengine.data.files.formats import FORMATS, PICTURE_SUFFIXES, picture_suffixes, suffix_of
from segengine.data.sources.records import listed
from segengine.errors import DataError, counted

Parts = tuple[str, ...]
"""A file's path below the root, as names."""

_TEXTS = (".txt", ".csv", ".tsv", ".json", ".yaml", ".yml", ".xml", ".names", ".ctbl", ".label", ".lbl")
_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r", "ehthumbs.db", "$recycle.bin"}
_HOW_TO_READ = {
    ".dcm": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI", ".gz": "an archive: unpack it", ".nrrd": "NRRD (3D Slicer)", ".mha": "MetaImage",
    ".mhd": "MetaImage", ".npy": "NumPy arrays", ".npz": "NumPy arrays", ".svs": "whole slides", ".ndpi": "whole slides",
    ".mrxs": "whole slides", ".jp2": "JPEG 2000", ".webp": "WebP", ".heic": "HEIC", ".zip": "an archive: unpack it",
    ".tar": "an archive: unpack it", ".7z": "an archive: unpack it", ".rar": "an archive: unpack it", ".h5": "HDF5", ".hdf5": "HDF5",
    ".mat": "MATLAB arrays", ".parquet": "Parquet tables", ".tfrecord": "TFRecord",
}  # fmt: skip


@dataclass(frozen=True)
class Tree:
    """The files below `root`, sorted; `unread` is the number of unsupported files by (folder, suffix).

    `outside` are links to targets outside of the root; they are not followed. `linked`: some files are links.
    """

    root: Path
    pictures: tuple[Parts, ...]
    texts: tuple[Parts, ...]
    unread: Mapping[tuple[str, str], int]
    outside: tuple[Parts, ...]
    linked: bool = False

    def path(self, parts: Parts) -> Path:
        """The path of a file of this tree."""
        return self.root.joinpath(*parts)

    def unread_words(self) -> str:
        """The unsupported files, by folder and suffix; '' if there are none."""
        found = sorted(self.unread.items(), key=lambda item: (-item[1], item[0]))
        commands = _commands()
        installable = [_contents(*item) for item in found if item[0][1] in commands]
        if installable:
            more = f" and {counted(len(installable) - 3, 'other folder')}" if len(installable) > 3 else ""
            needed = listed(sorted({commands[suffix] for _, suffix in self.unread if suffix in commands}))
            return f"{listed(installable[:3])}{more}: {needed}"
        words = [_contents(*item) for item in found[:3]]
        more = f" and {counted(len(found) - 3, 'other kind')}" if len(found) > 3 else ""
        return f"{listed(words)}{more}, which can't be read; readable: {' '.join(PICTURE_SUFFIXES)}" if words else ""


def _contents(where: tuple[str, str], number: int) -> str:
    """`images/ holds 10 .dcm (DICOM)`."""
    folder, suffix = where
    kind = _HOW_TO_READ.get(suffix, "")
    return f"{folder or '.'}/ holds {counted(number, suffix or 'file without suffix', suffix)}{f' ({kind})' if kind else ''}"


def _commands() -> dict[str, str]:
    """Suffix -> command that installs the missing library of a built-in format."""
    return {suffix: command for entry in FORMATS if (command := entry.missing_library()) for suffix in entry.suffixes}


def look_around(root: Path, *, outside: bool = False) -> Tree:
    """All files below a folder; with `outside`, links to targets outside of it are followed. Raises DataError if it is not a folder."""
    if not root.is_dir():
        raise DataError(f"{root}: not a directory; specify the folder with images and masks")
    pictures: list[Parts] = []
    arrays: list[Parts] = []
    texts: list[Parts] = []
    leaving: list[Parts] = []
    unread: Counter[tuple[str, str]] = Counter()
    base = os.path.realpath(root)
    readable = set(picture_suffixes()) - _commands().keys()
    array_suffixes = {suffix for entry in FORMATS if not entry.picture for suffix in entry.suffixes}
    for parts, leaves in _walk(Path(root), (), base, {base}, outside):
        suffix = suffix_of(parts[-1])
        if leaves:
            leaving.append(parts)
        elif suffix in readable:
            pictures.append(parts)
        elif suffix in array_suffixes:
            arrays.append(parts)
        elif suffix in _TEXTS:
            texts.append(parts)
        else:
            unread["/".join(parts[:-1]), suffix] += 1
    if not pictures or len(arrays) == len(pictures):  # otherwise arrays accompany images without being any
        pictures += arrays
    else:
        unread.update(("/".join(parts[:-1]), suffix_of(parts[-1])) for parts in arrays)
    linked = any(
        os.path.islink(os.path.join(root, *parts[: i + 1])) for parts in pictures[:2000] for i in range(len(parts))
    )
    return Tree(root, tuple(sorted(pictures)), tuple(sorted(texts)), dict(unread), tuple(sorted(leaving)), linked)


def _walk(folder: Path, parts: Parts, base: str, above: set[str], follow: bool) -> Iterator[tuple[Parts, bool]]:
    """Each file, and whether it is a link to a target outside of the root; cycles of links are not followed."""
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
