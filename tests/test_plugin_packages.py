"""A plugin package made in a temporary folder and pip-installed is used by name; broken ones beside it spoil nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segengine.testing.new_plugin import write_plugin

pytestmark = pytest.mark.slow

SPEC = """
data:
  source: {{name: folders, root: data}}
  classes: [background, thing]
augmentations: [{augmentation}]
model: {{backbone: {{name: vgg, depth: 11}}, decoder: unet}}
loss: {loss}
"""

BROKEN = {
    "importless": "import there_is_no_such_module\n",
    "quitter": "raise SystemExit(3)\n",
    "stranger": "class Stranger:\n    pass\n",
}


def broken_package(name: str, code: str, folder: Path) -> Path:
    """A package with a loss of its name, made by hand."""
    package = folder / f"segengine-{name}"
    package.mkdir()
    (package / f"{name}.py").write_text(code)
    (package / "pyproject.toml").write_text(
        f"""[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "segengine-{name}"
version = "0.3"

[project.entry-points."segengine.v1.losses"]
{name} = "{name}:{name.capitalize()}"

[tool.setuptools]
py-modules = ["{name}"]
"""
    )
    return package


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    packages = [write_plugin("gamma", "augmentations", folder), write_plugin("forgiving", "losses", folder)]
    packages += [broken_package(name, code, folder) for name, code in BROKEN.items()]
    target = folder / "site"
    command = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command, "--target", str(target), *map(str, packages)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def segengine(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "segengine", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)}, cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def spec(folder: Path, *, augmentation: str = "flip", loss: str = "dice") -> Path:
    path = folder / "experiment.yaml"
    path.write_text(SPEC.format(augmentation=augmentation, loss=loss))
    return path


def test_an_installed_package_is_used_from_a_spec_by_name(site: Path, tmp_path: Path) -> None:
    path = spec(tmp_path, augmentation="{name: gamma, strength: 0.25}", loss="{name: forgiving, q: 0.5}")
    done = segengine(site, "validate", path.name, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    (variant,) = json.loads(done.stdout)["experiments"][0]["variants"].values()
    assert variant["loss"] == "segengine-forgiving/forgiving"


def test_a_mistake_in_a_plugins_settings_is_met_as_one_in_a_built_in(site: Path, tmp_path: Path) -> None:
    path = spec(tmp_path, augmentation="{name: gamma, strenght: 0.25}")
    done = segengine(site, "validate", path.name, cwd=tmp_path)
    assert done.returncode == 2
    assert "experiment.yaml:5:31: augmentations" in done.stderr
    assert "did you mean 'strength'" in done.stderr


def test_broken_packages_spoil_neither_the_list_nor_specs_that_do_not_name_them(site: Path, tmp_path: Path) -> None:
    listed = segengine(site, "plugins", "list", "--kind", "losses", "--json", cwd=tmp_path)
    assert {"dice", "forgiving", *BROKEN} <= {row["name"] for row in json.loads(listed.stdout)}
    assert listed.stderr == ""
    done = segengine(site, "validate", spec(tmp_path, augmentation="gamma").name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("importless", "can't be imported: ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("quitter", "can't be imported: SystemExit: 3"),
        ("stranger", "is not a subclass of segengine.plugin.Loss"),
    ],
)
def test_naming_a_broken_package_costs_one_line(site: Path, tmp_path: Path, name: str, reason: str) -> None:
    done = segengine(site, "validate", spec(tmp_path, loss=name).name, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: experiment.yaml:7:7: loss")
    assert f"loss '{name}' of plugin segengine-{name} 0.3 {reason}" in line


def test_the_schema_has_what_works_and_names_what_does_not(site: Path, tmp_path: Path) -> None:
    done = segengine(site, "schema", "-o", "-", cwd=tmp_path)
    definitions = json.loads(done.stdout)["$defs"]
    assert definitions["augmentations.gamma"]["properties"]["strength"]["description"]
    assert "losses.quitter" not in definitions
    assert sorted(line.split("'")[1] for line in done.stderr.splitlines() if line.startswith("left out")) == sorted(
        BROKEN
    )


def test_check_finds_the_installed_packages_in_order_and_the_broken_ones_not(site: Path, tmp_path: Path) -> None:
    done = segengine(site, "plugins", "check", "gamma", "forgiving", *BROKEN, cwd=tmp_path)
    results = {line.split()[1]: line.split(maxsplit=2)[2] for line in done.stdout.splitlines() if line[0] != " "}
    assert done.returncode == 1
    assert results["segengine-gamma/gamma"] == results["segengine-forgiving/forgiving"] == "ok"
    assert {results[f"segengine-{name}/{name}"] for name in BROKEN} == {"1 finding"}
