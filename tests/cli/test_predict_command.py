import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.training.small import SPEC, VALUES, Study, contents, gray, opened, sample, segengine, write_problem

ORIENTATION = 0x0112
PALETTE = [10, 20, 30, 200, 40, 0, 0, 90, 255, 1, 2, 3]
ONE_CLASS = "  classes: [ground, thing]\n"
CLASSES = "  classes: [background, disc, square]\n"
COLOURS = [(0, 0, 0), (255, 0, 0), (0, 128, 255)]

Classes = NDArray[np.uint8]


def palette(classes: Classes) -> Image.Image:
    image = Image.fromarray(classes, "P")
    image.putpalette(PALETTE)
    return image


def bordered_palette(classes: Classes) -> Image.Image:
    """VOC's way: 255 is the border."""
    ring = classes.copy()
    ring[:, 1:][classes[:, 1:] != classes[:, :-1]] = 255
    image = Image.fromarray(ring, "P")
    image.putpalette([*PALETTE, *[0] * (255 * 3 - len(PALETTE)), 224, 224, 192])
    return image


ENCODINGS: dict[str, tuple[Callable[[Classes], Image.Image], str]] = {
    "0 and 255": (lambda classes: Image.fromarray(np.where(classes > 0, 255, 0).astype(np.uint8)), ONE_CLASS),
    "1 bit": (lambda classes: Image.fromarray(classes > 0), ONE_CLASS),
    "16 bits": (lambda classes: Image.fromarray(np.array([0, 1000, 60000], np.uint16)[classes]), CLASSES),
    "colours": (
        lambda classes: Image.fromarray(np.array(COLOURS, np.uint8)[classes]),
        "  mask_mapper: {name: rgb, colours: {ground: [0, 0, 0], disc: [255, 0, 0], square: [0, 128, 255]}}\n",
    ),
    "0, 63, 126, 189, 252": (
        lambda classes: Image.fromarray(np.array([0, 63, 126, 189, 252], np.uint8)[classes + 2 * (np.arange(48) > 24)[:, None]]),
        "  classes: [a, b, c, d, e]\n",
    ),
    "palette": (palette, "  mask_mapper: palette\n"),
    "palette with a border": (bordered_palette, "  mask_mapper: {name: palette, ignore: [255]}\n"),
}  # fmt: skip


def values(image: Image.Image) -> set[tuple[int, ...]]:
    array = np.asarray(image)
    return set(map(tuple, array.reshape(-1, array.shape[2] if array.ndim == 3 else 1).tolist()))


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_predictions_come_back_in_the_encoding_of_the_masks(encoding: str, tmp_path: Path) -> None:
    encode, lines = ENCODINGS[encoding]
    spec = SPEC.replace(CLASSES, lines).replace("epochs: 3", "epochs: 1")
    write_problem(tmp_path, spec, encode=encode, train=3, validation=1, test=2)
    done = segengine("run", "blobs.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    done = segengine("predict", "runs/blobs/default-seed0", "data/test/images", "-o", "out", folder=tmp_path)
    assert done.code == 0, done.err
    known = set[tuple[int, ...]]().union(*(values(opened(mask)) for mask in tmp_path.glob("data/*/masks/*")))
    for number in range(2):
        truth = opened(tmp_path / f"data/test/masks/te{number}.png")
        predicted = opened(tmp_path / f"out/te{number}.png")
        assert (predicted.mode, predicted.size, predicted.format) == (truth.mode, truth.size, truth.format)
        assert values(predicted) <= known - ({(255,)} if "border" in encoding else set())
        if truth.mode == "P":
            assert predicted.getpalette()[: len(PALETTE)] == truth.getpalette()[: len(PALETTE)]


def expected(study: Study, picture: Classes) -> Classes:
    """What the run's model says of a picture, as raw values."""
    from segengine.inference.load import load_trained

    trained = load_trained(study.run, "cpu")
    return np.array(VALUES, np.uint8)[trained.classes(picture[:, :, None])]


def test_names_sizes_and_sub_folders_are_kept(study: Study, tmp_path: Path) -> None:
    pictures = {"a/x.png": (33, 47), "b/x.png": (61, 50), "b/deep/long name.v2.bmp": (1, 5), "y.tif": (97, 31)}
    for name, (height, width) in pictures.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample(3, height, width)[0]).save(path)
    done = segengine("predict", study.run, "in", "-o", "some/new/folder", folder=tmp_path)
    assert done.code == 0, done.err
    assert "4 of 4 masks written" in done.out
    found = {p.relative_to(tmp_path / "some/new/folder").as_posix(): p for p in (tmp_path / "some").rglob("*.*")}
    masks = set(found) - {"predictions.jsonl"}
    assert masks == {"a/x.png", "b/x.png", "b/deep/long name.v2.png", "y.png"}
    for name, (height, width) in pictures.items():
        mask = np.asarray(opened(found[str(Path(name).with_suffix(".png"))]))
        assert mask.shape == (height, width)
        assert np.array_equal(mask, expected(study, sample(3, height, width)[0]))


def test_a_rotated_jpeg_is_predicted_as_people_see_it(study: Study, tmp_path: Path) -> None:
    picture = sample(5, 40, 56)[0]
    turn = Image.Exif()
    turn[ORIENTATION] = 6  # to be rotated by 90 degrees clockwise
    Image.fromarray(np.rot90(picture)).save(tmp_path / "turned.jpg", quality=100, exif=turn)
    upright = np.rot90(np.asarray(opened(tmp_path / "turned.jpg")), -1)  # as decoded, without its orientation
    assert segengine("predict", study.run, "turned.jpg", "-o", "out", folder=tmp_path).code == 0
    mask = np.asarray(opened(tmp_path / "out/turned.png"))
    assert mask.shape == (40, 56)
    assert np.array_equal(mask, expected(study, np.ascontiguousarray(upright)))


def test_a_colour_picture_is_read_as_the_gray_ones_of_training_or_named(study: Study, tmp_path: Path) -> None:
    picture = sample(5)[0]
    Image.fromarray(np.repeat(picture[:, :, None], 3, axis=2)).save(tmp_path / "colour.png")
    done = segengine("predict", study.run, "colour.png", "-o", "out", folder=tmp_path)
    if done.code == 0:
        assert np.array_equal(np.asarray(opened(tmp_path / "out/colour.png")), expected(study, picture))
    else:
        assert "colour.png" in done.err


def test_a_broken_picture_is_named_and_skipped_and_the_rest_written(study: Study, tmp_path: Path) -> None:
    for name in ("a", "c"):
        Image.fromarray(sample(1)[0]).save(tmp_path / f"{name}.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    done = segengine("predict", study.run, "a.png", "b.png", "empty.png", "c.png", "-o", "out", folder=tmp_path)
    assert done.code == 1
    skipped = [line for line in done.err.splitlines() if line.startswith("skipped")]
    assert ["b.png" in skipped[0], "empty.png" in skipped[1], len(skipped)] == [True, True, 2]
    assert "Traceback" not in done.err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "c.png"]
    assert "2 of 4 masks written" in done.out


def test_overlays_and_triptychs_are_written_beside_the_masks(study: Study, tmp_path: Path) -> None:
    data = study.folder / "data/test"
    done = segengine(
        "predict", study.run, data / "images", "-o", "out", "--overlay", "--masks", data / "masks", folder=tmp_path
    )
    assert done.code == 0, done.err
    for name in ("te0.png", "te1.png"):
        with (
            opened(tmp_path / "out/overlays" / name) as overlay,
            opened(tmp_path / "out/triptychs" / name) as triptych,
        ):
            assert overlay.size == (48, 48)
            assert overlay.mode == "RGB"
            assert triptych.width >= 3 * 48


def test_true_masks_are_found_by_a_common_suffix_and_in_sub_folders(study: Study, tmp_path: Path) -> None:
    for folder, seed in (("p1", 1), ("p2", 2)):
        picture, classes = sample(seed)
        for path, image in (
            (f"in/{folder}/x.png", Image.fromarray(picture)),
            (f"true/{folder}/x_manual.png", gray(classes)),
        ):
            (tmp_path / path).parent.mkdir(parents=True)
            image.save(tmp_path / path)
    done = segengine("predict", study.run, "in", "-o", "out", "--masks", "true", folder=tmp_path)
    assert done.code == 0, done.err
    first, second = ((tmp_path / f"out/triptychs/{folder}/x.png").read_bytes() for folder in ("p1", "p2"))
    assert first != second


def test_an_image_without_its_true_mask_is_named_and_its_prediction_written(study: Study, tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    for number in range(2):
        picture, classes = sample(number)
        Image.fromarray(picture).save(tmp_path / f"x{number}.png")
        if number:
            gray(classes).save(tmp_path / f"true/x{number}.png")
    done = segengine("predict", study.run, "x0.png", "x1.png", "-o", "out", "--masks", "true", folder=tmp_path)
    assert done.code == 1
    assert "has no mask named like x0.png" in done.err
    assert (tmp_path / "out/x0.png").exists()
    assert sorted(path.name for path in (tmp_path / "out/triptychs").iterdir()) == ["x1.png"]


@pytest.mark.parametrize("out", ["images", "masks"])
def test_neither_images_nor_true_masks_are_overwritten(out: str, study: Study, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in (study.folder / "data/test" / kind).iterdir():
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    before = contents(tmp_path)
    done = segengine("predict", study.run, "images", "-o", out, "--masks", "masks", folder=tmp_path)
    assert done.code == 2
    assert "would be overwritten" in done.err
    assert contents(tmp_path) == before


def test_an_output_folder_among_the_images_is_not_predicted_again(study: Study, tmp_path: Path) -> None:
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    for said in ("1 of 1 mask written to masks", "0 of 1 mask written to masks; 1 was complete"):
        done = segengine("predict", study.run, ".", "-o", "masks", folder=tmp_path)
        assert done.code == 0, done.err
        assert done.out == f"{said}\n"


def test_two_images_with_one_name_are_refused(study: Study, tmp_path: Path) -> None:
    for name in ("x.png", "x.bmp"):
        Image.fromarray(sample(1)[0]).save(tmp_path / name)
    done = segengine("predict", study.run, "x.png", "x.bmp", "-o", "out", folder=tmp_path)
    assert done.code == 2
    assert "two images would both be written to" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere", "a.png"], 2, "nowhere: not a run folder, it doesn't exist"),
        (["empty", "a.png"], 2, "empty: not a run folder, it has no run.json"),
        (["nowhere.onnx", "a.png"], 2, "nowhere.onnx: no such file"),
        (["a.png", "a.png"], 2, "a.png: is a file, not a run folder"),
        (["RUN", "a.png", "--device", "banana"], 2, "--device banana: unknown device; use auto, cpu, cuda, cuda:1"),
        (["RUN", "a.png", "--device", "meta"], 2, "--device meta: unknown device"),
        (["RUN", "b.png"], 2, "b.png: no such file or folder; did you mean 'a.png'"),
        (["RUN", "empty"], 2, "empty: holds no image"),
    ],
)
def test_what_is_not_there_is_said(arguments: list[str], code: int, words: str, study: Study, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    given = [str(study.run) if argument == "RUN" else argument for argument in arguments]
    done = segengine("predict", *given, "-o", "out", folder=tmp_path)
    assert done.code == code
    assert words in done.err


def test_a_run_that_never_finished_is_told_apart(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "unfinished"
    folder.mkdir()
    document = json.loads((study.run / "run.json").read_text()) | {"status": "interrupted"}
    (folder / "run.json").write_text(json.dumps(document))
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    done = segengine("predict", "unfinished", "a.png", "-o", "out", folder=tmp_path)
    assert done.code == 1
    assert "its status is interrupted" in done.err


@pytest.mark.parametrize("out", ["a.png", "a.png/below"])
def test_an_output_folder_that_is_a_file_is_refused_at_once(out: str, study: Study, tmp_path: Path) -> None:
    Image.fromarray(sample(1)[0]).save(tmp_path / "a.png")
    before = contents(tmp_path)
    done = segengine("predict", study.run, "a.png", "-o", out, folder=tmp_path)
    assert (done.code, done.err) == (
        2,
        "error: a.png: is a file; masks are written to a folder, choose another one with -o\n",
    )
    assert contents(tmp_path) == before
