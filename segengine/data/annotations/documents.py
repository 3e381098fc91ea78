"""Reads annotation files as JSON or XML, with messages that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from segengine.data.files.limits import file_bytes
from segengine.errors import DataError


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError if it is not JSON."""
    content = file_bytes(path)
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not valid JSON ({str(error)[:100]}); export the annotations again") from error


def read_xml(path: Path) -> Element:
    """The root element of an XML file. Entities are not expanded.

    Raises:
        DataError: not XML, or a document type, which annotation files never have.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise DataError(f"{path}: has a document type declaration; export the annotations again")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(file_bytes(path), True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        raise DataError(f"{path}: is not valid XML ({error}); export the annotations again") from error


def as_list(value: Any, what: str, where: str) -> list[Any]:
    """A list; raises DataError for anything else."""
    if not isinstance(value, list):
        raise DataError(f"{where}: {what} is not a list; export the annotations again")
    return value


def as_table(value: Any, what: str, where: str) -> dict[str, Any]:
    """A mapping; raises DataError for anything else."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: {what} is not an object; export the annotations again")
    return value


def declared_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width) if both are positive whole numbers, also as text; None if not declared."""
    try:
        sides = int(height), int(width)
    except (TypeError, ValueError):
        return None
    return sides if min(sides) > 0 else None


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")
