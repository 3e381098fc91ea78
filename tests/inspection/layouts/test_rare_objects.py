"""Training on a set with 0.16 % foreground: what `init` writes learns it, plain cross-entropy on random windows does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from segengine.cli.main import main
from segengine.inspection.layouts.spec import experiment_text
from segengine.inspection.layouts.understand import understand
from tests.inspection.layouts.trees import save

SIDE = 112


def specks(root: Path) -> None:
    """Textured images with one disc of radius 2.5 each, and short lines that are as bright as it."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for i in range(48):
        random = np.random.default_rng(i)
        image = (
            110
            + 20 * np.sin(columns / random.uniform(5, 12) + random.uniform(0, 6))
            + random.normal(0, 14, (SIDE, SIDE))
        )
        for _ in range(5):
            y, x = random.integers(8, SIDE - 8, 2)
            image[y, x : x + 7] += 70
        y, x = random.uniform(10, SIDE - 10, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 2.55**2
        image[disc] += 70
        save(root / f"images/{i:03d}.png", np.clip(image, 0, 255).astype(np.uint8))
        save(root / f"masks/{i:03d}.png", disc.astype(np.uint8) * 255)


def dice(document: dict[str, object], folder: Path) -> float:
    """Test Dice of the foreground after 60 epochs of a small network."""
    backbone = {"name": "timm", "model": "test_resnet"}
    document |= {
        "model": {"backbone": backbone, "decoder": {"name": "unet", "channels": [64, 32, 16, 16, 8]}},
    }
    folder.mkdir()
    (folder / "x.yaml").write_text(yaml.safe_dump(document), "utf-8")
    settings = ("training.epochs=60", "training.evaluate_every=20", "evaluation.cost=false")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(folder / "x.yaml"), "--out", str(folder / "runs"), *(w for s in settings for w in ("-s", s))])
    assert not ended.value.code
    run = next((folder / "runs").rglob("run.json"))
    return float(json.loads(run.read_text("utf-8"))["scores"]["test"]["classes"]["foreground"]["dice"])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("settings", ["of init", "cross-entropy on random windows"])
def test_objects_of_a_sixth_of_a_percent_are_learnt_with_the_loss_and_the_windows_of_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    specks(tmp_path / "set")
    text = experiment_text(understand(tmp_path / "set", lambda event: None), tmp_path / "x.yaml")
    assert "foreground has 0.16 % of the pixels" in text
    document = yaml.safe_load(text)
    document["data"]["source"]["root"] = str(tmp_path / "set")
    window = document["augmentations"][0]
    window |= {"base_size": SIDE, "crop_size": 96}  # for the duration of the test
    assert window["rare_share"] == 0.5
    if settings == "of init":
        assert dice(document, tmp_path / "run") > 0.6  # 0.90 when written
    else:
        window["rare_share"] = 0.0
        assert dice(document | {"loss": "cross-entropy"}, tmp_path / "run") < 0.3  # 0.04 when written
