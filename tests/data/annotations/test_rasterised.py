"""Rasterised annotations against pycocotools' own masks and against known shapes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as library
from pycocotools.coco import COCO

from segengine.components.annotation_sources import Coco, Cvat, Labelme, LabelStudio, Yolo
from segengine.data.annotations.raster import Painted, rasterise
from segengine.data.annotations.run_lengths import brush_runs
from segengine.data.files.reading import read_mask
from tests.data.annotations.sets import HEIGHT, WIDTH, Array, box, coco, packed_brush, pairs, photo, png_text, write


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def only_mask(source: Any) -> Array:
    record = source.build()[0]
    return read_mask(record.mask)


def blob(seed: int) -> Array:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centre, radius = random.uniform(10, 30, 2), random.uniform(4, 12)
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return inside & ~((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (radius / 2) ** 2)


def rle(mask: Array, *, compressed: bool) -> dict[str, Any]:
    encoded = library.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": encoded["size"], "counts": encoded["counts"].decode()}
    flat = np.concatenate([[False], mask.ravel(order="F")])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, mask.size]).tolist()}


def polygon(random: np.random.Generator) -> list[float]:
    angles = np.sort(random.uniform(0, 2 * math.pi, int(random.integers(3, 12))))
    radii = random.uniform(2, 18, len(angles))
    x, y = (
        random.uniform(-5, WIDTH + 5) + radii * np.cos(angles),
        random.uniform(-5, HEIGHT + 5) + radii * np.sin(angles),
    )
    return np.stack([x, y], axis=1).round(2).ravel().tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools with NumPy 2
def test_every_kind_of_segmentation_equals_the_mask_of_pycocotools(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    segmentations: list[Any] = [[polygon(random) for _ in range(1 + i % 3)] for i in range(60)]
    segmentations += [rle(blob(i), compressed=i % 2 == 0) for i in range(20)]
    annotations = [{"segmentation": s, "image_id": i} for i, s in enumerate(segmentations, 1)]
    annotations += [
        {"segmentation": [box(0, 0, 3, 3)], "category_id": 2, "image_id": a["image_id"]} for a in annotations
    ]
    root = coco(tmp_path, annotations, images=len(segmentations))
    reference = COCO(str(root / "annotations/instances_train.json"))
    records = Coco(root=root).build()
    assert len(records) == len(segmentations)
    for record in records:
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        own = reference.loadAnns(reference.getAnnIds([int(record.image.stem)]))
        for annotation in sorted(own, key=lambda a: -int(reference.annToMask(a).sum())):
            expected[reference.annToMask(annotation) == 1] = annotation["category_id"]
        np.testing.assert_array_equal(read_mask(record.mask), expected, err_msg=record.id)  # type: ignore[arg-type]


def test_a_polygon_of_several_parts_is_their_union(tmp_path: Path) -> None:
    root = coco(tmp_path, [{"segmentation": [box(2, 2, 10, 10), box(20, 2, 30, 10), box(25, 5, 35, 15)]}])
    drawn = only_mask(Coco(root=root))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:10, 2:10] = expected[2:10, 20:30] = expected[5:15, 25:35] = 1
    np.testing.assert_array_equal(drawn, expected)


WHEEL_FIRST = [
    {"segmentation": [box(10, 20, 16, 26)], "category_id": 2},
    {"segmentation": [box(5, 5, 50, 28)], "category_id": 1},
]


def test_a_wheel_listed_before_its_car_stays_visible_unless_the_file_order_is_asked_for(tmp_path: Path) -> None:
    root = coco(tmp_path, WHEEL_FIRST)
    assert (only_mask(Coco(root=root)) == 2).sum() == 36
    assert (only_mask(Coco(root=root, overlap="file-order")) == 2).sum() == 0
    assert (only_mask(Coco(root=root)) == 1).sum() == 45 * 23 - 36


def test_a_crowd_is_ignored_below_objects_or_belongs_to_its_class(tmp_path: Path) -> None:
    crowd = np.zeros((HEIGHT, WIDTH), bool)
    crowd[10:30, 10:50] = True
    objects = [{"segmentation": [box(0, 0, 55, 20)], "category_id": 1}]
    for compressed in (False, True):
        root = coco(
            tmp_path / str(compressed),
            [*objects, {"segmentation": rle(crowd, compressed=compressed), "category_id": 2, "iscrowd": 1}],
        )
        ignored = only_mask(Coco(root=root))
        assert (ignored[:20, :55] == 1).all(), "an object in a crowd keeps its class"
        assert (ignored[20:30, 10:50] == 255).all()
        assert (ignored == 255).sum() == 400
        assert set(np.unique(only_mask(Coco(root=root, crowd="class", overlap="file-order")))) == {0, 1, 2}
        assert (only_mask(Coco(root=root, crowd="class", overlap="file-order")) == 2).sum() == 800


def test_layers_are_painted_by_size_by_order_or_by_z() -> None:
    shapes = [
        Painted(1, (tuple(box(0, 0, 4, 4)),), z=2),
        Painted(2, (tuple(box(0, 0, 8, 8)),), z=1),
        Painted(3, (tuple(box(0, 0, 6, 6)),), z=1),
    ]
    corner = {o: int(rasterise(shapes, 10, 10, o)[0, 0]) for o in ("small-on-top", "file-order", "z-order")}  # type: ignore[arg-type]
    assert corner == {"small-on-top": 1, "file-order": 3, "z-order": 1}
    assert rasterise(shapes, 10, 10, "z-order")[5, 5] == 3, "between equals the later one is on top"
    assert rasterise([], 3, 5, "z-order").shape == (3, 5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_brushes_of_label_studio_come_back_exactly(height: int, width: int, random: Any) -> None:
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    runs = brush_runs(packed_brush(mask), height, width, "task 1")
    np.testing.assert_array_equal(rasterise([Painted(1, runs=runs)], height, width, "file-order"), mask)


def labelme_set(root: Path) -> Path:
    mask = blob(3)[5:25, 8:40]
    photo(root / "a.png")
    write(root / "a.json", {
        "version": "5.4.1", "flags": {}, "imagePath": "a.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH,
        "shapes": [
            {"label": "box", "points": [[40, 30], [50, 38]], "shape_type": "rectangle"},
            {"label": "disc", "points": [[12, 30], [12, 37]], "shape_type": "circle"},
            {"label": "area", "points": pairs(box(45, 2, 55, 12)), "shape_type": "polygon"},
            {"label": "painted", "points": [[8, 5], [39, 24]], "shape_type": "mask", "mask": png_text(mask)},
            {"label": "line", "points": [[0, 0], [9, 9]], "shape_type": "line"},
        ],
    })  # fmt: skip
    return root


def test_shapes_of_labelme_stand_where_they_were_drawn(tmp_path: Path) -> None:
    source = Labelme(root=labelme_set(tmp_path))
    assert source.class_labels() == ("area", "box", "disc", "painted")
    drawn = only_mask(source)
    assert (drawn[2:12, 45:55] == 1).all()
    assert (drawn == 1).sum() == 100
    assert (drawn[30:38, 40:50] == 2).all()
    assert (drawn == 2).sum() == 80
    assert abs((drawn == 3).sum() - math.pi * 49) < 8
    np.testing.assert_array_equal(drawn[5:25, 8:40] == 4, blob(3)[5:25, 8:40])
    assert "annotations without area are left out: 1 line" in source.build().notes  # type: ignore[attr-defined]


def cvat_set(root: Path) -> Path:
    ring = blob(4)[:30, :30]
    flat = np.concatenate([[False], ring.ravel()])
    counts = np.diff([0, *np.flatnonzero(flat[1:] != flat[:-1]), ring.size])
    photo(root / "images/a.png")
    write(
        root / "annotations.xml",
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>road</name><color>#ff0000</color></label><label><name>car</name></label></labels></task></meta>
<image id="0" name="a.png" subset="Train" width="{WIDTH}" height="{HEIGHT}">
  <mask label="car" rle="{", ".join(map(str, counts))}" left="28" top="8" width="30" height="30" z_order="0"></mask>
  <polygon label="car" points="2.00,2.00;12.00,2.00;12.00,12.00;2.00,12.00" z_order="1"></polygon>
  <box label="road" xtl="0.0" ytl="0.0" xbr="20.0" ybr="20.0" z_order="0"></box>
  <polyline label="road" points="1,1;3,3" z_order="0"></polyline>
</image></annotations>""",
    )
    return root


def test_shapes_of_cvat_are_layered_by_their_z_order(tmp_path: Path) -> None:
    source = Cvat(root=cvat_set(tmp_path))
    assert source.class_labels() == ("road", "car")
    record = source.build()[0]
    assert record.split == "train"
    assert record.id == "images/a"
    drawn = read_mask(record.mask)  # type: ignore[arg-type]
    assert (drawn[2:12, 2:12] == 2).all(), "a higher z_order is on top"
    assert (drawn == 1).sum() == 300
    np.testing.assert_array_equal(drawn[8:38, 28:58] == 2, blob(4)[:30, :30])
    assert (only_mask(Cvat(root=tmp_path, overlap="file-order"))[2:12, 2:12] == 1).all()


def label_studio_set(root: Path) -> Path:
    photo(root / "images/frame one.png")
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    percent = [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in pairs(box(2, 2, 12, 12))]
    rectangle = {"x": 50, "y": 50, "width": 25, "height": 20, "rotation": 0, "rectanglelabels": ["Rust"]}
    brush = {"format": "rle", "rle": packed_brush(blob(5)), "brushlabels": ["Paint"]}
    regions = [
        {"type": "polygonlabels", **size, "value": {"points": percent, "polygonlabels": ["Crack"]}},
        {"type": "rectanglelabels", **size, "value": rectangle},
        {"type": "brushlabels", **size, "value": brush},
    ]
    write(root / "export.json", [
        {"id": 7, "data": {"image": "/data/upload/1/61148fa1-frame%20one.png"}, "file_upload": "61148fa1-frame one.png",
         "annotations": [{"was_cancelled": True, "result": []}, {"was_cancelled": False, "result": regions}]},
    ])  # fmt: skip
    return root


def test_regions_of_label_studio_stand_where_they_were_drawn(tmp_path: Path) -> None:
    source = LabelStudio(root=label_studio_set(tmp_path), overlap="file-order")
    assert source.class_labels() == ("Crack", "Paint", "Rust")
    drawn = only_mask(source)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:12, 2:12] = 1
    expected[20:28, 30:45] = 3
    expected[blob(5)] = 2
    np.testing.assert_array_equal(drawn, expected)


def yolo_set(root: Path) -> Path:
    for split, name in (("train", "a"), ("val", "b")):
        photo(root / f"images/{split}/{name}.png", 1)
    points = [value / (WIDTH if i % 2 == 0 else HEIGHT) for i, value in enumerate(box(6, 4, 36, 24))]
    write(root / "labels/train/a.txt", "1 " + " ".join(f"{value:.6f}" for value in points) + "\n")
    write(
        root / "data.yaml", "path: ../datasets/mine\ntrain: images/train\nval: images/val\nnames: {0: leaf, 1: stem}\n"
    )
    return root


def test_polygons_of_yolo_are_fractions_of_the_image(tmp_path: Path) -> None:
    source = Yolo(root=yolo_set(tmp_path))
    assert source.class_labels() == ("leaf", "stem")
    first, second = source.build()
    assert (first.split, second.split) == ("train", "validation")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[4:24, 6:36] = 2
    np.testing.assert_array_equal(read_mask(first.mask), expected)  # type: ignore[arg-type]
    assert not read_mask(second.mask).any(), "an image without a text file is background"  # type: ignore[arg-type]
