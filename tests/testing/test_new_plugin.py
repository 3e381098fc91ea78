"""`segengine plugins new` creates a working plugin for every kind."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segengine.components.base import KINDS
from segengine.components.lookup import component_class
from segengine.errors import SpecError
from segengine.testing import check, sample_folder
from segengine.testing.new_plugin import write_plugin


@pytest.mark.parametrize("kind", KINDS)
def test_the_component_conforms(
    kind: str, tmp_path: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"sample-{kind.replace('_', '-')}"
    folder = write_plugin(name, kind, tmp_path)
    module = f"segengine_{name.replace('-', '_')}"
    cls = "".join(part.capitalize() for part in name.split("-"))
    install(f"segengine-{name}", {kind: {name: f"{module}:{cls}"}})
    monkeypatch.syspath_prepend(str(folder))
    (tmp_path / "table.csv").write_text(_table(sample_folder(tmp_path / "files")))
    check(component_class(kind, name), {"table": tmp_path / "table.csv"} if kind == "sources" else {})


def _table(folder: Path) -> str:
    masks = sorted(path.relative_to(folder.parent).as_posix() for path in folder.glob("*/masks/*.png"))
    return "\n".join(["image,mask,split,group", *(f"{m.replace('masks', 'images')},{m},train," for m in masks)])


def test_ruff_finds_nothing_in_any_kind(tmp_path: Path) -> None:
    for kind in KINDS:
        write_plugin(f"sample-{kind.replace('_', '-')}", kind, tmp_path)
    for arguments in (["check", "--select", "E,F,W,I,UP,B,C4,RUF,SIM,PT"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_package_says_where_its_entry_point_is(tmp_path: Path) -> None:
    folder = write_plugin("segengine-tiny-net", "backbones", tmp_path)
    assert folder == tmp_path / "segengine-tiny-net"
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == [
        "README.md", "pyproject.toml", "segengine_tiny_net/__init__.py", "segengine_tiny_net/model.py",
        "segengine_tiny_net/py.typed", "tests/test_segengine_tiny_net.py",
    ]  # fmt: skip
    project = (folder / "pyproject.toml").read_text()
    assert '[project.entry-points."segengine.v1.backbones"]\ntiny-net = "segengine_tiny_net:TinyNet"\n' in project
    assert "backbone: {name: tiny-net, width: 16}" in (folder / "README.md").read_text()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "segengine-mine").mkdir()
    with pytest.raises(SpecError, match=r"segengine-mine exists; choose another name, or another folder with --out"):
        write_plugin("mine", "losses", tmp_path)
    assert list((tmp_path / "segengine-mine").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "My Loss",
            "losses",
            "invalid component name 'My Loss': use lower-case letters, digits and hyphens, such as my-loss",
        ),
        ("3d", "losses", "invalid component name '3d': use lower-case letters, digits and hyphens, such as d"),
        ("../up", "losses", "invalid component name '../up': use lower-case letters, digits and hyphens, such as up"),
        ("dice", "losses", "'dice' is a built-in loss; choose another name"),
        ("mine", "loses", "--kind loses: unknown kind; did you mean 'losses'?"),
    ],
)
def test_unusable_names_and_kinds_are_refused(name: str, kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        write_plugin(name, kind, tmp_path)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []
