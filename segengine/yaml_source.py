"""YAML text -> plain data, and where in the text each key and value stands.

Safe loading only (nodes are composed and turned into plain scalars, lists and dicts; no tags), YAML
1.2's core scalars (`3e-4` is a number, `on` and `no` are words), no duplicate keys, no merge keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from segengine.errors import SpecError

Path = tuple[str | int, ...]
_MOST_NODES = 100_000  # aliases can't blow a small file up


@dataclass(frozen=True)
class Position:
    """A place in a text, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """Parsed text: `data` is plain; `keys` and `values` give the position of each path."""

    name: str
    data: Any
    keys: Mapping[Path, Position] = field(default_factory=dict)
    values: Mapping[Path, Position] = field(default_factory=dict)

    def where(self, path: Path, *, key: bool = False) -> str:
        """`file:line:column` of a path, or of its nearest ancestor that stands in the text."""
        for end in range(len(path), -1, -1):
            tables = (self.keys, self.values) if key else (self.values, self.keys)
            for table in tables:
                if path[:end] in table:
                    position = table[path[:end]]
                    return f"{self.name}:{position.line}:{position.column}"
        return self.name


class _Loader(yaml.SafeLoader):
    """SafeLoader that resolves plain scalars as YAML 1.2's core schema does."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
     "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
):  # fmt: skip
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first) + ([""] if _tag == "null" else [])
    )


def parse(text: str, name: str) -> Source:
    """Parse one YAML document.

    Args:
        text: the document.
        name: what messages call it, usually the file's path.

    Raises:
        SpecError: bad syntax, a duplicate key, a tag or a merge key, with `name:line:column`.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise SpecError(f"{place}: not valid YAML: {error.problem}; check indentation, colons and quotes") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if node is None:
        return Source(name, None)
    builder = _Builder(name)
    return Source(name, builder.build(node, ()), builder.keys, builder.values)


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = _position(node)
        if len(self.values) > _MOST_NODES:
            raise SpecError(f"{self.name}: more than {_MOST_NODES} values; is this an experiment file?")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an alias refers to the block it is in; write the block out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a plain word")
            key = str(key_node.value)
            if key == "<<":
                raise self._error(key_node, "merge keys are not supported; write the settings out, or use variants")
            if key in result:
                first = self.keys[(*path, key)]
                raise self._error(key_node, f"'{key}' is given twice (first on line {first.line}); remove one")
            self.keys[(*path, key)] = _position(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if kind == "float":
            return float(
                text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
            )
        raise self._error(node, f"the tag {node.tag} is not allowed; write a plain value")

    def _error(self, node: yaml.Node, message: str) -> SpecError:
        place = _position(node)
        return SpecError(f"{self.name}:{place.line}:{place.column}: {message}")


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
