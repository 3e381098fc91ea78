"""Ensembles of toy models: means, entropy, disagreement, and rows of large TIFF files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor

from segengine.building.labels import StoredMapping
from segengine.data.files.reading import to_picture
from segengine.engine.sliding import Tiling
from segengine.errors import SpecError
from segengine.inference.ensemble import Band, Ensemble, Wanted
from segengine.inference.sources import open_windowed, read_source
from segengine.inference.tta import Views

ALL = Wanted(probabilities=True, entropy=True, disagreement=True)


def mapping(names: Sequence[str] = ("ground", "thing")) -> StoredMapping:
    labels = [{"index": i, "name": name, "raw": 100 * i, "colour": [i, 0, 0]} for i, name in enumerate(names)]
    masks = {"kind": "gray", "bits": 8, "channels": 1, "suffix": ".png", "palette": None}
    return StoredMapping({"labels": labels, "ignored": [], "masks": masks})


@dataclass
class Toy:
    """A model with the probability `power`-th power of the brightness for class 1."""

    power: float = 1.0
    window: Any = None
    path: Path = Path("toy")
    channels: int = 1
    mapping: StoredMapping = field(default_factory=mapping)
    passes: int = 0

    def window_of(self, path: Path) -> Any:
        return self.window

    def picture(self, stored: Any, path: Path, window: Any) -> np.ndarray:
        return to_picture(stored, path, channels=self.channels, window=window)

    def for_images(self, paths: Sequence[Path]) -> Toy:
        return self

    def identity(self) -> str:
        return f"toy {self.power}"

    def finished(self, classes: np.ndarray) -> np.ndarray:
        return classes

    def probabilities_of(self, images: Tensor) -> Tensor:
        self.passes += 1
        x = (images[:, :1].float() / 255) ** self.power
        return torch.cat([1 - x, x], dim=1)

    def classes(self, image: np.ndarray) -> np.ndarray:
        return self.probabilities_of(torch.from_numpy(image).permute(2, 0, 1)[None]).max(1).indices[0].byte().numpy()


def ensemble(*members: Toy, **settings: Any) -> Ensemble:
    return Ensemble(members, **settings)  # type: ignore[arg-type]


def picture(path: Path, height: int, width: int, dtype: str = "uint8", **options: Any) -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 256, (height, width)).astype(dtype)
    tifffile.imwrite(path, values, photometric="minisblack", **options)
    return values


def test_probabilities_are_averaged_and_entropy_splits_into_doubt_and_disagreement(tmp_path: Path) -> None:
    values = picture(tmp_path / "a.tif", 20, 30)
    models = ensemble(Toy(1.0), Toy(3.0))
    found = models.predict(read_source(tmp_path / "a.tif", models.members), ALL)
    x = values.astype(float) / 255
    one, two = np.stack([1 - x, x]), np.stack([1 - x**3, x**3])
    mean = (one + two) / 2

    def entropy(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(np.maximum(p, 1e-12))).sum(0) / np.log(2)

    assert np.allclose(found.probabilities, mean, atol=1e-5)
    assert np.array_equal(found.classes, mean.argmax(0))
    assert np.allclose(found.entropy, entropy(mean), atol=1e-4)
    assert np.allclose(found.disagreement, entropy(mean) - (entropy(one) + entropy(two)) / 2, atol=1e-4)
    assert found.disagreement is not None
    assert found.disagreement.max() > 0.05


def test_equal_models_never_disagree(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", 20, 30)
    models = ensemble(Toy(), Toy())
    found = models.predict(read_source(tmp_path / "a.tif", models.members), ALL)
    assert np.abs(found.disagreement).max() < 1e-5  # type: ignore[arg-type]


def test_models_of_other_classes_or_channels_are_refused() -> None:
    with pytest.raises(SpecError, match="has other classes than"):
        ensemble(Toy(), Toy(mapping=mapping(["ground", "other"])))
    with pytest.raises(SpecError, match="has other channels than"):
        ensemble(Toy(), Toy(channels=3))


@pytest.mark.parametrize("views", ["", "flips,scale=0.5,1"])
@pytest.mark.parametrize(
    "options", [{"tile": (64, 64)}, {"rowsperstrip": 7}, {"tile": (32, 48), "compression": "zlib"}], ids=str
)
def test_rows_of_a_large_file_equal_the_image_in_memory(tmp_path: Path, options: dict[str, Any], views: str) -> None:
    picture(tmp_path / "a.tif", 150, 130, **options)
    models = ensemble(Toy(), Toy(2.0), views=Views.parse(views), tiling=Tiling(64, 0.25, batch=2))
    whole = models.predict(read_source(tmp_path / "a.tif", models.members), ALL)
    source = open_windowed(tmp_path / "a.tif", models.members)
    by_rows = Band.joined(list(models.bands(source, ALL, models.tiling)))  # type: ignore[arg-type]
    source.close()
    for name in ("classes", "probabilities", "entropy", "disagreement"):
        assert np.array_equal(getattr(whole, name), getattr(by_rows, name)), name


def test_windows_per_model_and_per_image_and_missing_pixels_hold_by_rows(tmp_path: Path) -> None:
    values = (np.random.default_rng(2).integers(100, 4000, (150, 90))).astype(np.uint16)
    values[:40] = 0
    values[100:103, :50] = 0
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="minisblack", rowsperstrip=10, extratags=[(42113, "s", 0, "0", True)]
    )
    models = ensemble(Toy(window="per-image"), Toy(window=((0.0, 4000.0),)), tiling=Tiling(64))
    memory = read_source(tmp_path / "a.tif", models.members)
    rows = open_windowed(tmp_path / "a.tif", models.members)
    assert len(memory.pictures) == 2
    by_rows = Band.joined(list(models.bands(rows, ALL, Tiling(64))))
    rows.close()
    whole = models.predict(memory, ALL)
    assert np.array_equal(whole.classes, by_rows.classes)
    assert np.array_equal(by_rows.classes == 255, values == 0)


def test_memory_that_runs_out_is_answered_with_smaller_tiles(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", 300, 300)

    class Short(Toy):
        def probabilities_of(self, images: Tensor) -> Tensor:
            if images.shape[0] * images.shape[2] * images.shape[3] > 150 * 150:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().probabilities_of(images)

    models = ensemble(Short(), tiling=Tiling(256, batch=4))
    found = models.predict(read_source(tmp_path / "a.tif", models.members), ALL)
    assert found.classes.shape == (300, 300)
    assert models.active_limits() == "tiles of 128x128 pixels"
