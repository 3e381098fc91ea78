"""What `init` says where it can't decide, and that no name or content ends in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segengine.cli.main import main
from segengine.errors import DataError
from segengine.inspection.layouts.class_names import find_names
from segengine.inspection.layouts.names import endings, split_of
from segengine.inspection.layouts.spec import experiment_text, scalar
from segengine.inspection.layouts.tree import look_around
from segengine.inspection.layouts.understand import Answers, UndecidedError, understand
from segengine.specs.load import load_experiment
from tests.inspection.layouts.trees import mask, photo, save, text


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def quiet(event: object) -> None:
    pass


def photos(root: Path, number: int = 4) -> Path:
    for i in range(number):
        save(root / f"photos/{i}.jpg", photo(i))
    return root


def two_kinds(root: Path) -> Path:
    photos(root, 6)
    for i in range(6):
        save(root / f"cells/{i}.png", mask(i, (0, 1, 2, 3)))
        save(root / f"dirt/{i}.png", mask(i + 50, (0, 1, 2, 3)))
    return root


ANNOTATIONS = {
    "coco": ("annotations/instances.json", json.dumps({"images": [{}], "annotations": [{}, {}], "categories": [{"id": 1, "name": "cat"}]}),
             "annotations/instances.json: annotations in COCO format (1 image, 2 annotations, 1 category"),
    "labelme": ("photos/0.json", json.dumps({"shapes": [], "imagePath": "0.jpg"}), "photos/0.json: polygons of labelme"),
    "yolo": ("labels/0.txt", "0 0.1 0.2 0.3 0.4 0.5 0.6\n", "labels/0.txt: polygons in YOLO format"),
    "yolo boxes": ("labels/0.txt", "0 0.1 0.2 0.3 0.4\n", "labels/0.txt: boxes in YOLO format, which say nothing about single pixels"),
    "cvat": ("annotations.xml", "<?xml version='1.0'?><annotations><version>1.1</version><image id='0'/></annotations>",
             "annotations.xml: annotations of CVAT for images"),
    "label studio": ("export.json", json.dumps([{"data": {"image": "0.jpg"}, "annotations": []}]),
                     "export.json: annotations of Label Studio"),
    "voc boxes": ("xml/0.xml", "<annotation><object><bndbox/></object></annotation>", "xml/0.xml: boxes in PASCAL VOC's XML"),
    "via": ("via.json", json.dumps({"0.jpg1": {"filename": "0.jpg", "regions": []}}), "via.json: polygons of the VGG Image Annotator"),
    "run lengths": ("train.csv", "ImageId,EncodedPixels\n0.jpg,1 3\n", "train.csv: masks as run lengths in a CSV"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ANNOTATIONS))
def test_annotations_that_are_no_masks_are_named(tmp_path: Path, kind: str) -> None:
    name, content, said = ANNOTATIONS[kind]
    text(photos(tmp_path) / name, content)
    with pytest.raises(UndecidedError) as asked:
        understand(tmp_path, quiet)
    assert said in str(asked.value)
    assert "4 images and no masks" in str(asked.value)


def test_files_that_no_reader_takes_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        text(tmp_path / f"MR/1/T2SPIR/DICOM_anon/IMG-{i}.dcm", "x")
        text(tmp_path / f"other/{i}.nrrd", "x")
    with pytest.raises(UndecidedError, match=r"none of 3 images can be decoded; .*IMG-0.dcm: can't be decoded"):
        understand(tmp_path, quiet)
    monkeypatch.setattr("segengine.data.files.formats.find_spec", lambda name: None)
    said = r"MR/1/T2SPIR/DICOM_anon/ holds 3 \.dcm \(DICOM\): pip install 'segengine\[medical\]'"
    with pytest.raises(UndecidedError, match=said):
        understand(tmp_path, quiet)
    (tmp_path / "MR/1/T2SPIR/DICOM_anon").rename(tmp_path / ".hidden")
    with pytest.raises(
        UndecidedError, match=r"other/ holds 3 \.nrrd \(NRRD \(3D Slicer\)\), which can't be read; readable: \.png"
    ):
        understand(tmp_path, quiet)


def test_two_kinds_of_masks_are_a_question_with_its_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = two_kinds(tmp_path / "d"), tmp_path / "x.yaml"
    assert run("init", str(data), "-o", str(file)) == 2
    said = capsys.readouterr().err
    assert "several kinds of masks fit the same images" in said
    for kind in ("cells", "dirt"):
        assert f"--images 'photos/*.jpg' --masks '{kind}/*.png'" in said
    assert not file.exists()
    assert run("init", str(data), "-o", str(file), "--images", "photos/*.jpg", "--masks", "dirt/*.png") == 0
    assert yaml.safe_load(file.read_text())["data"]["source"]["masks"] == "dirt/*.png"


def test_interactive_asks_and_takes_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from segengine.cli.init import command

    data, file = two_kinds(tmp_path / "d"), tmp_path / "x.yaml"
    done = CliRunner().invoke(command, [str(data), "-o", str(file), "--interactive"], input="9\n2\n")
    assert done.exit_code == 0, done.output
    asked = [line for line in done.output.splitlines() if line.strip().startswith("2:")]
    assert str(yaml.safe_load(file.read_text())["data"]["source"]["masks"]) in asked[0]


def test_json_gives_hypotheses_with_scores_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, file = two_kinds(tmp_path / "d"), tmp_path / "x.yaml"
    assert run("init", str(data), "-o", str(file), "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert {h["masks"] for h in found["hypotheses"]} == {"cells/*.png", "dirt/*.png"}
    for hypothesis in found["hypotheses"]:
        assert 0.5 < hypothesis["score"] <= 1
        assert hypothesis["evidence"]
    for path in (data / "dirt").iterdir():
        path.unlink()
    assert run("init", str(data), "-o", str(file), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"]["masks"] == "cells/*.png"
    assert found["hypotheses"][0]["pairs"] == 6
    assert not file.exists()


def test_missing_partners_are_left_out_by_a_setting_that_init_writes(tmp_path: Path) -> None:
    for i in range(6):
        save(tmp_path / f"images/{i}.png", photo(i))
        if i:
            save(tmp_path / f"masks/{i}.png", mask(i, (0, 255)))
    save(tmp_path / "masks/77.png", mask(3, (0, 255)))
    found = understand(tmp_path, quiet)
    assert found.source["unpaired"] == "skip"
    assert len(found.inspection.records) == 5


def test_links_out_of_the_folder_are_named_and_followed_when_allowed(tmp_path: Path) -> None:
    for i in range(4):
        for kind, values in (("images", photo(i)), ("masks", mask(i, (0, 255)))):
            save(tmp_path / f"elsewhere/{kind}/{i}.png", values)
            (tmp_path / f"set/{kind}").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"set/{kind}/{i}.png").symlink_to(tmp_path / f"elsewhere/{kind}/{i}.png")
    with pytest.raises(
        UndecidedError, match=r"8 links lead out of it \(first images/0.png\); follow them with --outside allow"
    ):
        understand(tmp_path / "set", quiet)
    found = understand(tmp_path / "set", quiet, Answers(outside="allow"))
    assert found.source["outside"] == "allow"
    assert len(found.inspection.records) == 4


def test_masks_of_another_size_are_a_question(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / f"images/{i}.png", photo(i))
        save(tmp_path / f"masks/{i}.png", mask(i, (0, 1))[::2, ::2].copy())
    with pytest.raises(
        UndecidedError, match=r"is 32x32 and its mask .* 16x16 .*4 half the image's size.*If the masks were scaled"
    ):
        understand(tmp_path, quiet)


STRANGE = [
    "ü ñ 漢", "a [1]", "{split}", "b{x}", "q?*", "two\nlines", "tab\t", "- dash", "#hash: x", "'quote\"", "back\\slash", "true", "%s %d",
    " lead",
]  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_no_name_ends_in_a_traceback(tmp_path: Path, name: str) -> None:
    root = tmp_path / f"{name}-set"
    for i in range(4):
        save(root / name / f"{name}{i}.png", photo(i))
        save(root / f"{name} masks" / f"{name}{i}.png", mask(i, (0, 255)))
    text(root / name / "classes.txt", f"{name}\n{name}2\n")
    file = tmp_path / "x.yaml"
    file.write_text(experiment_text(understand(root, quiet), file), "utf-8")
    experiment = next(iter(load_experiment(file).variants.values()))
    assert len(experiment.data.source.build()) == 4
    if "\n" not in name:
        assert experiment.data.classes == [" ".join(name.split()), " ".join(f"{name}2".split())]


def test_names_that_are_no_text_and_broken_files_are_no_traceback(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / f"images/{i}.png", photo(i))
        save(tmp_path / f"masks/{i}.png", mask(i, (0, 255)))
    (tmp_path / "images/4.png").write_bytes(b"no png")
    save(tmp_path / "masks/4.png", mask(4, (0, 255)))
    (tmp_path / "labels.json").write_bytes(b"\xff{" * 9)
    (tmp_path / "data.yaml").write_bytes(b"names: [a, &x *x")
    (tmp_path / "classes.csv").write_bytes(b"name,r,g,b\nx,1,2\n\0")
    with pytest.raises(DataError, match=r"images/4\.png: can't be decoded"):
        understand(tmp_path, quiet)
    (tmp_path / "images/4.png").unlink()
    assert len(understand(tmp_path, quiet).inspection.records) == 4
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(UndecidedError, match="holds no images that can be read"):
        understand(nothing, quiet)


def test_an_image_is_never_taken_for_a_mask_of_another_image(tmp_path: Path) -> None:
    for i in range(6):
        save(tmp_path / f"left/{i}.png", photo(i))
        save(tmp_path / f"right/{i}.png", photo(50 + i))
    with pytest.raises(
        UndecidedError,
        match=r"no files look like images and their masks; there: left/ \(6 images\), right/ \(6 images\)",
    ):
        understand(tmp_path, quiet)


def test_a_rare_class_gets_windows_and_a_loss_that_see_it(tmp_path: Path) -> None:
    for i in range(6):
        save(tmp_path / f"images/{i}.png", np.kron(photo(i, 1), np.ones((4, 4), np.uint8)))
        spot = np.zeros((128, 128), np.uint8)
        spot[10 * i : 10 * i + 5, 40:45] = 255
        save(tmp_path / f"masks/{i}.png", spot)
    written = experiment_text(understand(tmp_path, quiet), tmp_path / "x.yaml")
    document = yaml.safe_load(written)
    assert document["augmentations"][0]["rare_share"] == 0.5
    assert [term["loss"] for term in document["loss"]["terms"]] == ["cross-entropy", {"name": "dice", "over": "batch"}]
    assert "foreground has 0.15 % of the pixels" in written


def test_renaming_a_class_in_the_written_file_is_enough(tmp_path: Path) -> None:
    table = [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
    for i in range(6):
        save(tmp_path / f"images/{i}.png", photo(i))
        Image.fromarray(np.array(table, np.uint8)[mask(i, (0, 1, 2))]).save(tmp_path / f"images/{i}_gt.png")
    file = tmp_path / "x.yaml"
    file.write_text(experiment_text(understand(tmp_path / "images", quiet), file).replace("red:", "weed:"), "utf-8")
    data = next(iter(load_experiment(file).variants.values())).data
    from segengine.inspection.inspect import inspect_source

    survey = inspect_source(data.source, tmp_path, quiet).survey
    assert [label.name for label in data.mask_mapper.build(classes=data.classes, found=survey).labels] == [
        "background",
        "green",
        "weed",
    ]


@pytest.mark.parametrize(
    ("name", "found"),
    [("train", "{split}"), ("VALID", "{split}"), ("trainannot", "{split}annot"), ("val_labels", "{split}_labels"),
     ("imagesTr", "images{split}"),
     ("stage1_train", "stage1_{split}"), ("ISIC_Training_Data", "ISIC_{split}_Data"), ("strain", None), ("contest", None), ("masks", None)],
)  # fmt: skip
def test_splits_are_found_in_folder_names(name: str, found: str | None) -> None:
    spoken = split_of(name)
    assert (spoken[0] if spoken else None) == found


def test_endings_are_those_by_which_files_of_one_case_differ() -> None:
    assert endings(["a_1_gt", "a_1_color", "b_2_gt", "b_2_color"]) == {
        "a_1_gt": "_gt", "a_1_color": "_color", "b_2_gt": "_gt", "b_2_color": "_color",
    }  # fmt: skip
    assert set(endings(["p1_s1", "p1_s2", "p2_s1", "p2_s2"]).values()) == {""}
    assert endings(["7_mask", "8_mask"], {"7", "8"}) == {"7_mask": "_mask", "8_mask": "_mask"}


def test_scalars_are_read_back_as_they_were() -> None:
    for value in ("no", "1e3", "a: b", "# x", "null", "x y", "0x1", "é", "a\nb", "", "-", "{a}", 3, 0.5, None):
        assert yaml.safe_load(scalar(value)) == value


def test_names_are_read_wherever_tools_leave_them(tmp_path: Path) -> None:
    text(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\ncat:1,2,3::\n")
    text(tmp_path / "colors.json", json.dumps({"labels": [{"name": "sky", "color": "#0000ff", "id": 4}]}))
    text(tmp_path / "dataset.json", json.dumps({"labels": {"0": "background", "1": "liver"}, "modality": {"0": "MR"}}))
    text(tmp_path / "other.json", json.dumps({"version": 1, "author": "x"}))
    found = {names.file: names for names in find_names(look_around(tmp_path))}
    assert found["labelmap.txt"].colours == {(1, 2, 3): "cat"}
    assert found["colors.json"].values == {4: "sky"}
    assert found["dataset.json"].values == {0: "background", 1: "liver"}
    assert "other.json" not in found
