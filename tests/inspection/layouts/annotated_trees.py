"""Miniature trees of annotation tools and of COCO itself: polygons, boxes and brushes instead of masks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.annotations.sets import packed_brush
from tests.inspection.layouts.trees import SIDE, photo, save, text

Box = tuple[int, int, int, int]


def boxes(seed: int, labels: int) -> list[tuple[int, Box]]:
    """(label, left, top, right, bottom) of objects that move with the seed."""
    random = np.random.default_rng(500 + seed)
    found = []
    for label in range(labels):
        left, top = (int(v) for v in random.integers(1, SIDE - 14, 2))
        found.append((label, (left, top, left + 12, top + 10)))
    return found


def corners(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def coco_document(
    names: Sequence[str], labels: Sequence[str], *, first: int = 1, supercategory: str = ""
) -> dict[str, Any]:
    annotations = []
    for i, _ in enumerate(names):
        for label, box in boxes(i + len(names), len(labels)):
            annotations.append({"id": len(annotations), "image_id": i, "category_id": label + first, "iscrowd": 0, "area": 120,
                                "bbox": [*box[:2], 12, 10], "segmentation": [corners(box)]})  # fmt: skip
    categories = [{"id": i + first, "name": n, "supercategory": supercategory or "thing"} for i, n in enumerate(labels)]
    if supercategory:
        categories.insert(0, {"id": 0, "name": supercategory, "supercategory": "none"})
    images = [{"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(names)]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def coco_2017(root: Path) -> None:
    """COCO's own layout, with captions and keypoints beside instances, one crowd, and images that have no annotation."""
    for split, number in (("train", 6), ("val", 3)):
        names = [f"{i + 139 + number * 1000:012d}.jpg" for i in range(number)]
        for i, name in enumerate(names):
            save(root / f"{split}2017/{name}", photo(i))
        document = coco_document(names, ("person", "bicycle", "car"))
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 1]
        counts = [SIDE * SIDE - 40, 40]
        document["annotations"].append({"id": 99, "image_id": 0, "category_id": 1, "iscrowd": 1,
                                        "segmentation": {"size": [SIDE, SIDE], "counts": counts}})  # fmt: skip
        text(root / f"annotations/instances_{split}2017.json", json.dumps(document))
        captions = {"images": document["images"], "annotations": [{"image_id": 0, "id": 1, "caption": "a car"}]}
        text(root / f"annotations/captions_{split}2017.json", json.dumps(captions))
        people = {**document, "categories": document["categories"][:1]}
        people["annotations"] = [a for a in document["annotations"] if a["category_id"] == 1]
        text(root / f"annotations/person_keypoints_{split}2017.json", json.dumps(people))


def coco_roboflow(root: Path) -> None:
    """Roboflow's COCO export: images and _annotations.coco.json in one folder per split, the set as a category of its own."""
    for split, number in (("train", 6), ("valid", 3), ("test", 2)):
        names = [f"leaf{i}_jpg.rf.{(i + number) * 7919:032x}.jpg" for i in range(number)]
        for i, name in enumerate(names):
            save(root / f"{split}/{name}", photo(i))
        document = coco_document(names, ("leaf", "stem"), supercategory="plants")
        text(root / f"{split}/_annotations.coco.json", json.dumps(document))
    text(root / "README.dataset.txt", "# plants\nhttps://universe.roboflow.com\n")


def coco_cvat(root: Path) -> None:
    """CVAT's COCO 1.0: images/ and annotations/instances_default.json."""
    names = [f"frame {i}.png" for i in range(7)]
    for i, name in enumerate(names):
        save(root / f"images/{name}", photo(i))
    text(root / "annotations/instances_default.json", json.dumps(coco_document(names, ("cat", "dog"))))


def coco_label_studio(root: Path) -> None:
    """Label Studio's COCO export: result.json, with paths of uploads."""
    names = [f"{i * 7919 + 70000:08x}-shot{i}.png" for i in range(6)]
    for i, name in enumerate(names):
        save(root / f"images/{name}", photo(i))
    document = coco_document([f"images/{name}" for name in names], ("Crack", "Rust"), first=0)
    text(root / "result.json", json.dumps(document))


def yolo_lines(seed: int, labels: int) -> str:
    rows = [f"{label} " + " ".join(f"{v / SIDE:.6f}" for v in corners(box)) for label, box in boxes(seed, labels)]
    return "\n".join(rows) + "\n"


def yolo_roboflow(root: Path) -> None:
    """Roboflow's YOLO export: data.yaml with paths that begin with .. and lead out of the folder."""
    for split, number in (("train", 6), ("valid", 3), ("test", 2)):
        for i in range(number):
            name = f"leaf{i}_jpg.rf.{(i + number) * 7919:032x}"
            save(root / f"{split}/images/{name}.jpg", photo(i))
            text(root / f"{split}/labels/{name}.txt", yolo_lines(i, 2))
    text(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['leaf', 'stem']\n",
    )


def yolo_ultralytics(root: Path) -> None:
    """Ultralytics' layout: images/train, labels/train, one image without text file, and a test folder without labels."""
    for split, number in (("train", 6), ("val", 3), ("test", 2)):
        for i in range(number):
            save(root / f"images/{split}/{split}{i}.jpg", photo(i))
            if split != "test" and i != 2:
                text(root / f"labels/{split}/{split}{i}.txt", yolo_lines(i, 3))
    text(root / "crack-seg.yaml", "path: crack-seg # dataset root dir\ntrain: images/train\nval: images/val\ntest: images/test\n"
         "names:\n  0: crack\n  1: rust\n  2: paint\n")  # fmt: skip


def yolo_classes(root: Path) -> None:
    """Label Studio's YOLO export: classes.txt, images/ and labels/ without splits."""
    for i in range(8):
        save(root / f"images/{i:04x}-shot{i}.png", photo(i))
        text(root / f"labels/{i:04x}-shot{i}.txt", yolo_lines(i, 2))
    text(root / "classes.txt", "Crack\nRust\n")
    text(
        root / "notes.json",
        json.dumps({"categories": [{"id": 0, "name": "Crack"}, {"id": 1, "name": "Rust"}], "info": {}}),
    )


def cvat_images(root: Path) -> None:
    """CVAT for images 1.1: annotations.xml, subsets, an object in front of another by its z_order."""
    rows = []
    for i in range(8):
        subset = "Train" if i < 5 else "Validation"
        save(root / f"images/{subset}/frame{i}.png", photo(i))
        shapes = "".join(
            f'<polygon label="{("road", "car")[label]}" source="manual" occluded="0" z_order="{label}" '
            f'points="{";".join(f"{x:.2f},{y:.2f}" for x, y in zip(corners(box)[::2], corners(box)[1::2], strict=True))}"></polygon>'
            for label, box in boxes(i, 2)
        )
        rows.append(
            f'<image id="{i}" name="frame{i}.png" subset="{subset}" width="{SIDE}" height="{SIDE}">{shapes}</image>'
        )
    labels = "".join(f"<label><name>{name}</name><color>#ff0000</color></label>" for name in ("road", "car"))
    text(root / "annotations.xml", '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
         f"<meta><project><labels>{labels}</labels></project></meta>{''.join(rows)}</annotations>")  # fmt: skip


def cvat_jobs(root: Path) -> None:
    """Two jobs of CVAT exported on their own, each with images/ and annotations.xml."""
    for job in (3, 4):
        rows = []
        for i in range(4):
            save(root / f"job_{job}/images/{job}_{i}.png", photo(i))
            left, top, right, bottom = boxes(i + job, 1)[0][1]
            shape = f'<box label="cat" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}" z_order="0"></box>'
            rows.append(f'<image id="{i}" name="{job}_{i}.png" width="{SIDE}" height="{SIDE}">{shape}</image>')
        meta = "<meta><job><labels><label><name>cat</name></label></labels></job></meta>"
        text(
            root / f"job_{job}/annotations.xml",
            f"<annotations><version>1.1</version>{meta}{''.join(rows)}</annotations>",
        )


def label_studio_json(root: Path) -> None:
    """Label Studio's JSON: brushes and rectangles, one task cancelled, uploads with a prefix that local files lack."""
    tasks = []
    for i in range(8):
        save(root / f"images/shot {i}.jpg", photo(i))
        size = {"original_width": SIDE, "original_height": SIDE}
        (_, one), (_, two) = boxes(i, 2)
        painted = np.zeros((SIDE, SIDE), bool)
        painted[one[1] : one[3], one[0] : one[2]] = True
        share = 100 / SIDE
        results = [
            {"type": "brushlabels", **size, "value": {"format": "rle", "rle": packed_brush(painted), "brushlabels": ["Crack"]}},
            {"type": "rectanglelabels", **size, "value": {"x": two[0] * share, "y": two[1] * share, "width": 12 * share,
                                                          "height": 10 * share, "rotation": 0, "rectanglelabels": ["Rust"]}},
            {"type": "choices", "value": {"choices": ["sharp"]}},
        ]  # fmt: skip
        annotations = [{"id": i, "was_cancelled": i == 7, "result": results, "completed_by": 1}]
        tasks.append({"id": i, "data": {"image": f"/data/upload/3/61148f{i:02x}-shot%20{i}.jpg"}, "annotations": annotations,
                      "file_upload": f"61148f{i:02x}-shot_{i}.jpg", "predictions": []})  # fmt: skip
    text(root / "project-3-at-2026-01-31.json", json.dumps(tasks))


def labelme_json(root: Path) -> None:
    """labelme: JSON beside each image, written on Windows in another folder; one picture not annotated yet."""
    for i in range(8):
        save(root / f"IMG_{i}.jpg", photo(i))
        if i == 7:
            continue
        shapes = [
            {
                "label": ("cell", "nucleus")[label],
                "points": [box[:2], box[2:]],
                "group_id": None,
                "shape_type": "rectangle",
                "flags": {},
            }
            for label, box in boxes(i, 2)
        ]
        document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"..\\photos\\IMG_{i}.jpg", "imageData": None,
                    "imageHeight": SIDE, "imageWidth": SIDE}  # fmt: skip
        text(root / f"IMG_{i}.json", json.dumps(document))


def labelme_splits(root: Path) -> None:
    """labelme in folders of splits, images and JSON apart."""
    for split, number in (("train", 6), ("val", 2)):
        for i in range(number):
            save(root / f"{split}/images/{split}{i}.png", photo(i))
            points = [list(pair) for pair in zip(*[iter(corners(boxes(i, 1)[0][1]))] * 2, strict=True)]
            document = {"version": "5.0", "flags": {}, "shapes": [{"label": "cell", "points": points, "shape_type": "polygon"}],
                        "imagePath": f"../images/{split}{i}.png", "imageData": None, "imageHeight": SIDE, "imageWidth": SIDE}  # fmt: skip
            text(root / f"{split}/json/{split}{i}.json", json.dumps(document))


ANNOTATED: dict[str, Callable[[Path], None]] = {
    of.__name__: of
    for of in (
        coco_2017, coco_roboflow, coco_cvat, coco_label_studio, yolo_roboflow, yolo_ultralytics, yolo_classes, cvat_images, cvat_jobs,
        label_studio_json, labelme_json, labelme_splits,
    )
}  # fmt: skip
