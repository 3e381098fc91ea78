"""Tiles, mirror images, reading and refusing: what the runtime does around the network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from segengine_runtime import Encoding, Label, ModelError, OnnxModel
from segengine_runtime.command import main
from segengine_runtime.images import prepared, read
from segengine_runtime.prediction import raw_table
from segengine_runtime.tiles import starts, tiled_probabilities

LABELS = (Label(0, "background", 0, (0, 0, 0)), Label(1, "cell", 200, (255, 0, 0)))
ENCODING = Encoding("gray", 8)


class Brightness:
    """A session whose second class is likelier the brighter a pixel is."""

    def run(self, wanted: list[str], feed: dict[str, Any]) -> list[Any]:
        bright = feed["image"].astype(np.float32).mean(-1) / 32 - 4
        logits = np.stack([np.zeros_like(bright), bright], axis=1)
        found = {"logits": logits, "classes": logits.argmax(1).astype(np.uint8)}
        return [found[name] for name in wanted]


def model(**changes: Any) -> OnnxModel:
    facts = {"image": {"channels": 1, "window": None}}
    raw = raw_table(LABELS, [], ENCODING)
    return OnnxModel(Path("a.onnx"), Brightness(), facts, LABELS, ENCODING, raw=raw, **changes)


def picture(seed: int = 0, height: int = 40, width: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("tile", [7, 16, 64])
def test_tiles_of_a_pixelwise_network_change_nothing(tile: int, flips: bool) -> None:
    whole, tiled = model().predict(picture()), model(largest_pass=1, tile=tile).predict(picture(), flips=flips)
    assert np.array_equal(whole.mask, tiled.mask)
    assert set(np.unique(whole.mask)) == {0, 200}
    assert np.allclose(whole.probabilities, tiled.probabilities, atol=1e-5)


def test_a_constant_network_gives_a_constant_image() -> None:
    def constant(part: Any) -> Any:
        return np.broadcast_to(np.array([0.25, 0.75], np.float32)[:, None, None], (2, *part.shape[:2]))

    bands = list(tiled_probabilities(constant, np.zeros((50, 33, 1), np.uint8), 16, 0.5))
    assert np.allclose(np.concatenate(bands, axis=1)[1], 0.75, atol=1e-6)
    assert sum(band.shape[1] for band in bands) == 50


@pytest.mark.parametrize(("length", "tile"), [(10, 10), (11, 10), (100, 16), (1000, 256)])
def test_tiles_are_evenly_spread_and_touch_both_borders(length: int, tile: int) -> None:
    found = starts(length, tile, 0.5)
    assert found[0] == 0
    assert found[-1] == length - tile
    assert max(np.diff(found), default=0) <= tile // 2 + 1


def test_colour_gray_and_alpha_fit_the_network() -> None:
    gray = prepared(picture(), "a", channels=3, deep=False)
    assert gray.shape == (40, 31, 3)
    colour = np.dstack([picture(1), picture(2), picture(3), picture(4)])
    assert prepared(colour, "a", channels=3, deep=False).shape == (40, 31, 3)
    luma = prepared(colour, "a", channels=1, deep=False)[:, :, 0]
    expected = np.rint(0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2])
    assert np.abs(luma - expected).max() <= 1
    with pytest.raises(ModelError, match="8 bits per value"):
        prepared(picture().astype(np.uint16), "a", channels=1, deep=False)
    with pytest.raises(ModelError, match="has 5 channels"):
        prepared(np.zeros((4, 4, 5), np.uint8), "a", channels=1, deep=False)


def test_files_that_are_no_images_are_refused_and_large_ones_are_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "eps.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(ModelError, match="not an image"):
        read(tmp_path / "eps.png", 10**6)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(ModelError, match="has 31x40 pixels according to its header, the limit is 100"):
        read(tmp_path / "a.png", 100)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(ModelError, match="can't be read"):
        read(tmp_path / "cut.png", 10**6)
    with pytest.raises(ModelError, match="no such file"):
        read(tmp_path / "none.png", 10**6)


def test_a_rotated_photo_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png", 10**6), np.rot90(picture(), -1))


@pytest.mark.parametrize(
    ("encoding", "mode"),
    [
        (Encoding("gray", 1), "1"),
        (Encoding("gray", 8), "L"),
        (Encoding("palette", 8, palette=((0, 0, 0), (9, 8, 7))), "P"),
    ],
)
def test_a_mask_is_stored_as_the_training_masks_are(encoding: Encoding, mode: str, tmp_path: Path) -> None:
    labels = (LABELS[0], Label(1, "cell", 1, (255, 0, 0)))
    made = OnnxModel(Path("a.onnx"), Brightness(), model().facts, labels, encoding, raw=raw_table(labels, [], encoding))
    path = made.predict(picture()).save(tmp_path / "mask.png")
    with Image.open(path) as saved:
        assert saved.mode == mode
        assert np.array_equal(np.asarray(saved).astype(np.uint8), made.predict(picture()).mask)


def test_the_command_names_what_it_skips_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("segengine_runtime.command.load", lambda _: model())
    (tmp_path / "in").mkdir()
    Image.fromarray(picture()).save(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"nothing")
    (tmp_path / "in/._a.png").write_bytes(b"junk of an archive")
    arguments = ["model.onnx", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == f"1 of 2 masks written to {tmp_path / 'out'}\n"
    assert "b.png: not an image" in said.err
    assert main(arguments) == 1
    assert "exists; choose another name" in capsys.readouterr().err
    assert main(["model.onnx", str(tmp_path / "none"), "-o", str(tmp_path)]) == 2


def test_what_is_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    assert main([str(tmp_path / "a.onnx"), str(tmp_path), "-o", str(tmp_path)]) == 2
    assert "not a readable ONNX model" in capsys.readouterr().err
