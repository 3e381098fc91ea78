"""Commands about plugins: what is broken, misspelled, missing or made for another version is said, and why."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_plugins import Site
from tests.training.small import segengine

Install = Callable[..., Path]
LEVEL = '''
from typing import Literal
from pydantic import Field
from segengine.plugin import Schedule

class Level(Schedule):
    """The peak rate, always."""
    name: Literal["level"] = "level"
    value: float = Field(default=1.0, description="factor, 0 to 1")

    def factor(self, step, total_steps):
        return self.value
'''


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        ("segengine.v1.backbone", "backbones"),
        ("segengine.backbones", "backbones"),
        ("segengine.v1.mask-mappers", "mask_mappers"),
    ],
)
def test_a_misspelled_group_is_named_everywhere(install: Install, tmp_path: Path, group: str, meant: str) -> None:
    site = install("typo", {})
    (site / "typo-1.0.dist-info/entry_points.txt").write_text(f"[{group}]\nnew = typo:New\n")
    said = f"entry-point group '{group}' of typo 1.0 is not known (new); did you mean 'segengine.v1.{meant}'?"
    assert said in segengine("plugins", "list", folder=tmp_path).err
    (row,) = [
        r for r in json.loads(segengine("plugins", "list", "--json", folder=tmp_path).out) if r["package"] == "typo"
    ]
    assert row["broken"] == said
    checked = segengine("plugins", "check", "--package", "typo", folder=tmp_path)
    assert checked.code == 1
    assert said in checked.out
    assert said in segengine("doctor", "--json", folder=tmp_path).out


def test_an_import_that_ends_the_process_is_a_finding(install: Install, tmp_path: Path) -> None:
    install("quits", {"losses": {"quits": "quits:Quits"}}, "import os\nos._exit(0)\n")
    install("level", {"schedules": {"level": "level:Level"}}, LEVEL)
    done = segengine("plugins", "check", "quits", "level", folder=tmp_path)
    assert done.code == 1
    assert "loss 'quits' of plugin quits 1.0: importing quits ends the process (exit code 0)" in done.out
    assert "level/level  ok" in done.out


def test_check_says_why_there_is_no_component(install: Install, tmp_path: Path) -> None:
    install("future", {"backbones": {"warp": "future:Warp"}}, api="v2")
    for arguments, said in {
        ("warp",): "backbone 'warp' of plugin future 1.0 uses plugin API v2",
        ("acme/warp",): "package acme: is not installed",
        ("--package", "future"): "--package future: future 1.0 uses plugin API v2",
        ("--package", "acme"): "--package acme: is not installed",
        ("--package", "click"): "is installed, but has no entry points in groups segengine.v1.<kind>",
    }.items():
        done = segengine("plugins", "check", *arguments, folder=tmp_path)
        assert done.code == 2
        assert said in done.err


def test_show_gives_parameters_and_a_block_that_is_valid(install: Install, tmp_path: Path) -> None:
    install("level", {"schedules": {"level": "level:Level"}}, LEVEL)
    done = segengine("plugins", "show", "level", folder=tmp_path)
    assert done.out.splitlines() == [
        "schedule level/level (level 1.0)",
        "  The peak rate, always.",
        "",
        "parameters",
        "  value  factor, 0 to 1 (default 1.0)",
        "",
        "in an experiment file",
        "  training:",
        "    schedule: {name: level/level, value: 1.0}",
    ]
    (document,) = json.loads(segengine("plugins", "show", "level", "--json", folder=tmp_path).out)
    spec = "data: {source: {name: folders, root: .}}\nmodel: {backbone: vgg}\n" + document["example"]
    (tmp_path / "spec.yaml").write_text(spec)
    assert segengine("validate", "spec.yaml", folder=tmp_path).code == 0


def test_without_plugins_only_built_in_components_are_known(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segengine.components.lookup import NO_PLUGINS, forget_installed

    monkeypatch.setenv(NO_PLUGINS, "0")  # restored afterwards
    install("level", {"schedules": {"level": "level:Level"}}, LEVEL)
    (tmp_path / "spec.yaml").write_text(
        "data: {source: {name: folders, root: .}}\nmodel: {backbone: vgg}\ntraining: {schedule: level}\n"
    )
    assert segengine("validate", "spec.yaml", folder=tmp_path).code == 0
    forget_installed()
    done = segengine("--no-plugins", "validate", "spec.yaml", folder=tmp_path)
    assert done.code == 2
    assert "there is no schedule 'level'" in done.err


MERGED = '''
from typing import Literal
import numpy as np
from pydantic import Field
from segengine.plugin import IGNORE, DataError, Label, MaskMapper

class Merged(MaskMapper):
    """Fixed values, of which two are one class."""
    name: Literal["merged"] = "merged"
    first: int = Field(default=0, description="value of class 0")
    others: tuple[int, ...] = Field(default=(63, 126), description="values of class 1")

    def build(self, *, classes, found):
        return Table(self.first, self.others, classes or ["first", "others"], found.encoding)

class Table:
    ignored = ()
    def __init__(self, first, others, names, encoding):
        if len(names) != 2:
            raise DataError(f"there are 2 classes, but {len(names)} names")
        self.first, self.others, self.encoding = first, others, encoding
        self.labels = (Label(0, names[0], first, (0, 0, 0)), Label(1, names[1], others[0], (9, 9, 9)))

    def to_classes(self, raw, *, where="mask"):
        known = {self.first: 0, **dict.fromkeys(self.others, 1)}
        strange = sorted(set(np.unique(raw).tolist()) - set(known))
        if strange:
            raise DataError(f"{where}: value {strange[0]} is no class")
        return np.where(raw == self.first, 0, 1).astype(np.uint8)

    def to_raw(self, classes):
        return np.where(classes == 0, self.first, self.others[0]).astype(np.uint8)
'''


def test_a_mapper_with_merged_values_conforms_with_parameters_and_with_masks_of_the_user(
    install: Install, tmp_path: Path
) -> None:
    from segengine.testing.samples import sample_masks

    install("merged", {"mask_mappers": {"merged": "merged:Merged"}}, MERGED)
    assert segengine("plugins", "check", "merged", folder=tmp_path).out == "mask_mappers  merged/merged  ok\n"
    sample_masks(tmp_path / "masks")
    values = ("-p", "others=[1, 2]", "--folder", "masks/indices")
    assert segengine("plugins", "check", "merged", *values, folder=tmp_path).code == 0
    refused = segengine("plugins", "check", "merged", "--folder", "masks/indices", folder=tmp_path)
    assert "rejects the masks in masks/indices" in refused.out


BROKEN = {
    "importless": ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
    "quitter": ("raise SystemExit(3)", "SystemExit: 3"),
    "exiter": ("import os; os._exit(0)", "ends the process (exit code 0)"),
    "stranger": ("class Level: pass", "is not a subclass of segengine.plugin.Schedule"),
    "misnamed": (LEVEL.replace('"level"', '"smear"'), "declares the name 'smear'; entry point and class must agree"),
    "empty": ("", "AttributeError: module 'empty' has no attribute 'Level'"),
    "syntax": ("def (:", "SyntaxError"),
    "looping": ("import looping_too", "ModuleNotFoundError"),
    "shadow": (LEVEL.replace("class Level(Schedule)", "class Level(str)"), "is not a subclass"),
    "unbounded": (LEVEL.replace("return self.value", "return 2.0").replace("level", "unbounded"), "the factor at step 0 of 1 is 2.0"),
    "silent": (LEVEL.replace('    """The peak rate, always."""\n', "").replace("level", "silent"), "docstring is missing"),
    "signature": (LEVEL.replace("step, total_steps", "step").replace("level", "signature"), "raises TypeError"),
}  # fmt: skip


@pytest.mark.slow
def test_twelve_broken_plugins_are_rejected_for_their_reason_and_disturb_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for name, (code, _) in BROKEN.items():
        site.add(name, {"schedules": {name: f"{name}:Level"}}, code)
    (tmp_path / "spec.yaml").write_text("data: {source: {name: folders, root: .}}\nmodel: {backbone: vgg}\n")
    assert _run(tmp_path, "validate", "spec.yaml").returncode == 0
    checked = _run(tmp_path, "plugins", "check", *BROKEN, "--json")
    assert checked.returncode == 1
    found = {row["name"].partition("/")[0]: row["findings"] for row in json.loads(checked.stdout)}
    for name, (_, reason) in BROKEN.items():
        assert any(reason in line for line in found[name]), (name, found[name])


def _run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "segengine", *arguments], env={**os.environ, "PYTHONPATH": str(site)}, cwd=site,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_help_does_not_look_for_plugins(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in range(40):
        site.add(f"many-{number}", {"schedules": {f"level{number}": f"many_{number}:Level"}}, "raise SystemExit(9)")
    code = (
        "import sys, segengine.cli.main as cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    print('segengine.components.lookup' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"
