"""The documentation names everything that there is, links to what exists, and shows experiments that are valid."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from segengine.components.base import KINDS
from segengine.components.built_ins import BUILT_INS
from segengine.components.lookup import checked_class, described, registry
from segengine.specs import sections
from segengine.specs.experiment import Experiment
from segengine.specs.load import load_experiment
from segengine.specs.trees import Tree, merged
from segengine.yaml_source import parse
from tests.docs.pages import PAGES, ROOT, Block, blocks, headings, links, prose

EXPERIMENT = (ROOT / "docs" / "experiment.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
SECTIONS = [
    Experiment,
    *(
        cls
        for cls in vars(sections).values()
        if isinstance(cls, type) and issubclass(cls, sections.Settings) and cls is not sections.Settings
    ),
]
BASE = "data: {source: {name: folders, root: data}}\nmodel: {backbone: vgg}\n"
SPECS = [block for page in PAGES if page.name != "plugins.md" for block in blocks(page, "yaml")]
"""The page about plugins has a test of its own, with the plugin that it makes installed."""


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=page_id)
def test_parts_that_come_from_the_program_are_current(page: Path, generator: ModuleType) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == generator.filled(text), "run: python docs/make_reference.py"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda cls: cls.__name__)
def test_every_setting_of_the_file_is_explained(section: type[sections.Section]) -> None:
    assert f"<!-- made: settings {section.__name__} -->" in EXPERIMENT
    assert [name for name in section.model_fields if f"| `{name}` |" not in EXPERIMENT] == []


@pytest.mark.parametrize("entry", BUILT_INS, ids=lambda e: f"{e.group.rpartition('.')[2]}-{e.name}")
def test_every_built_in_component_stands_in_the_reference_with_its_settings(entry: Any) -> None:
    kind = entry.group.rpartition(".")[2]
    title = kind.replace("_", " ").capitalize()
    chapter = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert chapter is not None
    part = re.search(rf"^### `{entry.name}`$(.*?)(?=^###? |\Z)", chapter[1], re.MULTILINE | re.DOTALL)
    assert part is not None
    for name, field in described(checked_class(registry(kind).find(entry.name))).items():
        row = re.search(rf"^\| `{name}` \| .+ \| (?P<default>.+) \| .+ \|$", part[1], re.MULTILINE)
        assert row is not None, name
        assert (row["default"] == "required") == field.is_required()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_mentioned_in_the_reference(kind: str) -> None:
    assert kind.replace("_", " ") in REFERENCE


def test_every_command_is_in_the_page_of_commands_and_in_the_readme(generator: ModuleType) -> None:
    names = [name for name, _ in generator.commands()]
    assert len(names) >= 9
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"<!-- made: help {name} -->" not in page] == []
    assert [name for name in names if f"segengine {name}" not in readme] == []


@pytest.mark.parametrize("block", SPECS, ids=lambda block: block.id)
def test_every_yaml_block_is_an_experiment_or_a_part_of_one(block: Block, tmp_path: Path) -> None:
    data = yaml.safe_load(block.text)
    assert set(data) <= set(Experiment.model_fields)
    whole = {"data", "model"} <= set(data)
    text = block.text if whole else yaml.safe_dump(joined(block.text))
    (tmp_path / "shown.yaml").write_text(text, encoding="utf-8")
    assert load_experiment(tmp_path / "shown.yaml").variants


def joined(part: str) -> dict[str, Any]:
    """A part of an experiment with the rest added."""
    result: dict[str, Any] = merged(Tree.of(parse(BASE, "base")), Tree.of(parse(part, "shown"))).data
    return result


def test_there_are_experiments_to_check() -> None:
    assert sum({"data", "model"} <= set(yaml.safe_load(block.text)) for block in SPECS) >= 3
    assert len(SPECS) >= 12


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert list(broken_links(page)) == []


def broken_links(page: Path) -> Iterator[str]:
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in headings(file)):
            yield target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=page_id)
def test_every_page_can_be_reached_from_the_index(page: Path) -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert page.name == "index.md" or f"({page.name})" in index


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.*"))
    assert pictures
    assert {p.name: p.stat().st_size for p in pictures if p.stat().st_size > 400_000} == {}


def test_every_picture_is_shown_and_every_sample_called_a_phantom() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [p.name for p in (ROOT / "docs" / "images").glob("*.*") if f"docs/images/{p.name}" in readme]
    assert sorted(shown) == sorted(p.name for p in (ROOT / "docs" / "images").glob("*.*"))
    assert all(
        "phantom" in caption for caption in re.findall(r"!\[([^\]]*)\]\(docs/images/", prose(ROOT / "README.md"))
    )
