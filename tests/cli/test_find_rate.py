"""`segengine run --find-lr`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.training.small import SPEC, VARIANTS, segengine, write_problem


def test_a_rate_is_suggested_with_table_and_picture_and_no_run_is_left(tmp_path: Path) -> None:
    write_problem(tmp_path, SPEC + VARIANTS)
    done = segengine("run", "blobs.yaml", "--find-lr", "--variant", "slow", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.out.startswith("Suggested for slow: training.optimizer.learning_rate: ")
    assert 1e-6 < float(done.out.splitlines()[0].rpartition(" ")[2]) < 1
    table, picture = (tmp_path / f"runs/blobs/learning-rate-slow.{suffix}" for suffix in ("csv", "png"))
    assert sorted((tmp_path / "runs").rglob("*.*")) == [table, picture]
    assert table.read_text().startswith("learning_rate,loss,smoothed_loss\n1e-07,")
    with Image.open(picture) as image:
        assert image.width > 1000
    again = segengine("run", "blobs.yaml", "--find-lr", "--variant", "slow", "--json", folder=tmp_path)
    document = json.loads(again.out)
    assert f"{document['learning_rate']:.2g}" in done.out
    assert (document["variant"], document["table"]) == ("slow", "runs/blobs/learning-rate-slow.csv")
