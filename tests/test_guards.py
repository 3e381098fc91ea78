"""The project's own rules, kept by tests: light until built, small modules and functions, everything documented."""

import ast
import json
import pkgutil
import re
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import segengine
from segengine import plugin
from segengine.components.base import KINDS
from segengine.testing.lightness import HEAVY

ROOT = Path(__file__).parents[1]
MODULES = sorted([*ROOT.glob("segengine/**/*.py"), *ROOT.glob("plugins/*/segengine_*/**/*.py")])
LIGHT = (
    "cli",
    "testing",
    "comparison",
    "runs",
    "specs",
    "plugin",
    "components",
    "metrics",
    "events",
    "registry",
    "yaml_source",
    "files",
    "errors",
)
"""Modules of these parts load nothing heavy, not by way of others either; the other parts may."""

COMMANDS = {
    "help": ["--help"],
    "help-of-run": ["run", "--help"],
    "validate": ["validate", "experiments/abdomen.yaml", "experiments/voc.yaml"],
    "plugins-list": ["plugins", "list"],
    "plugins-list-parameters": ["plugins", "list", "--parameters", "--json"],
    "schema": ["schema", "--out", "-"],
    "compare": ["compare", "no-runs-here"],
    "runs": ["runs", "."],
}

_RUN = """
import atexit, json, sys
from pathlib import Path
atexit.register(lambda: Path(sys.argv[1]).write_text(json.dumps(sorted(sys.modules))))
from segengine.cli.main import main
main(json.loads(sys.argv[2]))
"""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_train_nothing_load_none_of_the_torch_family(command: str, tmp_path: Path) -> None:
    arguments = COMMANDS[command]
    module = ROOT / "segengine" / "cli" / f"{arguments[0]}.py"
    if not arguments[0].startswith("-") and not module.exists():
        pytest.skip(f"there is no command {arguments[0]} yet")
    done = _python(_RUN, str(tmp_path / "modules.json"), json.dumps(arguments))
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (2 if command == "compare" else 0), done.stderr
    loaded = set(json.loads((tmp_path / "modules.json").read_text()))
    assert "segengine.cli.main" in loaded
    assert sorted(loaded & set(HEAVY)) == []


def test_importing_the_light_parts_loads_none_of_the_torch_family() -> None:
    names = [m.name for m in pkgutil.walk_packages(segengine.__path__, "segengine.", onerror=lambda _: None)]
    light = [name for name in names if name.split(".")[1] in LIGHT]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "    found = sorted(set(sys.argv[1].split(',')) & set(sys.modules))\n"
        "    assert not found, f'{name} loads {found}'\n"
    )
    done = _python(code, ",".join(HEAVY), *light)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    assert len(light) > 40


@cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _functions(path: Path) -> list[tuple[str, int]]:
    nodes = ast.walk(ast.parse(_source(path)))
    return [(n.name, (n.end_lineno or 0) - n.lineno + 1) for n in nodes if isinstance(n, ast.FunctionDef)]


def test_no_module_is_above_300_lines_and_most_are_about_100() -> None:
    lines = {path.relative_to(ROOT).as_posix(): len(_source(path).splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > 300} == {}
    assert statistics.median(lines.values()) <= 120


def test_no_function_is_above_60_lines() -> None:
    long = {f"{path.relative_to(ROOT)}:{name}": n for path in MODULES for name, n in _functions(path) if n > 60}
    assert long == {}


def test_every_module_says_what_it_is_for_in_its_first_line() -> None:
    without = [str(p.relative_to(ROOT)) for p in MODULES if _source(p) and not ast.get_docstring(ast.parse(_source(p)))]
    assert without == []


def test_nothing_is_left_to_do_in_the_code() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
    files = [
        *MODULES,
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("data/**/*.py"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*.md"),
    ]
    assert [str(p.relative_to(ROOT)) for p in files if marks.search(_source(p))] == []


def test_an_abstract_body_stands_in_base_classes_only() -> None:
    places = {p.relative_to(ROOT).as_posix() for p in MODULES if "raise NotImplementedError" in _source(p)}
    assert places <= {"segengine/components/base.py", "segengine/components/schedules.py"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_the_table_for_plugin_authors(kind: str) -> None:
    rows = [line for line in _source(ROOT / "docs" / "plugins.md").splitlines() if line.startswith(f"| `{kind}` ")]
    assert len(rows) == 1
    assert KINDS[kind].__name__ in rows[0]


@pytest.mark.parametrize("name", plugin.__all__)
def test_every_name_of_the_plugin_surface_is_documented(name: str) -> None:
    assert re.search(rf"`{name}\b", _source(ROOT / "docs" / "plugins.md"))
