"""The page for contributors names files that exist, and lists every room of the package."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_every_file_named_on_the_page_exists():
    named = set(re.findall(r"`((?:segengine|tests|docs)/[\w./-]+)`", PAGE))
    assert len(named) >= 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_module_named_without_its_folder_exists():
    bare = {name for name in re.findall(r"`([\w/]+\.py)`", PAGE) if not name.startswith(("segengine/", "tests/"))}
    assert [name for name in sorted(bare) if not list((ROOT / "segengine").glob(f"**/{name}"))] == []


def test_the_layout_lists_every_folder_and_module_at_the_top():
    layout = PAGE.split("```text")[1].split("```")[0]
    listed = set(re.findall(r"([\w]+(?:/|\.py))", layout))
    folders = {f"{path.parent.name}/" for path in (ROOT / "segengine").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "segengine").glob("[a-z]*.py")}
    assert folders | modules <= listed
    inner = {f"{path.parent.name}/" for path in (ROOT / "segengine").glob("*/*/__init__.py")}
    assert inner <= listed
