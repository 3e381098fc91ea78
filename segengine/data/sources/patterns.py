"""File patterns of a source: `{split}/images/*.png` -> the files that match, and what each wildcard matched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segengine.data.sources.records import SUFFIXES
from segengine.errors import DataError

ALIASES = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT = "(?P<split>" + "|".join(sorted(ALIASES, key=len, reverse=True)) + ")"
_ANY_SUFFIX = r"(?i:" + "|".join(re.escape(s) for s in SUFFIXES) + ")"


@dataclass(frozen=True)
class Match:
    """A file that matched: `key` is what the wildcards matched, `split` train, validation, test or None."""

    path: Path
    key: tuple[str, ...]
    split: str | None


def check_pattern(pattern: str) -> str:
    """A pattern that can be used under a root, or ValueError with what is wrong."""
    if not pattern.strip():
        raise ValueError("a pattern is empty; write for example images/*.png")
    if "\\" in pattern:
        raise ValueError(f"'{pattern}': write / between folders")
    rest = pattern.replace("{split}", "")
    if "{" in rest or "}" in rest:
        raise ValueError(f"'{pattern}': the only name in braces is {{split}}")
    if pattern.count("{split}") > 1:
        raise ValueError(f"'{pattern}': {{split}} can stand only once")
    return pattern


def leaves_root(pattern: str) -> bool:
    """Whether a pattern is absolute or climbs above its root."""
    return pattern.startswith("/") or bool(re.match(r"^[A-Za-z]:", pattern)) or ".." in pattern.split("/")


def find(root: Path, pattern: str, *, outside: bool = False, suffixes: bool = True) -> list[Match]:
    """Files under `root` that match, sorted by path.

    `*` matches within a name, `**` any number of folders, `?` one character, `[..]` one of several, `{split}` a
    split's name in any usual spelling. A last part that ends in a bare `*` means any supported image suffix.
    Names that begin with a dot are never matched.

    Args:
        root: the folder.
        pattern: relative to the root.
        outside: allow patterns and links that lead out of the root.
        suffixes: whether a bare `*` at the end stands for a name with an image suffix.

    Raises:
        DataError: the pattern or a link leads out of the root.
    """
    if leaves_root(pattern) and not outside:
        raise DataError(
            f"the pattern '{pattern}' leads out of {root}; set the source's outside: allow if it's meant to"
        )
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    start = Path("/") if pattern.startswith("/") else root
    found = sorted(set(_walk(start, parts, (), None, suffixes)), key=lambda m: m.path.as_posix())
    if not outside:
        _check_inside(root.resolve(), found)
    return found


def _check_inside(base: Path, found: list[Match]) -> None:
    folders: dict[Path, bool] = {}
    for match in found:
        folder = match.path.parent
        if folder not in folders:
            folders[folder] = folder.resolve().is_relative_to(base)
        if not folders[folder] or (match.path.is_symlink() and not match.path.resolve().is_relative_to(base)):
            raise DataError(
                f"{match.path}: is a link that leads out of {base}; set the source's outside: allow if it's meant to"
            )


def _walk(folder: Path, parts: list[str], key: tuple[str, ...], split: str | None, suffixes: bool) -> Iterator[Match]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _walk(folder, rest, key, split, suffixes)
        for name in _names(folder):
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                yield from _walk(folder / name, parts, (*key, name), split, suffixes)
        return
    if part == "..":
        yield from _walk(folder / "..", rest, key, split, suffixes)
        return
    regex = re.compile(_regex(part, last=not rest and suffixes))
    literal = not any(c in part for c in "*?[{")
    for name in [part] if literal and rest else _names(folder):
        match = regex.fullmatch(name)
        if match is None:
            continue
        groups = match.groupdict()
        spoken = groups.pop("split", None)
        here = ALIASES[spoken] if spoken else split
        caught = (*key, *(text for text in groups.values()))
        if rest:
            if (folder / name).is_dir():
                yield from _walk(folder / name, rest, caught, here, suffixes)
        elif (folder / name).is_file():
            yield Match(folder / name, caught, here)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _regex(part: str, *, last: bool) -> str:
    """A pattern's part as a regular expression; every wildcard is a named group w0, w1 ..."""
    tail = ""
    if last and part.endswith("*.*"):
        part = part[:-2]
    if last and part.endswith("*"):
        tail = _ANY_SUFFIX
    elif last and "." in part and not any(c in part.rpartition(".")[2] for c in "*?[{"):
        part, _, suffix = part.rpartition(".")
        tail = rf"\.(?i:{re.escape(suffix)})"
    pieces = re.split(r"(\{split\}|\*+|\?|\[[^\]]+\])", part)
    wildcards = {"*": ".*", "?": "."}
    out, count = "", 0
    for piece in pieces:
        if piece == "{split}":
            out += _SPLIT
        elif piece and (piece[0] in "*?" or (piece[0] == "[" and piece[-1] == "]")):
            out += f"(?P<w{count}>{wildcards.get(piece[0], piece.replace('[!', '[^'))})"
            count += 1
        else:
            out += re.escape(piece)
    return out + tail
