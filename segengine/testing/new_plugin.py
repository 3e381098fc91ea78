"""Creates a working plugin package from the folder `templates`, for `segengine plugins new`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from segengine import __version__
from segengine.components.base import KINDS
from segengine.components.built_ins import BUILT_INS
from segengine.errors import SpecError
from segengine.registry import singular, suggest

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "segengine-"
_OF_THE_PACKAGE = ("README.md", "pyproject.toml")
_TEST, _EXAMPLE = "test.py", "example"


def write_plugin(name: str, kind: str, out: Path) -> Path:
    """Create a package with a working component of `kind`, a README and a test in a new folder in `out`; return that folder.

    Args:
        name: the component's name in experiment files; the distribution is named segengine-NAME.
        kind: a kind of components, such as backbones or losses.
        out: parent of the package's folder.

    Raises:
        SpecError: the name is invalid, the kind is unknown, or the folder exists.
    """
    name = name.removeprefix(_PREFIX)
    _check(name, kind)
    folder = out / f"{_PREFIX}{name}"
    if folder.exists():
        raise SpecError(f"{folder} exists; choose another name, or another folder with --out")
    words = _words(name, kind)
    for path, text in _files(kind, words).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def _check(name: str, kind: str) -> None:
    if kind not in KINDS:
        raise SpecError(f"--kind {kind}: unknown kind; {suggest(kind, KINDS) or 'kinds: ' + ', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789") or "my-name"
        raise SpecError(f"invalid component name '{name}': use lower-case letters, digits and hyphens, such as {near}")
    if any(built_in.name == name and built_in.group.endswith(f".{kind}") for built_in in BUILT_INS):
        raise SpecError(f"'{name}' is a built-in {singular(kind)}; choose another name")


def _words(name: str, kind: str) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "distribution": f"{_PREFIX}{name}",
        "module": f"{_PREFIX}{name}".replace("-", "_"),
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
        "summary": f"The {singular(kind)} {name}",
        "version": __version__,
    }


def _files(kind: str, words: Mapping[str, str]) -> dict[str, str]:
    """Relative path -> content of each file of the package."""
    texts = {**_templates("common"), **_templates(kind)}
    example = _filled(texts.pop(_EXAMPLE), words).rstrip()
    package, files = words["module"], {f"{words['module']}/py.typed": ""}
    for name, text in texts.items():
        path = name if name in _OF_THE_PACKAGE else f"tests/test_{package}.py" if name == _TEST else f"{package}/{name}"
        files[path] = _filled(text, {**words, "example": example})
    return files


def _templates(folder: str) -> dict[str, str]:
    found = resources.files("segengine.testing").joinpath("templates", folder).iterdir()
    return {file.name.removesuffix(".txt"): file.read_text(encoding="utf-8") for file in found}


def _filled(text: str, words: Mapping[str, str]) -> str:
    return Template(text).substitute(words)
