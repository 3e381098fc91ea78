import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.small import SPEC, VARIANTS, Study, segengine, write_problem

ONE_EPOCH = SPEC.replace("epochs: 3", "epochs: 1")


def images(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "images.csv").read_text().splitlines()))


def counted(run: Path) -> set[str]:
    return {line.split(",")[0] for line in (run / "counts/test.csv").read_text().splitlines()[1:]}


@pytest.mark.usefixtures("no_report")
def test_folds_test_every_image_exactly_once(tmp_path: Path) -> None:
    split = '  split: {folds: 3, by: group, group: "^(..[0-9])", validation: 0.25}\n'
    source = "source: {name: folders, root: data, images: '*/images/*.png', masks: '*/masks/*.png'}"
    spec = ONE_EPOCH.replace("source: {name: folders, root: data}", source).replace(
        "augmentations:", split + "augmentations:"
    )
    write_problem(tmp_path, spec)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    folds = sorted((tmp_path / "runs/blobs").glob("default-fold*"))
    assert [fold.name for fold in folds] == [f"default-fold{k}-seed0" for k in range(3)]
    tests = [{row["id"] for row in images(fold) if row["split"] == "test"} for fold in folds]
    assert sum(map(len, tests)) == len(set.union(*tests)) == 9
    for fold, tested in zip(folds, tests, strict=True):
        rows = images(fold)
        assert counted(fold) == {row["index"] for row in rows if row["id"] in tested}
        groups = {
            split: {row["group"] for row in rows if row["split"] == split} for split in ("train", "validation", "test")
        }
        assert (
            not groups["train"] & groups["test"]
            | groups["train"] & groups["validation"]
            | groups["validation"] & groups["test"]
        )
        assert json.loads((fold / "run.json").read_text())["fold"] == int(fold.name[12])


def test_folds_without_validation_take_the_last_checkpoint_and_become_one_set_of_counts(tmp_path: Path) -> None:
    source = "source: {name: folders, root: data, images: '*/images/*.png', masks: '*/masks/*.png'}"
    split = "  split: {folds: 2, validation: 0}\naugmentations:"
    spec = SPEC.replace("source: {name: folders, root: data}", source).replace("augmentations:", split)
    write_problem(tmp_path, spec.replace("epochs: 3", "epochs: 2"))
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    folds = [tmp_path / f"runs/blobs/default-fold{k}-seed0" for k in range(2)]
    for fold in folds:
        assert json.loads((fold / "run.json").read_text())["best"] == {"epoch": 2, "metric": None, "score": None}
        assert {row["split"] for row in images(fold)} == {"train", "test"}
        assert (fold / "report.html").exists()
    found = json.loads(segengine("compare", "--json", folder=tmp_path).out)["comparisons"][0]
    assert found["images"] == 9
    pooled = np.zeros((3, 3), int)
    for fold in folds:
        for line in (fold / "counts/test.csv").read_text().splitlines()[1:]:
            _, truth, predicted, pixels = map(int, line.split(","))
            pooled[truth, predicted] += pixels
    assert pooled.sum() == 9 * 48 * 48
    dice = 2 * np.diag(pooled) / (pooled.sum(0) + pooled.sum(1))
    assert found["variants"][0]["dice"]["pooled"]["mean"]["mean"] == pytest.approx(dice[1:].mean())


@pytest.mark.usefixtures("no_report")
def test_the_resolved_spec_of_a_fold_is_that_fold(tmp_path: Path) -> None:
    spec = ONE_EPOCH.replace("augmentations:", "  split: {folds: 3}\naugmentations:")
    source = "source: {name: folders, root: data, images: '*/images/*.png', masks: '*/masks/*.png'}"
    write_problem(tmp_path, spec.replace("source: {name: folders, root: data}", source))
    assert segengine("run", "blobs.yaml", "-s", "data.split.fold=1", folder=tmp_path).code == 0
    run = tmp_path / "runs/blobs/default-fold1-seed0"
    done = segengine("run", run / "spec.yaml", "-o", "again", folder=tmp_path)
    assert done.code == 0, done.err
    again = tmp_path / "again/blobs/default-fold1-seed0"
    assert (again / "checkpoints/weights.safetensors").read_bytes() == (
        run / "checkpoints/weights.safetensors"
    ).read_bytes()
    assert (again / "counts/test.csv").read_bytes() == (run / "counts/test.csv").read_bytes()


@pytest.mark.usefixtures("no_report")
def test_seeds_and_variants_that_are_missing_run_and_the_table_is_shown(tmp_path: Path) -> None:
    write_problem(tmp_path, ONE_EPOCH + "seeds: [0, 1]\n" + VARIANTS)
    first = segengine("run", "blobs.yaml", "--variant", "slow", "--seed", "1", folder=tmp_path)
    assert first.code == 0, first.err
    assert [path.name for path in (tmp_path / "runs/blobs").iterdir() if path.is_dir() and path.name[0] != "."] == [
        "slow-seed1"
    ]
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count("already finished") == 1
    runs = sorted(path for path in (tmp_path / "runs/blobs").iterdir() if path.is_dir() and path.name[0] != ".")
    assert [run.name for run in runs] == ["plain-seed0", "plain-seed1", "slow-seed0", "slow-seed1"]
    assert len({(run / "checkpoints/weights.safetensors").read_bytes() for run in runs}) == 4
    assert "plain" in done.out
    assert "slow" in done.out
    listed = json.loads(segengine("compare", "--json", folder=tmp_path).out)["comparisons"][0]
    assert {variant["name"]: variant["seeds"] for variant in listed["variants"]} == {"plain": [0, 1], "slow": [0, 1]}


@pytest.mark.usefixtures("no_report")
def test_without_test_images_the_validation_images_are_scored(tmp_path: Path) -> None:
    write_problem(tmp_path, ONE_EPOCH, test=0)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    run = tmp_path / "runs/blobs/default-seed0"
    assert not (run / "counts/test.csv").exists()
    assert list(json.loads((run / "run.json").read_text())["scores"]) == ["validation"]
    assert "on the validation images" in done.err


def test_without_validation_images_there_is_no_run(tmp_path: Path) -> None:
    write_problem(tmp_path, ONE_EPOCH, validation=0)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert "there are no validation images" in line
    assert not (tmp_path / "runs/blobs").exists()


@pytest.mark.slow
def test_runs_in_a_new_python_each_give_the_same_bits(study: Study, tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC + VARIANTS)
    done = segengine("run", "blobs.yaml", "-s", "executor={name: local, start: spawn, jobs: 1}", folder=tmp_path)
    assert done.code == 0, done.err
    for variant in ("plain", "slow"):
        run, forked = tmp_path / f"runs/blobs/{variant}-seed0", study.folder / f"runs/blobs/{variant}-seed0"
        for name in ("checkpoints/weights.safetensors", "counts/test.csv", "counts/validation.csv"):
            assert (run / name).read_bytes() == (forked / name).read_bytes()
        assert (
            json.loads((run / "run.json").read_text())["command"]
            == json.loads((forked / "run.json").read_text())["command"]
        ), "both name the command of the study"


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_two_processes_make_one_run_folder_whose_scores_and_metrics_one_process_finds_again(
    study: Study, tmp_path: Path
) -> None:
    # An odd number of images to train on, to choose by and to test.
    spec = ONE_EPOCH.replace("batch_size: 2", "batch_size: 4") + "evaluation: {metrics: [hd95, ece]}\n"
    write_problem(tmp_path, spec + VARIANTS, validation=3, test=3)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "segengine", "run", "blobs.yaml"], check=False, capture_output=True, text=True,
        cwd=tmp_path, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/1") == 2, "only the main process speaks"
    for variant in ("plain", "slow"):
        run, alone = tmp_path / f"runs/blobs/{variant}-seed0", study.folder / f"runs/blobs/{variant}-seed0"
        document = json.loads((run / "run.json").read_text())
        assert (document["status"], document["devices"]) == ("finished", ["CPU", "CPU"])
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
        assert (run / "log.txt").read_text().count("started:") == 1
        names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
        metrics = {f"metrics/test-{label}.{kind}" for label in ("hd95", "ece") for kind in ("csv", "json")}
        usual = {path.relative_to(alone).as_posix() for path in alone.rglob("*") if path.is_file()}
        assert names == metrics | usual - {"checkpoints/previous.pt"}  # after one epoch there is none
        assert counted(run) == {row["index"] for row in images(run) if row["split"] == "test"}
        assert len(counted(run)) == 3
        before = {name: (run / name).read_bytes() for name in metrics}
        found = segengine("evaluate", run, "--save", "--json", folder=tmp_path)
        assert found.code == 0, found.err
        again = json.loads(found.out)
        assert again["scores"] == document["scores"]["test"]
        assert again["metrics"] == document["metrics"]["test"]
        assert {name: (run / name).read_bytes() for name in metrics} == before


def test_run_names_the_page_to_look_at_and_opens_it(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study.folder, tmp_path / "copy")
    launched: list[str] = []
    monkeypatch.setattr("click.launch", launched.append)
    both = segengine("run", "blobs.yaml", "--open", folder=tmp_path / "copy")
    one = segengine("run", "blobs.yaml", "--open", "--variant", "plain", folder=tmp_path / "copy")
    pages = [Path("runs/blobs/comparison.html"), Path("runs/blobs/plain-seed0/report.html")]
    assert [done.err.splitlines()[-1] for done in (both, one)] == [f"page: {page}" for page in pages]
    assert launched == [str(tmp_path / "copy" / page) for page in pages]
    (tmp_path / "copy" / pages[0]).write_text("mine")
    again = segengine("run", "blobs.yaml", folder=tmp_path / "copy")
    assert "is no comparison that segengine wrote" in again.err
    assert (tmp_path / "copy" / pages[0]).read_text() == "mine"
    assert again.err.splitlines()[-1] == f"page: {pages[1]}"
