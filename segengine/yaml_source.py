"""YAML text -> plain data, with the position of each key and value.

Safe loading only (nodes are composed and turned into plain scalars, lists and dicts; no tags), YAML
1.2 core scalars (`3e-4` is a number, `on` and `no` are strings), no duplicate keys, no merge keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from segengine.errors import SpecError, printable

Path = tuple[str | int, ...]
_CORE = "tag:yaml.org,2002:"
_MOST_NODES = 100_000  # limits the expansion of aliases
_DEEPEST = 50
_LARGEST = 2**63 - 1
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and unpaired surrogates, which names, paths and titles must not contain."""


@dataclass(frozen=True)
class Position:
    """Position in a text; line and column count from 1."""

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
        """`file:line:column` of a path, or of its nearest ancestor in the text."""
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


_PLAIN: dict[str, re.Pattern[str]] = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
     "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
):  # fmt: skip
    _PLAIN[_tag] = re.compile(_pattern)
    _Loader.add_implicit_resolver(_CORE + _tag, _PLAIN[_tag], list(_first) + ([""] if _tag == "null" else []))


def parse(text: str, name: str) -> Source:
    """Parse one YAML document.

    Args:
        text: the document.
        name: its name in messages, usually the file's path.

    Raises:
        SpecError: bad syntax, a duplicate key, a tag, a merge key, a control character, or a number that is too large, NaN
            or infinite, with `name:line:column`.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except RecursionError:
        raise SpecError(f"{name}: blocks are nested more than {_DEEPEST} deep; is this an experiment file?") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise SpecError(
            f"{name}:{line}:{column}: the character {_code(error.character)} is not allowed; remove it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise SpecError(f"{place}: not valid YAML: {error.problem}; check indentation, colons and quotes") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:  # an escape beyond Unicode
        raise SpecError(f"{name}: not valid YAML: {error}") from error
    finally:
        if loader is not None:
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
        if len(path) > _DEEPEST:
            raise self._error(node, f"blocks are nested more than {_DEEPEST} deep; is this an experiment file?")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in (_CORE + "seq", _CORE + "map"):
            raise self._error(node, f"the tag {node.tag} is not allowed; write a plain list or mapping")
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
            key = self._text(key_node)
            if key == "<<":
                raise self._error(key_node, "merge keys are not supported; write the settings out, or use variants")
            if key in result:
                first = self.keys[(*path, key)]
                raise self._error(key_node, f"'{key}' is given twice (first on line {first.line}); remove one")
            self.keys[(*path, key)] = _position(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_CORE)
        text = self._text(node)
        if kind == "str":
            return text
        if kind not in _PLAIN:
            raise self._error(node, f"the tag {node.tag} is not allowed; write a plain value")
        if not _PLAIN[kind].match(text):
            raise self._error(node, f"'{text}' is tagged !!{kind} but is not one; write a plain value")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return self._number(node, kind, text)

    def _number(self, node: yaml.ScalarNode, kind: str, text: str) -> int | float:
        if kind == "float":
            value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if not math.isfinite(value):
                raise self._error(node, f"{text} is not a finite number; write one")
            return value
        whole = int(text, 0) if text[:2] in ("0x", "0o") else int(text) if len(text) < 30 else _LARGEST + 1
        if not -_LARGEST - 1 <= whole <= _LARGEST:
            raise self._error(node, f"a whole number of {len(text)} digits is too large; the largest is {_LARGEST}")
        return whole

    def _text(self, node: yaml.ScalarNode) -> str:
        text: str = node.value
        found = _NOT_TEXT.search(text)
        if found:
            raise self._error(node, f"the character {_code(found[0])} is not allowed in a text; remove it")
        return text

    def _error(self, node: yaml.Node, message: str) -> SpecError:
        place = _position(node)
        return SpecError(printable(f"{self.name}:{place.line}:{place.column}: {message}"))


def _code(character: Any) -> str:
    """The code point of an unprintable character: `U+001B`."""
    return f"U+{ord(character) if isinstance(character, str) else int(character):04X}"


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
