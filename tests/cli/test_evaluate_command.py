from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.training.small import Study, contents, segengine


@pytest.mark.parametrize("split", ["test", "validation"])
def test_evaluate_counts_what_the_run_counted_and_changes_nothing(study: Study, split: str, tmp_path: Path) -> None:
    before = contents(study.run)
    done = segengine(
        "evaluate", study.run, "--split", split, "--counts", tmp_path / "counts.csv", "--json", folder=tmp_path
    )
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["split"], document["same_data"]) == (split, True)
    assert (tmp_path / "counts.csv").read_bytes() == (study.run / "counts" / f"{split}.csv").read_bytes()
    if split == "test":
        assert document["scores"] == json.loads((study.run / "run.json").read_text())["scores"]["test"]
    assert contents(study.run) == before


def test_evaluate_refuses_data_with_other_classes(study: Study, tmp_path: Path) -> None:
    done = segengine("evaluate", study.run, "-s", "data.classes=[a, b, c]", folder=tmp_path)
    assert done.code == 2
    assert "classes of the run (" in done.err


@pytest.mark.parametrize("override", ["model.decoder=fpn", "training.epochs=3", "loss=dice", "augmentations=[]"])
@pytest.mark.parametrize("command", [["evaluate"], ["export", "-o", "model.onnx"]])
def test_a_setting_that_training_has_fixed_is_no_override(
    command: list[str], override: str, study: Study, tmp_path: Path
) -> None:
    done = segengine(*command, study.run, "-s", override, folder=tmp_path)
    first = re.split("[.=]", override, maxsplit=1)[0]
    assert (done.code, done.out) == (2, "")
    assert f"error: -s {override}: {first} is fixed after training" in done.err
    assert not list(tmp_path.iterdir())


def test_counts_replace_earlier_counts_and_no_other_file(study: Study, tmp_path: Path) -> None:
    counts, other, compressed = (tmp_path / name for name in ("counts.csv", "notes.csv", "counts.csv.gz"))
    other.write_text("name,value\n")
    compressed.write_bytes(b"another program's")
    for _ in range(2):
        assert segengine("evaluate", study.run, "--counts", counts, folder=tmp_path).code == 0
    assert counts.read_bytes() == (study.run / "counts/test.csv").read_bytes()
    assert compressed.read_bytes() == b"another program's"
    done = segengine("evaluate", study.run, "--counts", other, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "notes.csv: exists and is not a table of counts; choose another name, or remove it" in done.err
    assert other.read_text() == "name,value\n"
    assert segengine("evaluate", study.run, "--counts", tmp_path, folder=tmp_path).code == 2


@pytest.mark.parametrize("given", [[], ["--overwrite"]])
def test_an_export_to_a_folder_or_below_a_file_is_refused_before_anything_is_computed(
    given: list[str], study: Study, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    for target, words in ((".", ".: is a folder"), ("a.txt/x.onnx", "a.txt: is a file, not a folder")):
        done = segengine("export", study.run, "-o", target, *given, folder=tmp_path)
        assert (done.code, done.err) == (2, f"error: {words}; specify a file name with -o, such as model.onnx\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
