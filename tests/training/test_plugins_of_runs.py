"""Plugins of a run: what a finished model needs of them, and what another version of one means."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fake_plugins import ACME, ENTRIES, Site
from tests.training.small import Done, segengine, write_problem

SPEC = """\
data:
  source: {name: listing, folder: data}
  classes: [background, disc, square]
  mask_mapper: ascending
augmentations: [invert, {name: crop, size: 32}]
model: {backbone: tiny, decoder: {name: unet, channels: [8, 8]}}
loss: plain
training: {epochs: 1, batch_size: 2, optimizer: descent, schedule: level}
evaluation: {metrics: [half], cost: false}
trackers: [quiet]
"""
TRAINING_ONLY = ("losses", "augmentations", "trackers", "metrics", "optimizers", "schedules")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, blobs.yaml and a finished run of acme's components, version 0.1."""
    folder = tmp_path_factory.mktemp("trained")
    site = Site(folder / "site")
    site.folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site.folder))
        patch.setattr("segengine.training.finish._report", lambda *arguments: None)
        site.add_acme()
        write_problem(folder, SPEC)
        done = segengine("run", "blobs.yaml", folder=folder)
        assert done.code == 0, done.err
        site.close()
    return folder


@pytest.fixture
def acme(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The installed packages, to be changed by one test; the working folder is a copy of the trained one."""
    shutil.copytree(trained, tmp_path / "work")
    site = Site(tmp_path / "work/site", [f"acme_{kind}" for kind in ENTRIES])
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setattr("segengine.training.finish._report", lambda *arguments: None)
    site.close()  # nothing of the other folder stays imported
    yield site
    site.close()


def command(site: Site, *arguments: str) -> Done:
    return segengine(*arguments, folder=site.folder.parent)


RUN = "runs/blobs/default-seed0"
PREDICT = ("predict", RUN, "data/test/images", "-o", "masks")


def test_a_run_pins_version_and_files_of_its_plugins(acme: Site) -> None:
    run = json.loads((acme.folder.parent / RUN / "run.json").read_text())
    assert run["plugins"]["acme-backbones"] == "0.1"
    assert set(run["plugin_files"]) == set(run["plugins"])
    assert all(len(digest) == 64 for digest in run["plugin_files"].values())


def test_a_finished_model_needs_its_network_only(acme: Site) -> None:
    before = command(acme, *PREDICT)
    assert before.code == 0
    for kind in (*TRAINING_ONLY, "sources", "mask_mappers"):
        acme.remove(f"acme-{kind}")
    after = command(acme, *PREDICT)
    assert (after.code, after.err) == (0, before.err)


def test_evaluation_needs_network_source_and_mapper(acme: Site) -> None:
    before = json.loads(command(acme, "evaluate", RUN, "--json").out)
    assert list(before["metrics"]) == ["half"]
    for kind in TRAINING_ONLY:
        acme.remove(f"acme-{kind}")
    done = command(acme, "evaluate", RUN, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["scores"] == before["scores"]
    assert (
        "metric 'acme-metrics/half' is left out: it needs acme-metrics 0.1; pip install acme-metrics==0.1" in done.err
    )


@pytest.mark.parametrize(
    ("kind", "what", "arguments"),
    [
        ("backbones", "backbone 'acme-backbones/tiny'", PREDICT),
        ("sources", "source 'acme-sources/listing'", ("evaluate", RUN)),
        ("mask_mappers", "mask mapper 'acme-mask-mappers/ascending'", ("evaluate", RUN)),
    ],
)
def test_a_missing_plugin_is_named_with_its_version(
    acme: Site, kind: str, what: str, arguments: tuple[str, ...]
) -> None:
    package = f"acme-{kind.replace('_', '-')}"
    acme.remove(package)
    done = command(acme, *arguments)
    assert done.code == 2
    assert done.err == f"error: {RUN}: {what} needs {package} 0.1, which isn't installed; pip install {package}==0.1\n"


def test_another_source_replaces_one_that_is_not_installed(acme: Site) -> None:
    acme.remove("acme-sources")
    root = acme.folder.parent / "data"
    done = command(acme, "evaluate", RUN, "-s", f"data.source={{name: folders, root: {root}}}", "--json")
    assert done.code == 0, done.err


@pytest.mark.parametrize("arguments", [PREDICT, ("evaluate", RUN)])
def test_another_version_of_the_network_is_noted(acme: Site, arguments: tuple[str, ...]) -> None:
    acme.add_acme(version="0.2", scale="0.5", kinds=("backbones",))
    done = command(acme, *arguments)
    assert done.code == 0
    note = (
        f"{RUN}: trained with acme-backbones 0.1, installed is 0.2: results may differ; pip install acme-backbones==0.1"
    )
    assert note in done.err


def test_changed_files_of_the_same_version_are_noted(acme: Site) -> None:
    acme.add_acme(scale="0.5", kinds=("backbones",))
    done = command(acme, *PREDICT)
    assert f"{RUN}: files of acme-backbones 0.1 have changed since training: results may differ" in done.err


def test_from_python_another_version_is_a_warning(acme: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import segengine as package

    acme.add_acme(version="0.2", scale="0.5", kinds=("backbones",))
    monkeypatch.chdir(acme.folder.parent)
    with pytest.warns(UserWarning, match="trained with acme-backbones 0.1, installed is 0.2"):
        package.load(RUN)


def _unfinish(site: Site) -> Path:
    """Make the run one that was interrupted at its end."""
    path = site.folder.parent / RUN / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "interrupted"}))
    return path


def test_a_run_is_not_resumed_under_another_version(acme: Site) -> None:
    path = _unfinish(acme)
    acme.add_acme(version="0.2", scale="0.5", kinds=("backbones",))
    done = command(acme, "run", "blobs.yaml")
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        f"error: {RUN}: started with acme-backbones 0.1, installed is 0.2; resume with the same version: "
        "pip install acme-backbones==0.1; or start over with --fresh, or accept the change with --accept-plugins"
    )
    accepted = command(acme, "run", "blobs.yaml", "--accept-plugins")
    assert accepted.code == 0, accepted.err
    run = json.loads(path.read_text())
    assert run["plugins"]["acme-backbones"] == "0.1 and 0.2"
    assert command(acme, "run", "blobs.yaml").code == 0


def test_a_run_is_not_resumed_with_changed_files(acme: Site) -> None:
    _unfinish(acme)
    acme.add_acme(scale="0.5", kinds=("losses",))
    done = command(acme, "run", "blobs.yaml")
    assert done.code == 2
    assert "files of acme-losses 0.1 have changed since the run started; restore them" in done.err


def test_a_tracker_of_another_version_changes_no_number(acme: Site) -> None:
    _unfinish(acme)
    acme.add_acme(version="0.2", kinds=("trackers", "metrics"))
    assert command(acme, "run", "blobs.yaml").code == 0


NAME = 'name: Literal["tiny"] = "tiny"'
WIDER = ACME.replace(NAME, f'{NAME}\n    width: int = Field(default=8, description="channels")')


def test_a_new_field_with_a_default_is_no_other_setting(acme: Site) -> None:
    acme.add_acme(version="0.2", kinds=("backbones",), code=WIDER)
    done = command(acme, "run", "blobs.yaml", "-s", "seeds=[0, 1]")
    assert done.code == 0, done.err
    other = command(acme, "run", "blobs.yaml", "-s", "model.backbone.width=9")
    assert other.code == 2
    assert "was created with different settings: model.backbone.width: 8 -> 9" in other.err
    alone = command(acme, "compare", "runs/blobs", "--only-vary", "plugins")
    assert alone.code == 0, alone.err
    refused = command(acme, "compare", "runs/blobs", "--only-vary", "loss")
    assert refused.code == 2
    assert "plugins.acme-backbones: 0.1 (default), 0.2 (default)" in refused.err


def test_a_sources_path_may_move(acme: Site) -> None:
    shutil.move(acme.folder.parent / "data", acme.folder.parent / "elsewhere")
    done = command(acme, "run", "blobs.yaml", "-s", "data.source.folder=elsewhere")
    assert done.code == 0, done.err
    assert "already finished" in done.err


def test_a_sources_relative_path_starts_at_the_spec_from_any_folder(acme: Site) -> None:
    spec = yaml.safe_load((acme.folder.parent / RUN / "spec.yaml").read_text())
    assert (
        spec["data"]["source"]["folder"] == str(acme.folder.parent.resolve() / "data")
        or Path(spec["data"]["source"]["folder"]).is_absolute()
    )
    elsewhere = acme.folder.parent / "below"
    elsewhere.mkdir()
    done = segengine("run", "../blobs.yaml", "--out", "../runs", folder=elsewhere)
    assert done.code == 0, done.err
