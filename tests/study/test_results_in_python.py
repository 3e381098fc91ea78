"""`segengine.compare` and `segengine.inspect`: what the commands say, as objects."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import segengine as package
from segengine.errors import ComparisonError, DataError
from tests.training.small import Study, segengine


def test_a_comparison_has_the_numbers_and_the_verdict_of_the_command(study: Study, tmp_path: Path) -> None:
    runs = sorted(study.run.parent.glob("*-seed0"))
    found = package.compare([package.Run(path) for path in runs])
    document = json.loads(segengine("compare", study.run.parent, "--json", folder=study.folder).out)
    (comparison,) = document["comparisons"]
    means = {row["variant"]: row["mean"] for row in found.table if row["class"] == "(mean)" and row["kind"] == "pooled"}
    assert set(means) == {"plain", "slow"}
    assert all(f"{mean}"[:12] in json.dumps(comparison) for mean in means.values())
    assert found.verdict
    assert any(found.verdict in " ".join(found.sentences) for _ in [0])
    assert found.verdict.split(". ")[0] in segengine("compare", study.run.parent, folder=study.folder).out.replace(
        "\n", " "
    )
    assert "<table>" in found._repr_html_()
    page = found.to_html(tmp_path / "page.html")
    assert "<!doctype html>" in page.read_text().lower()
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(ComparisonError, match="no comparison that segengine wrote"):
        found.to_html(tmp_path / "mine.html")
    assert package.compare(study.run.parent, metric="iou").judged.metric == "iou"


def test_what_can_not_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError):
        package.compare(tmp_path)


def test_an_inspection_has_the_tables_of_the_command(study: Study) -> None:
    found = package.inspect(study.folder / "data")
    assert found.document == json.loads(segengine("inspect", "data", "--json", folder=study.folder).out) | {
        "folder": str(study.folder / "data")
    }
    assert [row["value"] for row in found.table] == ["0", "63", "252"]
    assert len(found.images) == 9
    assert found.usable
    assert "<table>" in found._repr_html_()
    of_spec = package.inspect(study.folder / "blobs.yaml", ["data.source.unpaired=skip"])
    assert len(of_spec.images) == 9
    with pytest.raises(DataError, match="not a directory"):
        package.inspect(study.folder / "nowhere")


@pytest.mark.parametrize("name", ["compare", "Comparison"])
def test_comparing_loads_no_torch(name: str) -> None:
    code = f"import sys, segengine; segengine.{name}; print(sorted({{'torch', 'cv2', 'timm'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
