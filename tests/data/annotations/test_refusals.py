"""What is said about annotations that can't be used, and what never happens: files outside the root, crashes, changes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segengine.components.annotation_sources import AnnotationSource, Coco, Cvat, Labelme, LabelStudio, Yolo
from segengine.data.annotations.run_lengths import brush_runs, coco_runs, png_runs
from segengine.data.files.reading import read_mask
from segengine.data.sources.fingerprint import file_digest
from segengine.errors import DataError
from tests.data.annotations.sets import HEIGHT, WIDTH, box, coco, packed_brush, photo, write
from tests.data.annotations.test_rasterised import WHEEL_FIRST, cvat_set, label_studio_set, labelme_set, yolo_set

SETS = {
    "coco": (lambda root: coco(root, WHEEL_FIRST, images=3), Coco),
    "labelme": (labelme_set, Labelme),
    "yolo": (yolo_set, Yolo),
    "cvat": (cvat_set, Cvat),
    "label-studio": (label_studio_set, LabelStudio),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def said(source: AnnotationSource) -> str:
    with pytest.raises(DataError) as refused:
        source.build()
    return str(refused.value)


def changed(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    write(path, document)


@pytest.mark.parametrize("name", sorted(SETS))
def test_reading_changes_nothing_and_is_the_same_each_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, kind = SETS[name]
    root = make(tmp_path / "set")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    first = kind(root=root).build()
    assert [file_digest(r.mask) for r in kind(root=root).build()] == [file_digest(r.mask) for r in first]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))
    assert [file_digest(r.mask) for r in kind(root=root).build()] == [file_digest(r.mask) for r in first]
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_changed_annotation_is_changed_data_of_its_image_only(tmp_path: Path) -> None:
    root = coco(tmp_path, [{"segmentation": [box(2, 2, 9, 9)], "image_id": i} for i in (1, 2, 3)], images=3)
    before = [file_digest(r.mask) for r in Coco(root=root).build()]
    changed(
        root / "annotations/instances_train.json", lambda d: d["annotations"][1].update(segmentation=[box(2, 2, 9, 10)])
    )
    after = [file_digest(r.mask) for r in Coco(root=root).build()]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert [file_digest(r.mask) for r in Coco(root=root, overlap="file-order").build()] != after


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    source = Coco(root=coco(tmp_path, WHEEL_FIRST))
    assert "pip install 'segengine[coco]'" in said(source)
    with pytest.raises(DataError, match=r"pip install 'segengine\[coco\]'"):
        source.preflight()


def test_a_declared_size_that_differs_from_the_image_is_named_with_both(tmp_path: Path) -> None:
    root = coco(tmp_path / "other", WHEEL_FIRST, size=(30, 50))
    message = said(Coco(root=root))
    assert "instances_train.json: image 1: says that 0001.png is 50x30" in message
    assert f"images/0001.png is {WIDTH}x{HEIGHT} (width x height)" in message
    assert "EXIF" in said(Coco(root=coco(tmp_path / "turned", WHEEL_FIRST, size=(WIDTH, HEIGHT))))
    assert said(Coco(root=root)) == message, "a second look says the same"


def test_run_lengths_of_another_size_are_named(tmp_path: Path) -> None:
    root = coco(tmp_path, [{"segmentation": {"size": [4, 4], "counts": [4, 12]}}])
    assert "run lengths are for 4x4 pixels and the image is 60x40" in said(Coco(root=root))


@pytest.mark.parametrize("name", ["../secret.png", "../../secret.png", "ABSOLUTE", "link.png", "a/../../secret.png"])
def test_no_name_in_an_annotation_leads_out_of_the_root(tmp_path: Path, name: str) -> None:
    secret = photo(tmp_path / "secret.png")
    root = coco(tmp_path / "set", WHEEL_FIRST)
    if name == "link.png":
        os.symlink(secret, root / "images/link.png")
    changed(
        root / "annotations/instances_train.json",
        lambda d: d["images"][0].update(file_name=str(secret) if name == "ABSOLUTE" else name),
    )
    assert "secret" in (message := said(Coco(root=root))) or "link.png" in message
    assert "not found" in message or "outside" in message


@pytest.mark.parametrize("pattern", ["../*.json", "/etc/*.json"])
def test_no_pattern_leads_out_of_the_root(tmp_path: Path, pattern: str) -> None:
    assert "outside" in said(Coco(root=coco(tmp_path, WHEEL_FIRST), annotations=pattern))
    assert "no such file" in said(Yolo(root=yolo_set(tmp_path / "yolo"), annotations="../data.yaml"))


def test_images_without_annotation_are_background_or_left_out(tmp_path: Path) -> None:
    root = coco(tmp_path, WHEEL_FIRST, images=3)
    records = Coco(root=root).build()
    assert len(records) == 3
    assert not read_mask(records[2].mask).any()  # type: ignore[arg-type]
    assert "2 images without annotation (0002.png, 0003.png): background only" in records.notes  # type: ignore[attr-defined]
    skipped = Coco(root=root, unpaired="skip").build()
    assert [r.id for r in skipped] == ["images/0001"]
    labelme = labelme_set(tmp_path / "labelme")
    photo(labelme / "b.png")
    assert [r.id for r in Labelme(root=labelme).build()] == ["a"]
    assert [r.id for r in Labelme(root=labelme, unpaired="background").build()] == ["a", "b"]
    write(labelme / "b.json", {"shapes": [], "imagePath": "b.png", "imageHeight": HEIGHT, "imageWidth": WIDTH})
    assert [r.id for r in Labelme(root=labelme).build()] == ["a", "b"], "a file without shapes says: nothing is there"


def test_missing_images_are_named_or_left_out(tmp_path: Path) -> None:
    root = coco(tmp_path, WHEEL_FIRST, images=2)
    (root / "images/0002.png").unlink()
    assert "1 annotated image not found (0002.png); add them, or set data.source.missing: skip" in said(Coco(root=root))
    assert len(Coco(root=root, missing="skip").build()) == 1


def test_labels_that_are_not_listed_are_named(tmp_path: Path) -> None:
    source = Labelme(root=labelme_set(tmp_path), labels=("box", "area"))
    assert "'disc' (1 shape), 'painted' (1 shape), missing from data.source.labels" in said(source)


def test_names_of_background_and_ignored_areas_are_no_classes(tmp_path: Path) -> None:
    root = coco(
        tmp_path,
        [{"segmentation": [box(0, 0, 9, 9)], "category_id": 3}, {"segmentation": [box(20, 20, 29, 29)], "category_id": 2},
         {"segmentation": [box(40, 0, 49, 9)], "category_id": 1}],
        names=("_background_", "__ignore__", "cat"),
    )  # fmt: skip
    source = Coco(root=root)
    assert source.class_labels() == ("cat",)
    assert np.unique(read_mask(source.build()[0].mask), return_counts=True)[1].tolist() == [2400 - 162, 81, 81]  # type: ignore[arg-type]


def test_more_labels_than_eight_bits_hold_are_drawn_in_sixteen(tmp_path: Path) -> None:
    names = [f"thing {i}" for i in range(400)]
    crowd = {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2390, 10]}, "category_id": 1, "iscrowd": 1}
    root = coco(tmp_path, [{"segmentation": [box(0, 0, 9, 9)], "category_id": 300}, crowd], names=names)
    drawn = read_mask(Coco(root=root).build()[0].mask)  # type: ignore[arg-type]
    assert drawn.dtype == np.uint16
    assert set(np.unique(drawn).tolist()) == {0, 300, 65535}


BROKEN: dict[str, tuple[Any, str]] = {
    "coordinate": (lambda d: d["annotations"][0].update(segmentation=[[0, 0, 1, 1, "x", 2]]), "annotation 1: a coordinate is not"),
    "odd": (lambda d: d["annotations"][0].update(segmentation=[[0, 0, 1, 1, 2, 2, 3]]), "odd number of coordinates"),
    "far": (lambda d: d["annotations"][0].update(segmentation=[[0, 0, 1e12, 0, 5, 5]]), "far outside the image"),
    "category": (lambda d: d["annotations"][0].update(category_id=9), "category 9 is not among the categories"),
    "image": (lambda d: d["annotations"][0].update(image_id=77), "name the image 77, which is not among the images"),
    "counts": (lambda d: d["annotations"][0].update(segmentation={"size": [HEIGHT, WIDTH], "counts": [1, 2]}), "add up to 3 pixels"),
    "text": (lambda d: d["annotations"][0].update(segmentation={"size": [HEIGHT, WIDTH], "counts": "zz~"}), "can't be decoded"),
    "captions": (lambda d: d.pop("categories"), "has no categories"),
    "boxes": (lambda d: [a.pop("segmentation") for a in d["annotations"]], "have no areas (2 annotation"),
    "panoptic": (lambda d: d["annotations"][0].update(segments_info=[]), "panoptic"),
    "nothing": (lambda d: d["annotations"].clear(), "no image has an annotation"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_wrong_in_a_coco_file_is_said(tmp_path: Path, name: str) -> None:
    change, words = BROKEN[name]
    root = coco(tmp_path, WHEEL_FIRST)
    changed(root / "annotations/instances_train.json", change)
    assert words in said(Coco(root=root))


def test_xml_with_entities_or_tracks_is_refused(tmp_path: Path) -> None:
    root = cvat_set(tmp_path)
    text = (root / "annotations.xml").read_text()
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    write(root / "annotations.xml", text.replace("?>\n", f"?>\n{bomb}", 1))
    assert "document type" in said(Cvat(root=root))
    write(root / "annotations.xml", text.replace("<image ", "<track id='1'/><image ", 1))
    assert "CVAT for video" in said(Cvat(root=root))
    write(root / "annotations.xml", text[: len(text) // 2])
    assert "not valid XML" in said(Cvat(root=root))


def test_boxes_of_yolo_and_unknown_numbers_are_named(tmp_path: Path) -> None:
    root = yolo_set(tmp_path)
    write(root / "labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n")
    assert "have no areas (1 box)" in said(Yolo(root=root))
    write(root / "labels/train/a.txt", "0 0.1 0.1 0.2 0.1 0.2 0.2\n7 0.1 0.1 0.2 0.1 0.2 0.2\n")
    assert "a.txt:2: class 7 has no name (there are 2)" in said(Yolo(root=root))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=12), st.lists(st.integers(-5, 300), max_size=6), st.binary(max_size=40), st.integers(0, 200))
def test_no_run_lengths_crash(text: str, counts: list[int], packed: bytes, cut: int) -> None:
    """pycocotools ends the process for some of these."""
    whole = packed_brush(np.eye(5, dtype=bool))
    for read in (
        lambda: coco_runs({"size": [4, 4], "counts": text}, "x"),
        lambda: coco_runs({"size": [4, 4], "counts": counts}, "x"),
        lambda: brush_runs(list(packed), 4, 4, "x"),
        lambda: brush_runs(whole[: cut % len(whole)] + list(packed), 5, 5, "x"),
        lambda: png_runs(text, 0, 0, "x"),
    ):
        try:
            runs = read()
        except DataError:
            continue
        assert sum(runs.counts) == runs.window[2] * runs.window[3]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_are_a_message_and_never_a_traceback(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = data.draw(st.sampled_from(sorted(SETS)))
    make, kind = SETS[name]
    root = make(tmp_path_factory.mktemp("set"))
    source = kind(root=root)
    files = [p for p in sorted(root.rglob("*")) if p.suffix in (".json", ".xml", ".txt", ".yaml")]
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=6))
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        for record in source.build():
            read_mask(record.mask)  # type: ignore[arg-type]


def test_sources_load_nothing_heavy() -> None:
    code = (
        "import sys; from segengine.components.annotation_sources import Coco; Coco(root='x');"
        "assert not {'torch', 'cv2', 'pycocotools'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
