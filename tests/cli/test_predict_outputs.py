"""`segengine predict`: what it writes, which images it takes, ensembles, and images of any size."""

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segengine.inference.ensemble import load_ensemble
from segengine.inference.predict.outputs import NAMES
from segengine.inference.predict.watch import new_images
from segengine.inference.tta import Views
from tests.training.small import Study, opened, sample, segengine

GEO = [
    (33550, 12, 3, (0.5, 0.25, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0), True),
    (34735, 3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
]
"""Pixels of 0.5 x 0.25 m from (500000, 4600000) in UTM zone 33 N."""


def areas(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "areas.csv").read_text().splitlines()))


def classes_of(study: Study, picture: np.ndarray) -> np.ndarray:
    return load_ensemble([study.run], "cpu", views=Views(), tiling=None).first.classes(picture[:, :, None])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_every_output_is_written_and_says_the_same(study: Study, tmp_path: Path) -> None:
    picture = sample(4, 40, 56)[0]
    Image.fromarray(picture).save(tmp_path / "a.png")
    done = segengine(
        "predict", study.run, "a.png", "-o", "out", "--outputs", ",".join(NAMES), "--spacing", "2,3,10", folder=tmp_path
    )
    assert done.code == 0, done.err
    out, classes = tmp_path / "out", classes_of(study, picture)
    assert np.array_equal(np.asarray(opened(out / "a.png")), np.array([0, 63, 252], np.uint8)[classes])
    assert np.array_equal(np.asarray(opened(out / "palette/a.png")), classes)
    labels = json.loads((study.run / "run.json").read_text())["labels"]
    colours = np.array([label["colour"] for label in labels], np.uint8)
    assert np.array_equal(np.asarray(opened(out / "colours/a.png")), colours[classes])
    assert np.asarray(opened(out / "overlays/a.png")).shape == (40, 56, 3)
    probabilities = tifffile.imread(out / "probabilities/a.tif")
    assert probabilities.shape == (40, 56, 3)
    assert np.array_equal(probabilities.argmax(2), classes)
    with np.load(out / "probabilities/a.npz") as stored:
        assert np.array_equal(stored["probabilities"], np.moveaxis(probabilities, 2, 0))
        assert stored["classes"].tolist() == ["background", "disc", "square"]
    entropy = tifffile.imread(out / "entropy/a.tif")
    wanted = -(probabilities * np.log(probabilities.clip(1e-12))).sum(2) / np.log(3)
    assert np.allclose(entropy, wanted, atol=1e-4)
    assert np.allclose(tifffile.imread(out / "disagreement/a.tif"), 0, atol=1e-5)
    features = json.loads((out / "geojson/a.geojson").read_text())["features"]
    for index, name in ((1, "disc"), (2, "square")):
        assert (
            sum(f["properties"]["pixels"] for f in features if f["properties"]["class"] == name)
            == (classes == index).sum()
        )
    rows = areas(out)
    assert [(row["image"], row["class"], int(row["pixels"])) for row in rows] == [
        ("a.png", name, int((classes == k).sum())) for k, name in enumerate(("background", "disc", "square"))
    ]
    assert float(rows[0]["mm2"]) == int(rows[0]["pixels"]) * 6
    assert float(rows[0]["ml"]) == pytest.approx(int(rows[0]["pixels"]) * 0.06)
    coco = json.loads((out / "coco.json").read_text())
    assert [c["name"] for c in coco["categories"]] == ["disc", "square"]
    assert sum(a["area"] for a in coco["annotations"]) == (classes > 0).sum()
    mask_api = pytest.importorskip("pycocotools.mask")
    painted = np.zeros_like(classes)
    for annotation in coco["annotations"]:
        found = mask_api.decode(mask_api.frPyObjects(annotation["segmentation"], 40, 56))
        assert found.sum() == annotation["area"]
        painted[found == 1] = annotation["category_id"]
    assert np.array_equal(painted, np.where(classes > 0, classes, 0))
    again = segengine(
        "predict", study.run, "a.png", "-o", "out", "--outputs", ",".join(NAMES), "--spacing", "2,3,10", folder=tmp_path
    )
    assert again.out == "0 of 1 mask written to out; 1 was complete\n"


def test_tables_are_complete_only_for_the_same_images(study: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(sample(ord(name))[0]).save(tmp_path / f"{name}.png")
    arguments = ("-o", "out", "--outputs", "masks,csv")
    assert segengine("predict", study.run, "a.png", *arguments, folder=tmp_path).code == 0
    done = segengine("predict", study.run, "a.png", "b.png", *arguments, folder=tmp_path)
    assert done.code == 0, done.err
    assert {row["image"] for row in areas(tmp_path / "out")} == {"a.png", "b.png"}
    (tmp_path / "out/areas.csv").write_text("mine")
    done = segengine("predict", study.run, "a.png", "b.png", *arguments, folder=tmp_path)
    assert done.code == 2
    assert "out/areas.csv: exists, and was changed since segengine predict wrote it" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--outputs", "mask"], "'mask' is unknown; did you mean 'masks'"),
        (["--outputs", ","], "--outputs is empty"),
        (["--tta", "flip"], "'flip' is unknown"),
        (["--spacing", "1"], "write millimetres as ROW,COLUMN"),
        (["--spacing", "0,1"], "write millimetres as ROW,COLUMN"),
        (["--watch", "--outputs", "csv"], "--watch writes files per image"),
        (["--watch"], "--watch needs folders"),
    ],
)
def test_wrong_options_are_named_before_anything_is_read(
    arguments: list[str], said: str, study: Study, tmp_path: Path
) -> None:
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    done = segengine("predict", study.run, "a.png", "-o", "out", *arguments, folder=tmp_path)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_patterns_lists_and_standard_input_name_images(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.png", "b/x.png", "b/y.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(sample(len(name))[0]).save(tmp_path / name)
    (tmp_path / "list.txt").write_text("b/y.png\n\nc.png\n")
    monkeypatch.setattr("sys.stdin", iter(["c.png\n", "c.png\n"]))

    def written(*images: str) -> list[str]:
        out = f"out{len(images)}{images[0][:4].strip('*')}"
        done = segengine("predict", study.run, *images, "-o", out, folder=tmp_path)
        assert done.code == 0, done.err
        return sorted(p.relative_to(tmp_path / out).as_posix() for p in (tmp_path / out).rglob("*.png"))

    assert written("*/x.png") == ["a/x.png", "b/x.png"]
    assert written("list.txt") == ["c.png", "y.png"]
    assert written("-") == ["c.png"]
    assert written("c.png", "c.png", "./c.png") == ["c.png"]
    assert written("b", "b/x.png") == ["x.png", "y.png"]
    done = segengine("predict", study.run, "z*.png", "-o", "none", folder=tmp_path)
    assert (done.code, done.err) == (2, "error: z*.png: the pattern matches no file\n")


def test_an_ensemble_averages_the_runs(study: Study, tmp_path: Path) -> None:
    runs = sorted(study.run.parent.glob("*-seed0"))
    picture = sample(6)[0]
    Image.fromarray(picture).save(tmp_path / "a.png")
    done = segengine("predict", *runs, "a.png", "-o", "out", "--outputs", "masks,npz,disagreement", folder=tmp_path)
    assert done.code == 0, done.err
    each = [
        load_ensemble([run], "cpu", views=Views(), tiling=None).first.probabilities(picture[:, :, None]) for run in runs
    ]
    mean = np.mean(each, axis=0)
    with np.load(tmp_path / "out/probabilities/a.npz") as stored:
        assert np.allclose(stored["probabilities"], mean, atol=1e-5)
    assert np.array_equal(np.asarray(opened(tmp_path / "out/a.png")), np.array([0, 63, 252], np.uint8)[mean.argmax(0)])
    assert tifffile.imread(tmp_path / "out/disagreement/a.tif").max() > 0
    done = segengine("predict", runs[0], "a.png", "-o", "out", folder=tmp_path)
    assert "was predicted by another model or with other settings" in done.err


def test_a_georeferenced_image_has_a_georeferenced_prediction(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large: read by bands of rows, in tiles; the mask is a tiled TIFF with the image's tags."""
    picture = np.tile(sample(4, 70, 90)[0], (3, 3))
    tifffile.imwrite(tmp_path / "map.tif", picture, photometric="minisblack", rowsperstrip=16, extratags=GEO)
    monkeypatch.setattr("segengine.inference.predict.by_rows.LARGEST_PIXELS", 10_000)
    monkeypatch.setattr("segengine.inference.ensemble.LARGEST_PIXELS", 10_000)
    outputs = "masks,palette,colours,probabilities,entropy,geojson,csv,coco"
    settings = ["--tile", "64", "--overlap", "0.25"]
    done = segengine("predict", study.run, "map.tif", "-o", "out", "--outputs", outputs, *settings, folder=tmp_path)
    assert done.code == 0, done.err
    Image.fromarray(picture).save(tmp_path / "plain.png")
    monkeypatch.undo()
    assert segengine("predict", study.run, "plain.png", "-o", "out2", *settings, folder=tmp_path).code == 0
    plain = np.asarray(opened(tmp_path / "out2/plain.png"))
    assert np.array_equal(tifffile.imread(tmp_path / "out/map.tif"), plain)
    for name in ("map.tif", "palette/map.tif", "colours/map.tif", "probabilities/map.tif", "entropy/map.tif"):
        with tifffile.TiffFile(tmp_path / "out" / name) as file:
            page = file.pages.first
            assert page.is_tiled, name
            for code, _, _, value, _ in GEO:
                assert tuple(page.tags[code].value) == value, name
    with tifffile.TiffFile(tmp_path / "out/palette/map.tif") as file:
        classes = file.asarray()
        assert np.array_equal(np.array([0, 63, 252], np.uint8)[classes], plain)
    document = json.loads((tmp_path / "out/geojson/map.geojson").read_text())
    assert document["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    x, y = np.array([p for f in document["features"] for ring in f["geometry"]["coordinates"] for p in ring]).T
    rows, columns = np.nonzero(classes > 0)
    assert (x.min(), x.max()) == (500000 + 0.5 * columns.min(), 500000 + 0.5 * (columns.max() + 1))
    assert (y.max(), y.min()) == (4600000 - 0.25 * rows.min(), 4600000 - 0.25 * (rows.max() + 1))


def test_a_small_georeferenced_image_keeps_its_tags_where_masks_are_tiff(study: Study, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", sample(4)[0], photometric="minisblack", extratags=GEO)
    assert (
        segengine("predict", study.run, "a.tif", "-o", "out", "--outputs", "masks,entropy", folder=tmp_path).code == 0
    )
    assert (tmp_path / "out/a.png").exists(), "the training masks are PNG"
    with tifffile.TiffFile(tmp_path / "out/entropy/a.tif") as file:
        assert tuple(file.pages.first.tags[33550].value) == (0.5, 0.25, 0.0)


def test_large_images_read_by_rows_refuse_overlays_and_write_the_rest(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segengine.inference.predict.by_rows.LARGEST_PIXELS", 1000)
    tifffile.imwrite(tmp_path / "a.tif", sample(4)[0], photometric="minisblack")
    done = segengine("predict", study.run, "a.tif", "-o", "out", "--overlay", folder=tmp_path)
    assert done.code == 1
    assert "is read by bands of rows, and overlay isn't written for such large images" in done.err
    assert (tmp_path / "out/a.tif").exists()


def test_tiles_seams_of_a_trained_model_are_rare(study: Study) -> None:
    from segengine.inference.ensemble import tiling_of
    from segengine.inference.sources import array_source

    picture = np.tile(sample(4, 160, 160)[0], (2, 2))
    models = load_ensemble([study.run], "cpu", views=Views(), tiling=tiling_of(160, 0.25))
    source = array_source(picture, models.members)
    tiled, whole = models.predict(source).classes, models.first.classes(source.pictures[0])
    assert (tiled != whole).mean() < 0.02  # three epochs of training; the network pads every 32 pixels


def test_images_that_appear_in_a_folder_are_predicted_once_they_are_whole(tmp_path: Path) -> None:
    steps = []

    def wait(seconds: float) -> None:
        steps.append(seconds)
        if len(steps) == 1:
            (tmp_path / "in/a.png").write_bytes(b"half")
        elif len(steps) == 2:
            (tmp_path / "in/a.png").write_bytes(b"the whole")
        elif len(steps) == 5:
            (tmp_path / "in/b.png").write_bytes(b"another")
        assert len(steps) < 9

    (tmp_path / "in").mkdir()
    looks = new_images([tmp_path / "in"], tmp_path / "in/out", wait=wait)
    found = [[(path.name, path.read_bytes()) for path, _ in next(looks)] for _ in range(2)]
    assert found == [[("a.png", b"the whole")], [("b.png", b"another")]]


def test_watching_predicts_and_ends_with_an_interrupt(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(sample(1)[0]).save(tmp_path / "in/a.png")
    looks = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(new_images, "__kwdefaults__", {"wait": wait})
    done = segengine("predict", study.run, "in", "-o", "in/masks", "--watch", folder=tmp_path)
    assert (done.code, done.out.split(" in ")[0]) == (0, "1 of 1 mask written to in/masks")
    assert (tmp_path / "in/masks/a.png").exists()


def test_decoding_network_and_writing_run_in_different_threads(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segengine.inference.predict import files

    seen: dict[str, set[str]] = {"read": set(), "write": set()}
    read, write = files.read_source, files.write_file
    monkeypatch.setattr(
        files, "read_source", lambda *a: (seen["read"].add(threading.current_thread().name), read(*a))[1]
    )
    monkeypatch.setattr(
        files, "write_file", lambda *a: (seen["write"].add(threading.current_thread().name), write(*a))[1]
    )
    assert segengine("predict", study.run, study.folder / "data/train/images", "-o", "out", folder=tmp_path).code == 0
    assert seen["read"] | seen["write"] == {"read_0", "write_0"}
