"""Miniature trees in the layouts of published sets and tools: their names and structure, with contents made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIDE = 32
Array = np.ndarray[Any, Any]


def photo(seed: int, channels: int = 3) -> Array:
    random = np.random.default_rng(seed)
    shape = (SIDE, SIDE, channels) if channels > 1 else (SIDE, SIDE)
    ramp = np.linspace(40, 160, SIDE)[None, :, None] if channels > 1 else np.linspace(40, 160, SIDE)[None]
    return np.clip(ramp + random.normal(0, 20, shape), 0, 255).astype(np.uint8)


def mask(seed: int, values: Sequence[int] = (0, 1), dtype: Any = np.uint8) -> Array:
    """Areas of each value: the first is the ground, the others are boxes that move with the seed."""
    random = np.random.default_rng(1000 + seed)
    drawn = np.full((SIDE, SIDE), values[0], dtype)
    for k, value in enumerate(values[1:]):
        size = max(3, 12 - len(values) // 3)
        y, x = (int(random.integers(0, SIDE - size)) for _ in range(2))
        if k < 8:
            drawn[y : y + size, x : x + size] = value
        else:
            drawn[(k * 3) % 30 : (k * 3) % 30 + 3, (k * 7) % 28 : (k * 7) % 28 + 4] = value
    return drawn


def colours(indices: Array, table: Sequence[tuple[int, int, int]]) -> Array:
    return np.array(table, np.uint8)[indices]


def save(path: Path, values: Array, palette: Sequence[tuple[int, int, int]] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    if palette:
        picture.putpalette([part for colour in palette for part in colour])
    picture.save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def cityscapes(root: Path, kind: str = "labelIds") -> None:
    values = (7, 26, 3, 24, 11) if kind == "labelIds" else (0, 13, 255, 11, 2)
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "munster"), ("test", "berlin")):
        for i in range(2):
            name = f"{city}_00000{i}_000019"
            save(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", photo(i + len(city)))
            gt = root / f"gtFine/{split}/{city}"
            seen = mask(i, values) if split != "test" else np.full((SIDE, SIDE), 3, np.uint8)
            if kind != "labelIds":
                save(gt / f"{name}_gtFine_labelIds.png", mask(i, (7, 26, 3, 24, 11)))
            save(gt / f"{name}_gtFine_{kind}.png", seen)
            save(gt / f"{name}_gtFine_instanceIds.png", seen.astype(np.uint16) * 1000)
            save(gt / f"{name}_gtFine_color.png", colours(seen % 7, [(i * 30, 90, i * 20) for i in range(7)]))
            text(gt / f"{name}_gtFine_polygons.json", json.dumps({"imgHeight": SIDE, "imgWidth": SIDE, "objects": []}))


def cityscapes_train_ids(root: Path) -> None:
    cityscapes(root, "labelTrainIds")


def bdd100k(root: Path) -> None:
    for split, number in (("train", 5), ("val", 3), ("test", 2)):
        for i in range(number):
            name = f"{(i * 7919 + ord(split[0]) * 104729) % 0xFFFFFFF:08x}-{(i * 31337 + ord(split[0]) * 7727) % 0xFFFFFF:08x}"
            save(root / f"bdd100k/images/10k/{split}/{name}.jpg", photo(i))
            if split == "test":
                continue
            labels = root / "bdd100k/labels/sem_seg"
            seen = mask(i, (0, 2, 255, 10, 13))
            save(labels / f"masks/{split}/{name}.png", seen)
            save(labels / f"colormaps/{split}/{name}.png", colours(seen % 20, [(i * 12, 40, 90) for i in range(20)]))
            text(labels / f"polygons/sem_seg_{split}.json", "[]")


def camvid_segnet(root: Path) -> None:
    for split, names in (("train", ("0001TP_006690", "0006R0_f00930", "0016E5_00390")), ("val", ("0016E5_07959", "0016E5_07961")),
                         ("test", ("Seq05VD_f00000", "Seq05VD_f00030"))):  # fmt: skip
        lines = []
        for i, name in enumerate(names):
            save(root / f"{split}/{name}.png", photo(i))
            save(root / f"{split}annot/{name}.png", mask(i, range(12)))
            lines.append(f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png")
        text(root / f"{split}.txt", "\n".join(lines))


CAMVID = [
    ("Animal", (64, 128, 64)),
    ("Building", (128, 0, 0)),
    ("Car", (64, 0, 128)),
    ("Road", (128, 64, 128)),
    ("Void", (0, 0, 0)),
]


def camvid_original(root: Path) -> None:
    for i, name in enumerate(
        ("0001TP_006690", "0001TP_006720", "0006R0_f00930", "0016E5_00390", "0016E5_00420", "Seq05VD_f00000")
    ):
        save(root / f"701_StillsRaw_full/{name}.png", photo(i))
        save(root / f"LabeledApproved_full/{name}_L.png", colours(mask(i, (1, 2, 3, 4)), [c for _, c in CAMVID]))
    text(root / "label_colors.txt", "\n".join(f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in CAMVID))


def camvid_folders(root: Path) -> None:
    for split in ("train", "val", "test"):
        for i in range(3):
            save(root / f"{split}/0001TP_00{ord(split[0])}{i}.png", photo(i))
            save(
                root / f"{split}_labels/0001TP_00{ord(split[0])}{i}_L.png",
                colours(mask(i, (1, 2, 3, 4)), [c for _, c in CAMVID]),
            )
    text(root / "class_dict.csv", "name,r,g,b\n" + "\n".join(f"{n},{r},{g},{b}" for n, (r, g, b) in CAMVID))


def voc_palette() -> list[tuple[int, int, int]]:
    from segengine.data.masks.labels import class_colour

    known = [(128 + i % 100, i % 256, 3 * i % 256) for i in range(1, 21)]
    return [(0, 0, 0), *known, *(class_colour(i) for i in range(21, 255)), (224, 224, 192)]


def ringed(seed: int) -> Array:
    drawn = mask(seed, (0, 12, 15))
    for value in (12, 15):
        inside = drawn == value
        edge = inside & ~(
            np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
        )
        drawn[edge] = 255
    return drawn


def voc(root: Path) -> None:
    base = root / "VOCdevkit/VOC2012"
    names = [f"2007_00{i:04d}" for i in range(12)]
    for i, name in enumerate(names):
        save(base / f"JPEGImages/{name}.jpg", photo(i))
        text(
            base / f"Annotations/{name}.xml",
            f"<annotation><filename>{name}.jpg</filename><object><bndbox/></object></annotation>",
        )
        if i < 8:
            save(base / f"SegmentationClass/{name}.png", ringed(i), voc_palette())
            save(base / f"SegmentationObject/{name}.png", (ringed(i) % 12).astype(np.uint8), voc_palette())
    for split, of in (("train", names[:5]), ("val", names[5:8]), ("trainval", names[:8])):
        text(base / f"ImageSets/Segmentation/{split}.txt", "\n".join(of) + "\n")
    text(base / "ImageSets/Main/train.txt", "\n".join(names[:9]))
    text(base / "ImageSets/Main/val.txt", "\n".join(names[9:]))


def ade20k(root: Path) -> None:
    base = root / "ADEChallengeData2016"
    for split, short in (("training", "train"), ("validation", "val")):
        for i in range(1, 5):
            save(base / f"images/{split}/ADE_{short}_{i:08d}.jpg", photo(i))
            save(base / f"annotations/{split}/ADE_{short}_{i:08d}.png", mask(i, (0, 1, 3, 150, 17)))
    rows = "\n".join(f"{i}\t0.1\t10\t2\tthing{i}, other" for i in range(1, 151))
    text(base / "objectInfo150.txt", f"Idx\tRatio\tTrain\tVal\tName\n{rows}\n")
    text(base / "sceneCategories.txt", "ADE_train_00000001 airport\n")


def mapillary(root: Path) -> None:
    table = [(165, 42, 42), (0, 192, 0), (196, 196, 196), (0, 0, 0)]
    named = zip(("Bird", "Curb", "Road", "Unlabeled"), table, strict=True)
    labels = [{"name": f"a--{n}", "readable": n, "color": list(c), "evaluate": True} for n, c in named]
    text(root / "config_v1.2.json", json.dumps({"labels": labels, "version": "1.2"}))
    for split, number in (("training", 4), ("validation", 2), ("testing", 2)):
        for i in range(number):
            name = f"{split[0]}{'kQ-_xR7'[i]}xH2_{i * 7919}qZ"
            save(root / f"{split}/images/{name}.jpg", photo(i))
            if split != "testing":
                drawn = mask(i, (2, 0, 1, 3))
                save(root / f"{split}/v1.2/labels/{name}.png", drawn, table)
                save(root / f"{split}/v1.2/instances/{name}.png", drawn.astype(np.uint16) * 256 + 1)
                save(
                    root / f"{split}/v1.2/panoptic/{name}.png",
                    colours(drawn, [(1, 2, 3), (4, 5, 6), (7, 8, 9), (9, 9, 1)]),
                )


def isaid(root: Path) -> None:
    table = [(0, 0, 0), (0, 0, 63), (0, 127, 255)]
    for split in ("train", "val"):
        for i in range(4):
            name = f"P{ord(split[0])}{i:02d}"
            save(root / f"{split}/images/{name}.png", photo(i))
            save(
                root / f"{split}/Semantic_masks/images/{name}_instance_color_RGB.png",
                colours(mask(i, (0, 1, 2)), table),
            )
            numbers = colours(mask(i, (0, 1, 2)), [(0, 0, 0), (i, 10, 99), (7, i, 3)])
            save(root / f"{split}/Instance_masks/images/{name}_instance_id_RGB.png", numbers)


def loveda(root: Path) -> None:
    number = 0
    for split in ("Train", "Val", "Test"):
        for place in ("Rural", "Urban"):
            for _ in range(2):
                number += 1
                save(root / f"{split}/{place}/images_png/{number}.png", photo(number))
                if split != "Test":
                    save(root / f"{split}/{place}/masks_png/{number}.png", mask(number, (1, 0, 2, 3, 4, 7)))


def carvana(root: Path) -> None:
    for car in ("00087a6bd4dc", "02159e548029", "03a857ce842d"):
        for view in range(1, 5):
            save(root / f"train/{car}_{view:02d}.jpg", photo(view))
            save(root / f"train_masks/{car}_{view:02d}_mask.gif", mask(view), [(0, 0, 0), (255, 255, 255)])
    text(root / "train_masks.csv", "img,rle_mask\n00087a6bd4dc_01.jpg,1 3 7 2\n")
    text(root / "metadata.csv", "id,year,make\n00087a6bd4dc,2008,Acura\n")


def drive(root: Path) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    view = (((rows - 15.5) ** 2 + (columns - 15.5) ** 2 < 240) * 255).astype(np.uint8)
    for split, short, first in (("training", "training", 21), ("test", "test", 1)):
        for i in range(first, first + 4):
            base = root / split
            save(base / f"images/{i:02d}_{short}.tif", photo(i))
            save(base / f"1st_manual/{i:02d}_manual1.gif", mask(i, (0, 255)))
            save(base / f"mask/{i:02d}_{short}_mask.gif", view)
            if split == "test":
                save(base / f"2nd_manual/{i:02d}_manual2.gif", mask(i, (0, 255)))


def chase(root: Path) -> None:
    for i in range(1, 5):
        for eye in "LR":
            seed = 2 * i + (eye == "R")
            save(root / f"Image_{i:02d}{eye}.jpg", photo(seed))
            save(root / f"Image_{i:02d}{eye}_1stHO.png", mask(seed, (0, 255)))
            save(root / f"Image_{i:02d}{eye}_2ndHO.png", np.roll(mask(seed, (0, 255)), 1, 0))


def dsb2018(root: Path) -> None:
    for i in range(6):
        name = f"{i}0071198d059ba7f5914a526d124d28e6d010c92466da21d4a04cd5413362{i:03d}"
        save(root / f"stage1_train/{name}/images/{name}.png", photo(i, 4))
        whole = mask(i, (0, 1, 2, 3))
        for k in range(1, 4):
            save(root / f"stage1_train/{name}/masks/{k}{i}07a9d{k}8e.png", ((whole == k) * 255).astype(np.uint8))
    for i in range(2):
        save(root / f"stage1_test/t{i}53/images/t{i}53.png", photo(i, 4))
    text(root / "stage1_train_labels.csv", "ImageId,EncodedPixels\n00071,6908 1 7161 8\n")


def nnunet(root: Path) -> None:
    for i in range(8):
        for channel in range(2):
            save(root / f"Dataset004_Knee/imagesTr/knee_{i:03d}_{channel:04d}.png", photo(10 * i + channel, 1))
        save(root / f"Dataset004_Knee/labelsTr/knee_{i:03d}.png", mask(i, (0, 1, 2)))
    for channel in range(2):
        save(root / f"Dataset004_Knee/imagesTs/knee_090_{channel:04d}.png", photo(channel, 1))
    text(root / "Dataset004_Knee/dataset.json", json.dumps({
        "channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "bone": 1, "cartilage": 2},
        "numTraining": 8, "file_ending": ".png",
    }))  # fmt: skip


def kaggle_table(root: Path) -> None:
    lines = ["image_path,mask_path,patient_id,stage"]
    for i in range(8):
        save(root / f"input/scan{i * 7}.png", photo(i))
        save(root / f"output/r{97 - i}.png", mask(i, (0, 255)))
        lines.append(f"/kaggle/input/scan{i * 7}.png,r{97 - i}.png,anna{i // 2},{'train' if i < 6 else 'valid'}")
    text(root / "train.csv", "\n".join(lines))


def lgg(root: Path) -> None:
    for k, patient in enumerate(("TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405", "TCGA_HT_7473_19970826")):
        for i in range(1, 5):
            noise = np.random.default_rng(i).normal(0, 3, (SIDE, SIDE, 3))
            save(
                root / f"kaggle_3m/{patient}/{patient}_{i}.tif",
                np.clip(photo(k).astype(float) + noise, 0, 255).astype(np.uint8),
            )
            save(root / f"kaggle_3m/{patient}/{patient}_{i}_mask.tif", mask(i, (0, 255)))
    text(root / "kaggle_3m/data.csv", "Patient,age\nTCGA_CS_4941,67\n")


def one_folder(root: Path) -> None:
    for i in range(8):
        save(root / f"img {i}.jpg", photo(i))
        save(root / f"img {i}_mask.png", mask(i, (0, 255)))


def isic(root: Path) -> None:
    for i in range(6):
        save(root / f"ISIC-2017_Training_Data/ISIC_00000{i:02d}.jpg", photo(i))
        save(root / f"ISIC-2017_Training_Data/ISIC_00000{i:02d}_superpixels.png", photo(100 + i))
        save(root / f"ISIC-2017_Training_Part1_GroundTruth/ISIC_00000{i:02d}_segmentation.png", mask(i, (0, 255)))


def roboflow(root: Path) -> None:
    for split, number in (("train", 5), ("valid", 3), ("test", 2)):
        for i in range(number):
            name = f"{split}-{i}_jpg.rf.{i}3f0c2e9{i}"
            save(root / f"{split}/{name}.jpg", photo(i))
            save(root / f"{split}/{name}_mask.png", mask(i, (0, 1, 2)))
        text(root / f"{split}/_classes.csv", "Pixel Value, Class\n0, background\n1, leaf\n2, stem\n")
    text(root / "README.dataset.txt", "# Plants\n")


def cvat(root: Path) -> None:
    table = [(0, 0, 0), (250, 50, 83), (51, 221, 255)]
    for i in range(6):
        save(root / f"JPEGImages/frame_{i:06d}.jpg", photo(i))
        save(root / f"SegmentationClass/frame_{i:06d}.png", colours(mask(i, (0, 1, 2)), table))
        save(
            root / f"SegmentationObject/frame_{i:06d}.png",
            colours(mask(i, (0, 1, 2)), [(0, 0, 0), (128, 0, 0), (0, 128, 0)]),
        )
    text(
        root / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n",
    )
    text(root / "ImageSets/Segmentation/default.txt", "\n".join(f"frame_{i:06d}" for i in range(6)))


def itk_snap(root: Path) -> None:
    for i in range(6):
        save(root / f"slices/s{i}.png", photo(i, 1))
        save(root / f"slices/s{i}_seg.png", mask(i, (0, 1, 4)))
    text(root / "labels.txt", '# ITK-SnAP Label Description File\n    0     0    0    0        0  0  0    "Clear Label"\n'
         '    1   255    0    0        1  1  1    "liver"\n    4     0    0  255        1  1  1    "spleen"\n')  # fmt: skip


def slicer(root: Path) -> None:
    for i in range(6):
        save(root / f"volume/slice_{i:03d}.tif", photo(i, 1))
        save(root / f"segmentation/slice_{i:03d}-label.tif", mask(i, (0, 1, 2)))
    text(
        root / "Segmentation.ctbl",
        "# Color table\n0 background 0 0 0 0\n1 left_lung 128 174 128 255\n2 right_lung 241 214 145 255\n",
    )


def class_folders(root: Path) -> None:
    for i in range(8):
        save(root / f"Original/{i:02d}.JPG", photo(i))
        whole = mask(i, (0, 1, 2))
        for k, name in ((1, "MA"), (2, "EX")):
            save(root / f"Masks/{name}/{i:02d}_{name}.PNG", ((whole == k) * 255).astype(np.uint8))


def class_names(root: Path) -> None:
    for i in range(8):
        save(root / f"images/d{i}-frame.jpg", photo(i))
        whole = mask(i, (0, 1, 2))
        for k, name in ((1, "Crack"), (2, "Rust")):
            save(root / f"masks/d{i}-frame-{name}-0.png", ((whole == k) * 255).astype(np.uint8))


def object_names(root: Path) -> None:
    for i in range(6):
        save(root / f"benign ({i}).png", photo(i))
        whole = mask(i, (0, 1, 2))
        for k in range(1, 2 + i % 2):
            save(root / f"benign ({i})_mask{'_1' if k > 1 else ''}.png", ((whole == k) * 255).astype(np.uint8))


def annotators(root: Path) -> None:
    for i in range(6):
        save(root / f"imgs/{i}.png", photo(i))
        for k, who in enumerate(("anna", "ben")):
            save(root / f"drawn/{who}/{i}.png", np.roll(mask(i, (0, 255)), k, 1))


def upper_case_and_junk(root: Path) -> None:
    for i in range(6):
        save(root / f"Data Set/IMAGES/Pic {i}.JPG", photo(i))
        save(root / f"Data Set/GroundTruth/Pic {i}.PNG", mask(i, (0, 255)))
        (root / f"Data Set/IMAGES/._Pic {i}.JPG").write_bytes(b"\0\5\x16\7")
    (root / "Data Set/IMAGES/Thumbs.db").write_bytes(b"junk")
    (root / "Data Set/.DS_Store").write_bytes(b"junk")
    save(root / "__MACOSX/Data Set/IMAGES/x.png", photo(9))


def links(root: Path) -> None:
    for i in range(8):
        save(root / f"all/{i}.jpg", photo(i))
        save(root / f"all/{i}.png", mask(i, (0, 255)))
        split = "training" if i < 5 else "validation"
        for kind, suffix in (("images", "jpg"), ("labels", "png")):
            path = root / f"sets/{split}/{kind}/{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(f"../../../all/{i}.{suffix}")


def kinds_above_splits(root: Path) -> None:
    for split, number in (("Train", 4), ("Valid", 2), ("Testing", 2)):
        for i in range(number):
            save(root / f"x/{split}/{split}{i}_img.png", photo(i))
            save(root / f"y/{split}/{split}{i}_gt.png", mask(i, (0, 128, 255)))


def split_in_names(root: Path) -> None:
    for i in range(8):
        split = "train" if i < 5 else "val"
        save(root / f"img/{split}_{i}.png", photo(i))
        save(root / f"seg/{split}_{i}.png", mask(i, (0, 255)))


def list_in_csv(root: Path) -> None:
    lines = ["filename,split"]
    for i in range(8):
        save(root / f"pics/{i}.png", photo(i))
        save(root / f"gt/{i}.png", mask(i, (0, 255)))
        lines.append(f"{i}.png,{'train' if i < 5 else 'test' if i > 6 else 'val'}")
    text(root / "meta/split.csv", "\n".join(lines))


def patients(root: Path) -> None:
    for k in range(4):
        for i in range(3):
            noise = np.random.default_rng(i).normal(0, 3, (SIDE, SIDE, 3))
            save(
                root / f"images/pat{k}_slice{i:02d}.png",
                np.clip(photo(k).astype(float) + noise, 0, 255).astype(np.uint8),
            )
            save(root / f"masks/pat{k}_slice{i:02d}.png", mask(i, (0, 63, 126)))


def sided(root: Path) -> None:
    for i in range(12):
        save(root / f"images/{i}.png", photo(i, 1))
        drawn = np.zeros((SIDE, SIDE), np.uint8)
        drawn[10 + i % 5 : 20, 4:10], drawn[10 : 20 - i % 4, 22:28] = 1, 2
        save(root / f"masks/{i}.png", drawn)


def yolo_names(root: Path) -> None:
    for split in ("train", "val"):
        for i in range(4):
            save(root / f"images/{split}/{split}{i}.jpg", photo(i))
            save(root / f"masks/{split}/{split}{i}.png", mask(i, (0, 1, 2)))
    text(root / "data.yaml", "path: ../x\nnames:\n  0: sky\n  1: cat\n  2: 'no'\n")


def ham10000(root: Path) -> None:
    for i in range(8):
        save(root / f"HAM10000_images_part_{1 + i % 2}/ISIC_002{i}306.jpg", photo(i))
        save(root / f"HAM10000_segmentations_lesion_tschandl/ISIC_002{i}306_segmentation.png", mask(i, (0, 255)))
    text(root / "HAM10000_metadata.csv", "lesion_id,image_id,dx\nHAM_0000118,ISIC_0020306,bkl\n")


def idrid(root: Path) -> None:
    base = root / "A. Segmentation"
    for split, first, number in (("a. Training Set", 1, 5), ("b. Testing Set", 55, 3)):
        for i in range(first, first + number):
            save(base / f"1. Original Images/{split}/IDRiD_{i:02d}.jpg", photo(i))
            whole = mask(i, (0, 1, 2))
            for k, kind, short in ((1, "1. Microaneurysms", "MA"), (2, "5. Optic Disc", "OD")):
                part = ((whole == k) * 1).astype(np.uint8)
                save(base / f"2. All Segmentation Groundtruths/{split}/{kind}/IDRiD_{i:02d}_{short}.tif", part * 255)


def suim(root: Path) -> None:
    table = [(0, 0, 0), (0, 0, 255), (255, 0, 0)]
    for split, number in (("train_val", 6), ("TEST", 3)):
        for i in range(number):
            save(root / f"{split}/images/d_r_{split[0]}{i}_.jpg", photo(i))
            save(root / f"{split}/masks/d_r_{split[0]}{i}_.bmp", colours(mask(i, (0, 1, 2)), table))


def pets(root: Path) -> None:
    for i in range(8):
        save(root / f"images/Abyssinian_{i * 11}.jpg", photo(i))
        save(root / f"annotations/trimaps/Abyssinian_{i * 11}.png", mask(i, (2, 1, 3)))
        (root / f"annotations/trimaps/._Abyssinian_{i * 11}.png").write_bytes(b"\0\5\x16\7")
    text(root / "annotations/trainval.txt", "\n".join(f"Abyssinian_{i * 11} 1 1 1" for i in range(5)))
    text(root / "annotations/test.txt", "\n".join(f"Abyssinian_{i * 11} 1 1 1" for i in range(5, 8)))


def coco_stuff(root: Path) -> None:
    for split, number in (("train2017", 5), ("val2017", 3)):
        for i in range(number):
            save(root / f"images/{split}/{i * 7919:012d}.jpg", photo(i))
            save(root / f"annotations/{split}/{i * 7919:012d}.png", mask(i, (0, 10, 91, 255)))
    text(root / "labels.txt", "\n".join(f"{i}: thing{i}" for i in range(100)))


def inria(root: Path) -> None:
    for i in range(6):
        save(root / f"AerialImageDataset/train/images/{('austin', 'vienna')[i % 2]}{i}.tif", photo(i))
        save(root / f"AerialImageDataset/train/gt/{('austin', 'vienna')[i % 2]}{i}.tif", mask(i, (0, 255)))
        save(root / f"AerialImageDataset/test/images/bloomington{i}.tif", photo(i))


def potsdam(root: Path) -> None:
    table = [(255, 255, 255), (0, 0, 255), (255, 0, 0), (0, 255, 255)]
    for i in range(6):
        name = f"top_potsdam_{2 + i // 3}_{10 + i % 3}"
        save(root / f"2_Ortho_RGB/{name}_RGB.tif", photo(i))
        save(root / f"5_Labels_all/{name}_label.tif", colours(mask(i, (0, 1, 2, 3)), table))


def chaos_mr(root: Path) -> None:
    """The MR part of CHAOS, with PNG in place of DICOM: T2-SPIR, and in phase and out of phase with one truth."""
    for patient in (1, 2, 13, 19):
        for i in range(2, 5):
            base = root / f"MR/{patient}"
            noise = np.random.default_rng(i).normal(0, 3, (SIDE, SIDE))
            slice_ = np.clip(photo(patient, 1).astype(float) + noise, 0, 255).astype(np.uint8)
            name = f"IMG-{patient * 4:04d}-{i:05d}.png"
            save(base / f"T2SPIR/DICOM_anon/{name}", slice_)
            save(base / f"T2SPIR/Ground/{name}", mask(i + patient, (0, 63, 126, 189, 252)))
            for phase in ("InPhase", "OutPhase"):
                save(base / f"T1DUAL/DICOM_anon/{phase}/{name}", 255 - slice_)
            save(base / f"T1DUAL/Ground/{name}", mask(i + patient, (0, 63, 126, 189, 252)))


ALL: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        cityscapes, cityscapes_train_ids, bdd100k, camvid_segnet, camvid_original, camvid_folders, voc, ade20k, mapillary, isaid, loveda,
        carvana, drive, chase, dsb2018, nnunet, kaggle_table, lgg, one_folder, isic, roboflow, cvat, itk_snap, slicer, class_folders,
        class_names, object_names, annotators, upper_case_and_junk, links, kinds_above_splits, split_in_names, list_in_csv, patients,
        sided, yolo_names, chaos_mr, ham10000, idrid, suim, pets, coco_stuff, inria, potsdam,
    )
}  # fmt: skip


def init_and_train(folder: Path) -> None:
    """Run `init` on `folder`/data, and one epoch of what it wrote."""
    from segengine.cli.main import main

    file = folder / "x.yaml"
    for words in (
        ["init", str(folder / "data"), "-o", str(file)],
        ["run", str(file), "--out", str(folder / "runs"), "-s", "training.epochs=1", "-s", "evaluation.cost=false"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code
