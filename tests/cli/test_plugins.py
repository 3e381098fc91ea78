"""`segengine plugins list`, `check` and `new`, as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from segengine.cli.main import main

Install = Callable[..., Path]

FLAT = '''
from typing import Literal
from pydantic import Field
from segengine.plugin import Schedule

class Flat(Schedule):
    """The same share of the peak rate, always."""
    name: Literal["flat"] = "flat"
    share: float = Field(description="share of the peak rate")
    def factor(self, step, total_steps):
        return self.share
'''
BROKEN = "raise SystemExit('would end the program')"


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["plugins", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_list_names_every_component_with_its_package(capsys, install: Install):
    install("acme-flat", {"schedules": {"flat": "acme_flat:Flat"}}, FLAT, version="2.3")
    install("boom", {"losses": {"boom": "boom:Boom"}}, BROKEN)
    code, out, _ = called(capsys, "list", "--json")
    rows = {(row["kind"], row["name"]): row for row in json.loads(out)}
    assert code == 0
    assert rows["schedules", "flat"] == {"kind": "schedules", "name": "flat", "package": "acme-flat", "version": "2.3"}
    assert rows["losses", "boom"]["package"] == "boom"
    assert rows["backbones", "vgg"]["package"] == "segengine"


def test_list_shows_parameters_and_broken_plugins(capsys, install: Install):
    install("acme-flat", {"schedules": {"flat": "acme_flat:Flat"}}, FLAT)
    install("boom", {"schedules": {"boom": "boom:Boom"}}, BROKEN)
    code, out, _ = called(capsys, "list", "--kind", "schedules", "--parameters", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["flat"]["parameters"] == {"share": {"default": "(required)", "about": "share of the peak rate"}}
    assert "SystemExit: would end the program" in rows["boom"]["broken"]
    assert rows["cosine"]["parameters"]["final"]["default"] == 0.0


def test_list_of_an_unknown_kind_suggests_one(capsys):
    code, _, err = called(capsys, "list", "--kind", "backbone")
    assert code == 2
    assert err == "error: --kind backbone: unknown kind; did you mean 'backbones'?\n"


def test_check_reports_findings_and_exits_with_1(capsys, install: Install):
    install("acme-flat", {"schedules": {"flat": "acme_flat:Flat"}}, FLAT)
    code, out, _ = called(capsys, "check", "flat", "-p", "share=2")
    assert code == 1
    assert out.splitlines() == [
        "schedules  acme-flat/flat  1 finding",
        "  Flat: the factor at step 0 of 1 is 2.0; return a fraction of the peak rate, 0..1",
    ]
    code, out, _ = called(capsys, "check", "acme-flat/flat", "-p", "share=0.5")
    assert (code, out) == (0, "schedules  acme-flat/flat  ok\n")


def test_check_of_a_package_takes_all_its_components(capsys, install: Install):
    entries = {"schedules": {"flat": "acme_flat:Flat", "lost": "acme_flat:Lost"}}
    install("acme-flat", entries, FLAT)
    code, out, _ = called(capsys, "check", "--package", "Acme_Flat", "--json")
    flat, lost = json.loads(out)
    assert code == 1
    assert flat["skipped"] == "requires share; use -p share=..."
    assert flat["findings"] == []
    (line,) = lost["findings"]
    assert line.startswith("schedule 'lost' of plugin acme-flat 1.0 can't be imported: AttributeError")


def test_a_broken_plugin_is_one_line_of_check(capsys, install: Install):
    install("boom", {"losses": {"boom": "boom:Boom"}}, BROKEN)
    code, out, _ = called(capsys, "check", "boom")
    assert code == 1
    assert out.splitlines() == [
        "losses  boom/boom  1 finding",
        "  loss 'boom' of plugin boom 1.0 can't be imported: SystemExit: would end the program; repair or uninstall boom",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cosin"], "error: there is no component 'cosin'; did you mean 'cosine'?"),
        (
            ["--package", "segengin"],
            "error: --package segengin: no such package with components; did you mean 'segengine'?",
        ),
        (["cosine", "poly", "-p", "final=1"], "error: -p applies to one component, but 2 are selected; name one"),
        (["cosine", "-p", "final"], "error: -p final: write NAME=VALUE"),
    ],
)
def test_check_rejects_invalid_arguments(capsys, arguments, message):
    code, out, err = called(capsys, "check", *arguments)
    assert (code, out, err.splitlines()) == (2, "", [message])


def test_new_writes_a_package_and_says_what_is_next(capsys, tmp_path: Path):
    code, out, err = called(capsys, "new", "gamma", "--kind", "augmentations", "--out", str(tmp_path))
    folder = tmp_path / "segengine-gamma"
    assert code == 0
    assert out.splitlines() == sorted(str(path) for path in folder.rglob("*") if path.is_file())
    assert err == f"next: pip install -e {folder}, then segengine plugins check gamma\n"
    code, _, err = called(capsys, "new", "gamma", "--kind", "augmentations", "--out", str(tmp_path))
    assert (code, err) == (2, f"error: {folder} exists; choose another name, or another folder with --out\n")
