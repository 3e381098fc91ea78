"""Model cards: front matter that parses, facts of the run, and nothing of the user's that turns into markup."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from segengine.building.model_card import model_card, write_model_card
from segengine.comparison.statistics.score_intervals import score_intervals
from segengine.comparison.summary import Comparison, compare_folders
from segengine.runs.folder import RunFolder
from tests.comparison.conftest import Make, make
from tests.training.small import Study, study

__all__ = ["make", "study"]
EVIL = "<script>x</script>\n---\nlicense: mit\n| [a](javascript:b) `c` *d*"


def front_matter(card: str) -> dict[str, Any]:
    _, front, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(front))


def test_a_finished_run_has_a_card_with_its_scores(study: Study) -> None:
    card = (study.run / "model-card.md").read_text()
    run = json.loads((study.run / "run.json").read_text())
    facts = front_matter(card)
    assert facts["library_name"] == "segengine"
    assert facts["pipeline_tag"] == "image-segmentation"
    assert facts["license"] == "unknown"
    (result,) = facts["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == pytest.approx(run["scores"]["test"]["mean"]["dice"], abs=1e-6)
    for heading in ("Classes", "Data", "Scores", "Limits", "Use", "Training"):
        assert f"\n## {heading}\n" in card
    assert f"| disc | {run['scores']['test']['classes']['disc']['dice']:.4f} | - |" in card  # two images: no interval
    assert "| 2 | square | 252 |" in card
    assert run["weights"]["sha256"] in card
    assert "Classes in fewer than 10 of the test images" in card


def test_intervals_are_those_of_the_comparison(make: Make) -> None:
    truth = np.random.default_rng(1).integers(50, 900, (40, 3))
    folder = make("plain", 0, quality=0.8, images=40, test=tuple(range(10, 40)), truth=truth)
    (found,) = compare_folders([folder.path], folder.path)
    assert isinstance(found, Comparison)
    names = [facts.name for facts in found.classes]
    each = {name: {"dice": 0.8, "iou": 0.7, "images": 30} for name in names}
    folder.update(
        scores={"test": {"images": 30, "classes": each, "mean": {"dice": 0.8, "iou": 0.7, "over": names[1:]}}}
    )
    expected = score_intervals(found, "dice", "pooled", 0.95)[0]
    assert expected.mean is not None
    card = model_card(folder)
    assert f"| mean | 0.8000 | {expected.mean[0]:.4f} to {expected.mean[1]:.4f} | 0.7000 | |" in card
    for name, ends in zip(names, expected.classes, strict=True):
        assert ends is not None
        assert f"| {name} | 0.8000 | {ends[0]:.4f} to {ends[1]:.4f} | 0.7000 | 30 |" in card


def test_texts_of_the_user_are_no_markup(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    run = json.loads(path.read_text())
    run["title"] = EVIL
    run["labels"][1]["name"] = EVIL
    run["data"]["warnings"] = [EVIL]
    run["scores"]["test"]["classes"][EVIL] = run["scores"]["test"]["classes"].pop("disc")
    path.write_text(json.dumps(run))
    card = model_card(RunFolder(tmp_path / "run"), licence=f"mine {EVIL}", file=f'a"; rm -rf $(b)\n{EVIL}.onnx')
    facts = front_matter(card)
    assert facts["license"] == "other"
    assert facts["license_name"] == " ".join(f"mine {EVIL}".split())
    assert facts["model-index"][0]["results"][0]["dataset"]["name"] == " ".join(EVIL.split())
    body = card.split("---\n\n#", 1)[1]
    outside = re.sub(r"```.*?```", "", body, flags=re.DOTALL)
    assert "<script>" not in outside.replace("\\<", "")
    assert "\n---" not in body
    assert not re.search(r"(?<!\\)\[a", outside)
    assert all('"' not in line.split('"')[1] for line in body.splitlines() if line.startswith("segengine predict"))
    assert "$(b)" not in body


@pytest.mark.parametrize(
    ("licence", "expected"), [("CC-BY-4.0", "cc-by-4.0"), ("apache-2.0", "apache-2.0"), ("", "unknown")]
)
def test_a_licence_that_is_an_identifier_is_given_as_one(licence: str, expected: str, study: Study) -> None:
    assert front_matter(model_card(RunFolder(study.run), licence=licence))["license"] == expected


def test_a_card_needs_no_torch(study: Study, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from segengine.building.model_card import write_model_card\n"
        "from segengine.runs.folder import RunFolder\n"
        "write_model_card(RunFolder(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "assert not {'torch', 'cv2', 'matplotlib'} & set(sys.modules)"
    )
    target = tmp_path / "card.md"
    subprocess.run([sys.executable, "-c", code, str(study.run), str(target)], check=True)
    assert target.read_text() == (study.run / "model-card.md").read_text()


def test_a_run_without_scores_has_a_card(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.run, tmp_path / "run")
    RunFolder(tmp_path / "run").update(scores={})
    assert "Not evaluated." in write_model_card(RunFolder(tmp_path / "run")).read_text()
