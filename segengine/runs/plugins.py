"""Plugin packages of a run: versions and file hashes recorded in run.json, compared with what is installed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

AND = " and "
"""Joins the versions, or hashes, of a run that was resumed with a changed plugin."""
_DECIDES_NOTHING = (("trackers",), ("evaluation", "metrics"), ("executor",), ("data", "source"))
"""Settings whose components don't affect the trained network; a source's images and masks are compared by their digests."""


@dataclass(frozen=True)
class PluginChange:
    """A package that differs from the one recorded. Versions are equal if only its files differ; `now` is None if missing."""

    package: str
    then: str
    now: str | None

    @property
    def install(self) -> str:
        """The command that installs the recorded version."""
        return f"pip install {self.package}=={self.then}"

    @property
    def only_files(self) -> bool:
        return self.then == self.now


def component_names(block: Any, but: Collection[tuple[str, ...]] = (), path: tuple[str, ...] = ()) -> Iterator[str]:
    """Qualified names (`package/name`) of plugin components in resolved settings, except at the paths `but`."""
    if path in but:
        return
    if isinstance(block, Mapping):
        if isinstance(name := block.get("name"), str) and "/" in name:
            yield name
        for key, value in block.items():
            yield from component_names(value, but, (*path, str(key)))
    elif isinstance(block, list | tuple):
        for value in block:
            yield from component_names(value, but, path)


def packages(block: Any) -> list[str]:
    """The plugin packages named in resolved settings, sorted."""
    return sorted({name.partition("/")[0] for name in component_names(block)})


def deciding_packages(spec: Mapping[str, Any]) -> list[str]:
    """Those whose components affect the trained network: not trackers, metrics, executors and sources."""
    return sorted({name.partition("/")[0] for name in component_names(spec, _DECIDES_NOTHING)})


def recorded(names: Collection[str]) -> dict[str, dict[str, str]]:
    """The entries `plugins` (versions) and `plugin_files` (SHA-256) of run.json for installed packages."""
    return {
        "plugins": {name: metadata.version(name) for name in sorted(names)},
        "plugin_files": {name: files_sha256(name) for name in sorted(names)},
    }


def changes(run: Mapping[str, Any], names: Collection[str]) -> list[PluginChange]:
    """Those of the packages `names` that differ from what run.json records; packages that it doesn't record are left out."""
    found = []
    for package in names:
        then = _last((run.get("plugins") or {}).get(package))
        if then is None:
            continue
        try:
            now = metadata.version(package)
        except metadata.PackageNotFoundError:
            found.append(PluginChange(package, then, None))
            continue
        digest = _last((run.get("plugin_files") or {}).get(package))
        if now != then or (digest is not None and digest != files_sha256(package)):
            found.append(PluginChange(package, then, now))
    return found


def accepted(run: Mapping[str, Any], changed: Collection[PluginChange]) -> dict[str, dict[str, str]]:
    """The entries of run.json with changed packages added to the recorded ones: `0.1 and 0.2`."""
    entries = {key: dict(run.get(key) or {}) for key in ("plugins", "plugin_files")}
    for key, now in recorded([change.package for change in changed]).items():
        for package, value in now.items():
            before = entries[key].get(package)
            entries[key][package] = value if before is None or _last(before) == value else f"{before}{AND}{value}"
    return entries


def _last(text: str | None) -> str | None:
    return None if text is None else text.rsplit(AND, 1)[-1]


def files_sha256(package: str) -> str:
    """SHA-256 over names and contents of the files of a package's modules with components; nothing is imported.

    Compiled files are left out. Works for editable installs, whose files are those of the source tree.
    """
    groups = [point for point in metadata.distribution(package).entry_points if point.group.startswith("segengine.")]
    files: dict[str, Path] = {}
    for module in sorted({point.module for point in groups}):
        files |= _files(module)
    stamp = tuple(
        (name, str(path), path.stat().st_mtime_ns, path.stat().st_size) for name, path in sorted(files.items())
    )
    return _sha256(stamp)


@lru_cache(maxsize=256)
def _sha256(stamp: tuple[tuple[str, str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, path, _, size in stamp:
        digest.update(f"{name}\0{size}\0".encode())
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _files(module: str) -> dict[str, Path]:
    """Files of the top-level package of a module, by relative name; of a namespace package, those of its part."""
    parts = module.split(".")
    spec = _spec(parts[0])
    if spec is None:
        return {}
    if spec.origin is not None and not spec.submodule_search_locations:
        return {Path(spec.origin).name: Path(spec.origin)}
    roots = [Path(place) for place in spec.submodule_search_locations or ()]
    if spec.origin is None and len(parts) > 1:  # a namespace, whose other parts belong to other distributions
        below = [path for root in roots for path in (root / parts[1], root / f"{parts[1]}.py") if path.exists()]
        files = {path.name: path for path in below if path.is_file()}
        return files | {name: path for root in below if root.is_dir() for name, path in _tree(root).items()}
    return {name: path for root in roots for name, path in _tree(root).items()}


def _spec(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded.__spec__
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def _tree(root: Path) -> dict[str, Path]:
    return {
        path.relative_to(root.parent).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    }
