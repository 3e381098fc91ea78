from __future__ import annotations

import json
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
    assert "was trained with other classes than the data has: " in done.err
