"""Every command that the documentation shows is understood, and runs: training ones with one step on small images."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from segengine.cli.main import cli
from segengine.cli.runs import command as runs
from segengine.specs.load import load_experiment
from tests.docs.conftest import TINY, Desk
from tests.docs.pages import PAGES, ROOT, Command, blocks, commands

SHOWN = list(commands())
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
LONG = ("plugins check",)  # builds every component
IN_BLOCKS = list(dict.fromkeys(Command("", c.text) for c in SHOWN if ":" in c.place and "plugins.md" not in c.place))
"""The page about plugins has a test of its own, which walks through it from top to bottom."""
RUNS = [command for command in IN_BLOCKS if command.name == "run"]
CHECKS = [command for command in IN_BLOCKS if command.name in LONG]
QUICK = [c for c in IN_BLOCKS if c.name not in ("run", "serve", *LONG) and not c.text.startswith("runs rm")]
"""What `runs rm` would remove the other commands need, and `serve` never ends; both have tests of their own."""


def text(command: Command) -> str:
    return command.text


def parsed(command: Command) -> click.Context:
    """The context that click makes of a command's arguments."""
    found: click.Command = cli
    context, words = click.Context(cli, info_name="segengine", **cli.context_settings), call(command)
    while isinstance(found, click.Group) and words:
        if isinstance(found, type(runs)) and words[0] not in found.commands:
            words = ["list", *words]
        below = found.get_command(context, words[0])
        assert below is not None, f"there is no command {words[0]}"
        found, context, words = below, click.Context(below, parent=context, info_name=words[0]), words[1:]
    if isinstance(found, click.Group):
        return context
    return found.make_context(context.info_name, words, parent=context.parent)


def call(command: Command, folder: Path | None = None) -> list[str]:
    """A command's arguments without a redirection; patterns are expanded in `folder`, as a shell does."""
    words = command.arguments
    words = words[: words.index(">")] if ">" in words else words
    if folder is None:
        return words
    return [f for word in words for f in (sorted(glob.glob(word, root_dir=folder)) if "*" in word else [word])]


@pytest.mark.parametrize("command", SHOWN, ids=lambda c: f"{c.place}-{c.text}")
def test_every_command_shown_is_one_that_the_program_understands(
    command: Command, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    try:
        parsed(command)
    except click.MissingParameter:
        assert ":" not in command.place, "a command in a block must be whole"  # in running text it is only named


def test_the_commands_of_every_kind_are_shown() -> None:
    assert len(SHOWN) > 40
    assert {"run", "compare", "predict", "validate", "inspect", "init", "evaluate"} <= {c.name for c in [*QUICK, *RUNS]}


@pytest.mark.parametrize("command", QUICK, ids=text)
def test_commands_that_train_nothing_run_as_shown(command: Command, trained: Desk) -> None:
    words = call(command, trained.folder)
    for word in words:  # a folder or file that the command makes anew
        if command.name in ("init", "plugins new", "export") and word in ("-o", "--out"):
            shutil.rmtree(trained.folder.parent / "plugins", ignore_errors=True)
            (trained.folder / words[words.index(word) + 1]).unlink(missing_ok=True)
    if command.name == "predict" and words[1].endswith(".onnx") and not (trained.folder / words[1]).exists():
        first = next(path.relative_to(trained.folder) for path in sorted(trained.folder.glob("runs/my/*-seed*")))
        assert trained.run("export", str(first), "-o", words[1]).code == 0
    paths = [word.partition("=")[2] for word in words if word.startswith("data.source.root=")]
    for path in paths:
        shutil.copytree(trained.folder / "data" / "abdomen", trained.folder / path, dirs_exist_ok=True)
    done = trained.run(*words)
    wanted = 2 if "typo.yaml" in words else 0
    assert done.code == wanted, done.said
    assert "Traceback" not in done.said


@pytest.mark.parametrize("command", RUNS, ids=text)
def test_experiments_that_are_run_are_valid(command: Command, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    given = parsed(command).params
    assert load_experiment(given["spec"], given["overrides"]).variants


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in RUNS if "--gpus" not in c.text and "gpu" not in c.text], ids=text)
def test_runs_that_are_shown_train(command: Command, trained: Desk, tmp_path: Path) -> None:
    words = call(command)
    experiment = load_experiment(trained.folder / words[1])
    if not all(e.data.source.root.is_dir() for e in experiment.variants.values()):  # type: ignore[attr-defined]
        pytest.skip("the data of this experiment is not part of the project")
    out = [] if {"-o", "--out"} & set(words) else ["--out", str(tmp_path)]
    done = trained.run(*words, *TINY, *out)
    assert done.code == 0, done.said


@pytest.mark.slow
@pytest.mark.parametrize("command", CHECKS, ids=text)
def test_checks_that_are_shown_pass(command: Command, desk: Desk) -> None:
    done = desk.run(*call(command))
    assert done.code == 0, done.said


def outputs() -> list[Any]:
    """Calls that show what they print, and need no training to print it."""
    found = []
    for page in (page for page in PAGES if page.name != "plugins.md"):
        for block in blocks(page, "console"):
            match = re.match(r"^\$ segengine (?P<call>[^\n]+)\n(?P<said>\S.*)\Z", block.text, re.DOTALL)
            if (
                match
                and not match["said"].startswith("$")
                and match["call"].split()[0] in ("validate", "inspect", "predict")
            ):
                found.append(pytest.param(match["call"], match["said"], id=match["call"]))
    return found


@pytest.mark.parametrize(("shown", "output"), outputs())
def test_what_a_command_prints_is_what_is_shown(shown: str, output: str, trained: Desk) -> None:
    if shown.startswith("predict"):  # another test may have run it: then the folder is complete
        shutil.rmtree(trained.folder / shown.split()[shown.split().index("-o") + 1], ignore_errors=True)
    done = trained.run(*shown.split())
    said = "\n".join(line for line in done.said.splitlines() if not re.match(r"^\S+: \d+/\d+", line))
    assert said.split() == output.split()


def test_a_run_with_other_settings_says_what_runs_md_quotes(trained: Desk) -> None:
    done = trained.run("run", "experiments/abdomen.yaml", *[w.replace("epochs=1", "epochs=2") for w in TINY])
    quoted = [block.text.strip() for block in blocks(ROOT / "docs" / "runs.md", "text")]
    assert done.code == 2
    assert done.said.removeprefix("error: ").splitlines()[0] in quoted


def test_a_run_leaves_the_files_that_runs_md_lists(trained: Desk) -> None:
    table = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").split("| file | contents |")[1].split("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
    folder = trained.folder / "runs" / "abdomen" / "vgg11-seed0"
    relative = [f"checkpoints/{name}" if name.endswith(".pt") and "/" not in name else name for name in names]
    later = ["checkpoints/previous.pt"]  # this run saved once only
    assert [name for name in relative if not list(folder.glob(name)) and name not in later] == []
    listed = {path for name in relative for path in folder.glob(name)}
    left = [p for p in folder.rglob("*") if p.is_file() and p not in listed and not p.name.startswith(".")]
    fitted = "postprocess.json"  # of a command shown on another page
    assert [name for p in left if (name := str(p.relative_to(folder))) != fitted] == []


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_every_experiment_file_is_valid_and_data_that_is_there_prepares(path: Path, desk: Desk) -> None:
    from segengine.building.dataset import load_dataset

    loaded = load_experiment(desk.folder / "experiments" / path.name)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["title"] == next(iter(loaded.variants.values())).title
    first = next(iter(loaded.variants.values()))
    if first.data.source.root.is_dir():  # type: ignore[attr-defined]
        assert load_dataset(first, None, lambda event: None).splits["train"]
    else:
        assert "not part of this project" in path.read_text(encoding="utf-8")


def test_the_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {
        match
        for page in PAGES
        for block in blocks(page, "console")
        for match in re.findall(r"^\$ make ([a-z-]+)", block.text, re.MULTILINE)
    }
    assert {"run", "test"} <= shown <= targets


def test_the_shell_understands_every_block(tmp_path: Path) -> None:
    lines = [
        line[2:]
        for page in PAGES
        for b in blocks(page, "console")
        for line in b.text.splitlines()
        if line.startswith("$ ")
    ]
    script = tmp_path / "shown.sh"
    script.write_text("\n".join(lines))
    done = subprocess.run(
        ["bash", "-n", str(script)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
