"""File patterns of a source, such as `{split}/images/*.png`: matching files, and the text of each wildcard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from segengine.data.files.formats import picture_suffixes
from segengine.errors import DataError

ALIASES = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test", "testing": "test",
    "trainval": "train", "train_val": "train", "train-val": "train", "tr": "train", "ts": "test", "dev": "validation", "eval": "validation",
}  # fmt: skip
NAMED = ("class", "object", "channel", "group", "slice")
"""Placeholders besides `{split}`; `class`, `object`, `channel` and `slice` mark parts of one image or mask."""
_SPLIT = "(?P<split>(?i:" + "|".join(sorted(ALIASES, key=len, reverse=True)) + "))"
_PLACEHOLDER = re.compile(r"\{(?:split|any|" + "|".join(NAMED) + r")\}")


@dataclass(frozen=True)
class Match:
    """A matching file: `key` is the text matched by wildcards; `split` is train, validation, test or None.

    `named`: the texts matched by `{class}`, `{object}`, `{channel}`, `{slice}` and `{group}`, as (name, text).
    `link`: whether the file is a symbolic link.
    """

    path: Path
    key: tuple[str, ...]
    split: str | None
    named: tuple[tuple[str, str], ...] = ()
    link: bool = False

    def value(self, name: str) -> str | None:
        """The text matched by the placeholder `{name}`; None if the pattern has none."""
        return dict(self.named).get(name)


def check_pattern(pattern: str) -> str:
    """Validate a pattern relative to a root; raises ValueError with the problem."""
    if not pattern.strip():
        raise ValueError("a pattern is empty; write for example images/*.png")
    rest = re.sub(r"\[[^\]]\]", "", pattern)  # `[{]` is a literal character
    if "\\" in rest:
        raise ValueError(f"'{pattern}': write / between folders")
    rest = _PLACEHOLDER.sub("", rest)
    if "{" in rest or "}" in rest:
        names = ", ".join(f"{{{name}}}" for name in ("split", *NAMED, "any"))
        raise ValueError(f"'{pattern}': the only names in braces are {names}")
    for name in ("split", *NAMED):
        if pattern.count(f"{{{name}}}") > 1:
            raise ValueError(f"'{pattern}': {{{name}}} may occur only once")
    return pattern


def literal(name: str) -> str:
    """Escape a file or folder name, so that the pattern matches only it."""
    return re.sub(r"[*?\[{}\\]", lambda special: f"[{special[0]}]", name)


def leaves_root(pattern: str) -> bool:
    """Whether a pattern is absolute or climbs above its root."""
    return pattern.startswith("/") or bool(re.match(r"^[A-Za-z]:", pattern)) or ".." in pattern.split("/")


def find(root: Path, pattern: str, *, outside: bool = False, suffixes: bool = True) -> list[Match]:
    """Files under `root` that match, sorted by path.

    `*` matches within a name, `**` any number of folders, `?` one character, `[..]` one of several, `{split}` a
    split's name in any usual spelling. `{class}`, `{object}`, `{channel}`, `{slice}` and `{group}` match the class, object,
    channel, slice or group of a file; `{any}` matches text that is ignored. The key consists of the text matched by `*`, `**`, `?`,
    `[..]` and `{group}`. `[x]` with a single character is that literal character. A last part that ends in a bare `*`
    matches any supported image suffix. Names that begin with a dot are never matched.

    Args:
        root: the folder.
        pattern: relative to the root.
        outside: allow patterns and links that lead out of the root.
        suffixes: whether a bare `*` at the end matches names with an image suffix only.

    Raises:
        DataError: the pattern or a link leads outside the root.
    """
    if leaves_root(pattern) and not outside:
        raise DataError(
            f"the pattern '{pattern}' leads outside {root}; set outside: allow in data.source to permit this"
        )
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    start = Path("/") if pattern.startswith("/") else root
    matches: Iterable[Match] = _walk(start, parts, Match(start, (), None), suffixes)
    if parts.count("**") > 1:  # only then a file can match twice
        matches = set(matches)
    found = sorted(matches, key=lambda m: str(m.path))
    if not outside:
        _check_inside(root.resolve(), found)
    return found


def finds_any(root: Path, pattern: str, *, outside: bool = False) -> bool:
    """Whether any file matches; stops at the first match."""
    if leaves_root(pattern) and not outside:
        return bool(find(root, pattern))  # raises
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    start = Path("/") if pattern.startswith("/") else root
    return next(_walk(start, parts, Match(start, (), None), suffixes=True), None) is not None


def _check_inside(base: Path, found: list[Match]) -> None:
    folders: dict[str, bool] = {}
    for match in found:
        folder = os.path.dirname(match.path)
        if folder not in folders:
            folders[folder] = match.path.parent.resolve().is_relative_to(base)
        if not folders[folder] or (match.link and not match.path.resolve().is_relative_to(base)):
            raise DataError(
                f"{match.path}: is a link that leads outside {base}; set outside: allow in data.source to permit this"
            )


def _walk(folder: Path, parts: list[str], so_far: Match, suffixes: bool) -> Iterator[Match]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _walk(folder, rest, so_far, suffixes)
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                below = replace(so_far, key=(*so_far.key, entry.name))
                yield from _walk(folder / entry.name, parts, below, suffixes)
        return
    if part == "..":
        yield from _walk(folder / "..", rest, so_far, suffixes)
        return
    regex = re.compile(_regex(part, last=not rest and suffixes), re.DOTALL)
    if rest and not any(c in part for c in "*?[{"):
        if regex.fullmatch(part) and (folder / part).is_dir():
            yield from _walk(folder / part, rest, replace(so_far, path=folder / part), suffixes)
        return
    for entry in _entries(folder):
        match = regex.fullmatch(entry.name)
        if match is None:
            continue
        if rest and entry.is_dir():
            here = _extended(so_far, match, folder / entry.name)
            yield from _walk(here.path, rest, here, suffixes)
        elif not rest and entry.is_file():
            yield _extended(so_far, match, folder / entry.name, link=entry.is_symlink())


def _extended(so_far: Match, match: re.Match[str], path: Path, *, link: bool = False) -> Match:
    """Extend a match by the next part of the path."""
    groups = match.groupdict()
    spoken = groups.pop("split", None)
    named = tuple((name, groups[name]) for name in NAMED if name in groups)
    keys = tuple(text for name, text in groups.items() if name not in NAMED or name == "group")
    split = ALIASES[spoken.lower()] if spoken else so_far.split
    return Match(path, (*so_far.key, *keys), split, (*so_far.named, *named), link)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder, sorted by name; scandir gives the type of most without a stat call."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


def _any_suffix() -> str:
    """A regular expression for the suffixes that a bare `*` includes."""
    return r"(?i:" + "|".join(re.escape(suffix) for suffix in picture_suffixes()) + ")"


def _regex(part: str, *, last: bool) -> str:
    """A part of a pattern as a regular expression; wildcards are named groups w0, w1 ..."""
    tail = ""
    if last and part.endswith(".*"):
        part, tail = part[:-2], _any_suffix()
    elif last and part.endswith(("*", "}")):
        tail = _any_suffix()
    elif last and "." in part and not any(c in part.rpartition(".")[2] for c in "*?[{"):
        part, _, suffix = part.rpartition(".")
        tail = rf"\.(?i:{re.escape(suffix)})"
    pieces = re.split(r"(\{[a-z]+\}|\*+|\?|\[[^\]]+\])", part)
    wildcards = {"*": ".*", "?": "."}
    out, count = "", 0
    for piece in pieces:
        if piece == "{split}":
            out += _SPLIT
        elif piece == "{any}":
            out += ".*"
        elif piece[1:-1] in NAMED and piece[0] == "{":
            out += f"(?P<{piece[1:-1]}>{'.*' if piece in ('{object}', '{slice}') else '.+?' if piece == '{group}' else '.+'})"
        elif len(piece) == 3 and piece[0] == "[":
            out += re.escape(piece[1])
        elif piece and (piece[0] in "*?" or (piece[0] == "[" and piece[-1] == "]")):
            out += f"(?P<w{count}>{wildcards.get(piece[0], piece.replace('[!', '[^'))})"
            count += 1
        else:
            out += re.escape(piece)
    return out + tail
