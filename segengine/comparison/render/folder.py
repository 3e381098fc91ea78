"""Writing of a comparison: the page to a file; tables, texts and figures to a folder without other files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from segengine.comparison.contents import Contents
from segengine.comparison.render.csv import as_csv, records, table_csv
from segengine.comparison.render.json import as_text, document
from segengine.comparison.render.latex import latex
from segengine.comparison.render.markdown import markdown
from segengine.comparison.render.page import GENERATOR
from segengine.comparison.render.pictures import picture_png
from segengine.errors import ComparisonError
from segengine.files import write_bytes, write_json, write_text

LIST = "files.json"
_HEAD = 4096


def check_page(path: Path) -> bool:
    """Whether `path` is an earlier comparison page, which would be replaced.

    Raises:
        ComparisonError: `path` is another file, or its folder is not writable.
    """
    if path.is_dir():
        raise ComparisonError(
            f"{path}: is a folder; give --html the name of a file, such as {path / 'comparison.html'}"
        )
    _check_writable(path.parent)
    if not path.exists():
        return False
    if f'<meta name="generator" content="{GENERATOR}">' not in path.read_bytes()[:_HEAD].decode(errors="replace"):
        raise ComparisonError(f"{path}: is no comparison that segengine wrote; choose another name, or remove it")
    return True


def write_page(path: Path, page: str) -> None:
    """Write the page atomically."""
    with _in_words(path):
        write_text(path, page)


def check_folder(folder: Path) -> None:
    """Check that `folder` is new, empty, or contains an unchanged earlier output.

    Raises:
        ComparisonError: `folder` contains other or changed files; names the first one.
    """
    if folder.exists() and not folder.is_dir():
        raise ComparisonError(f"{folder}: is no folder; give --out a folder")
    _check_writable(folder.parent if not folder.exists() else folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LIST).exists():
        raise ComparisonError(
            f"{folder}: is not empty and holds no earlier comparison; choose an empty folder or a new one"
        )
    known = _listed(folder)
    there = [name for name in known if (folder / name).exists()]
    changed = [name for name in there if _digest((folder / name).read_bytes()) not in known[name]]
    if changed:
        raise ComparisonError(
            f"{folder / changed[0]}: was changed since segengine wrote it; move it away, or choose another folder"
        )


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files atomically; remove files of an earlier output that are not among them.

    Raises:
        ComparisonError: a file would be overwritten that is not from an earlier output, or the folder is not writable.
    """
    known = _listed(folder)
    strangers = [name for name in files if name not in known and (folder / name).exists()]
    if strangers:
        raise ComparisonError(
            f"{folder / strangers[0]}: is not from an earlier comparison; move it away, or choose another folder"
        )
    digests = {name: [_digest(content)] for name, content in files.items()}
    both = {name: known.get(name, []) + digests.get(name, []) for name in (known | digests)}
    with _in_words(folder):
        write_json(folder / LIST, {"format": 1, "files": both})  # whichever of both a kill leaves is ours
        for name, content in files.items():
            write_bytes(folder / name, content)
        for name in known.keys() - files.keys():
            (folder / name).unlink(missing_ok=True)
        write_json(folder / LIST, {"format": 1, "files": digests})


def files_of(all_contents: Sequence[Contents]) -> dict[str, bytes]:
    """Relative path -> content of all files; several comparisons have one folder each."""
    found: dict[str, bytes] = {}
    for place, contents in enumerate(all_contents, start=1):
        below = "" if len(all_contents) == 1 else f"{place:02d}-{_slug(contents.judged.comparison.title)}/"
        for name, content in _files(contents):
            found[below + name] = content.encode() if isinstance(content, str) else content
    return found


def _files(contents: Contents) -> Iterator[tuple[str, str | bytes]]:
    judged, said = contents.judged, contents.judged.said
    yield "comparison.json", as_text(document(judged), [judged]) + "\n"
    yield "comparison.md", markdown(judged, contents.all_figures)
    yield "methods.txt", "\n".join([said.methods, "", "References", *said.references]) + "\n"
    for name, rows in records(judged).items():
        yield f"{name}.csv", as_csv(rows)
    for name, table in contents.tables.items():
        yield f"tables/{name}.csv", table_csv(table)
        yield f"tables/{name}.tex", latex(table)
    for figure in contents.all_figures:
        yield f"figures/{figure.name}.svg", figure.as_file()
    if contents.gallery is not None:
        for place, picture in enumerate(contents.gallery.pictures, start=1):
            yield f"figures/picture-{place}.png", picture_png(picture, contents.gallery)


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "comparison"


def _listed(folder: Path) -> dict[str, list[str]]:
    """Files of an earlier output that exist in the folder, with their recorded digests."""
    path = folder / LIST
    if not path.exists():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        found = {str(name): [str(digest) for digest in digests] for name, digests in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ComparisonError(f"{path}: is no list of an earlier comparison's files; choose another folder") from None
    inside = folder.resolve()
    return {name: digests for name, digests in found.items() if inside in (folder / name).resolve().parents}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_writable(folder: Path) -> None:
    """Check that a path is writable, before anything is computed."""
    there = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ComparisonError(f"{there}: can't be written to; choose another place")


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ComparisonError(f"{path}: can't be written ({error.strerror}); choose another place") from error
