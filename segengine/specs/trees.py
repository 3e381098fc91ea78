"""Plain data with the source location of each key and value; merging of variants and application of overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from segengine.errors import SpecError
from segengine.yaml_source import Path, Source, parse

Blocks = Callable[[Path, Any, Any], Mapping[str, Any] | None]
"""Function (path, all data, value) -> the block for which the value is a short form, or None; see `block_of`."""


def _no_blocks(path: Path, data: Any, value: Any) -> None:
    """For data without declared settings."""


@dataclass
class Tree:
    """Data, and the source (`file:line:column` or `-s ...`) of keys and values by path."""

    data: Any
    keys: dict[Path, str] = field(default_factory=dict)
    values: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, under: Path = ()) -> Tree:
        """The tree of a source below the path `under`."""
        data = source.data
        for step in under:
            data = data[step]
        n = len(under)
        keys = {p[n:]: source.where(p, key=True) for p in source.keys if p[:n] == under and len(p) > n}
        values = {p[n:]: source.where(p) for p in source.values if p[:n] == under}
        return cls(data, keys, values)

    def where(self, path: Path, *, key: bool = False) -> str:
        """The source of a path, or of its nearest ancestor in the file."""
        for end in range(len(path), -1, -1):
            for table in (self.keys, self.values) if key else (self.values, self.keys):
                if path[:end] in table:
                    return table[path[:end]]
        return ""


def merged(base: Tree, over: Tree, block_of: Blocks = _no_blocks) -> Tree:
    """`base` with `over` merged key by key; blocks with a `name` and lists are replaced.

    If `base` has no component at a path, parameters without `name` change the default component.
    """
    result = Tree(None, dict(base.keys), dict(base.values))
    result.data = _merge(
        result, base.data, over, over.data, (), block_of=lambda path, value: block_of(path, base.data, value)
    )
    return result


def _merge(
    result: Tree,
    old: Any,
    over: Tree,
    new: Any,
    path: Path,
    *,
    block_of: Callable[[Path, Any], Mapping[str, Any] | None],
) -> Any:
    if isinstance(new, dict) and "name" not in new:
        old = _opened(result, old, path, block_of)
    if isinstance(old, dict) and isinstance(new, dict) and ("name" not in new or path == ()):
        both = dict(old)
        for key, value in new.items():
            below = (*path, key)
            both[key] = _merge(result, old.get(key), over, value, below, block_of=block_of)
            if below in over.keys:
                result.keys[below] = over.keys[below]
        return both
    return _take(result, over, new, path)


def _opened(result: Tree, old: Any, path: Path, block_of: Callable[[Path, Any], Mapping[str, Any] | None]) -> Any:
    """The block of a short form: `{name: unet}` for `unet`, the default for None."""
    if isinstance(old, dict | list):
        return dict(old) if isinstance(old, dict) else old
    block = {"name": old} if isinstance(old, str) else block_of(path, old)
    if block is None:
        return {} if old is None else old
    if old is not None:
        result.values.update({(*path, key): result.where(path) for key in block})
    return dict(block)


def _take(result: Tree, over: Tree, new: Any, path: Path) -> Any:
    n = len(path)
    for mine, theirs in ((result.keys, over.keys), (result.values, over.values)):
        for stale in [p for p in mine if p[:n] == path and p != path]:
            del mine[stale]
        mine.update({p: place for p, place in theirs.items() if p[:n] == path})
    return new


@dataclass(frozen=True)
class Override:
    """One `-s path.to.setting=value` of the command line."""

    steps: tuple[str, ...]
    value: Any
    text: str

    @property
    def place(self) -> str:
        return f"-s {self.text}"


def parse_override(text: str) -> Override:
    """Read `path.to.setting=value`; the value is YAML.

    Raises:
        SpecError: no `=`, an empty path, or a value that is not valid YAML.
    """
    path_text, equals, value_text = text.partition("=")
    steps = tuple(step for step in path_text.strip().split(".") if step)
    if not equals or not steps:
        raise SpecError(f"-s {text}: write it as -s path.to.setting=value, for example -s training.epochs=3")
    value = parse(value_text.strip(), f"-s {text}").data if value_text.strip() else None
    if len(steps) > 1 and steps[-1] == "name":  # another component, without the parameters of the old one
        return Override(steps[:-1], {"name": value}, text)
    return Override(steps, value, text)


def overridden(base: Tree, override: Override, block_of: Blocks = _no_blocks) -> Tree:
    """`base` with one override; numbers in its path are indices of lists (`augmentations.0.scale`).

    If `base` has no component at a path, a parameter changes the default component.
    """
    result = Tree(None, dict(base.keys), dict(base.values))
    result.data = _set(result, base.data, override, (), block_of=lambda path, value: block_of(path, base.data, value))
    return result


def _set(
    result: Tree, old: Any, override: Override, path: Path, *, block_of: Callable[[Path, Any], Mapping[str, Any] | None]
) -> Any:
    place, depth = override.place, len(path)
    if depth == len(override.steps):
        result.keys[path] = place
        return _take(result, Tree(override.value, {}, {path: place}), override.value, path)
    step = override.steps[depth]
    if isinstance(old, list):
        positions = {str(i): i for i in range(len(old))}
        if step not in positions:
            where = ".".join(override.steps[:depth])
            which = f"use an index from 0 to {len(old) - 1}" if old else "set the complete list"
            raise SpecError(f"{place}: {where} is a list of {len(old)}; {which}")
        i = positions[step]
        return [*old[:i], _set(result, old[i], override, (*path, i), block_of=block_of), *old[i + 1 :]]
    old = _opened(result, old, path, block_of)
    block = old if isinstance(old, dict) else {}
    result.keys.setdefault((*path, step), place)
    block[step] = _set(result, block.get(step), override, (*path, step), block_of=block_of)
    return block
