"""Published data sets: which of their files are the masks, and the class names of mask values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person",
    "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
_LOVEDA = ("background", "building", "road", "water", "barren", "forest", "agriculture")
_ISAID: Mapping[str, tuple[int, int, int]] = {
    "background": (0, 0, 0), "ship": (0, 0, 63), "storage tank": (0, 63, 63), "baseball diamond": (0, 63, 0), "tennis court": (0, 63, 127),
    "basketball court": (0, 63, 191), "ground track field": (0, 63, 255), "bridge": (0, 127, 63), "large vehicle": (0, 127, 127),
    "small vehicle": (0, 0, 127), "helicopter": (0, 0, 191), "swimming pool": (0, 0, 255), "roundabout": (0, 191, 127),
    "soccer ball field": (0, 127, 191), "plane": (0, 127, 255), "harbor": (0, 100, 155),
}  # fmt: skip
_CHAOS = {0: "background", 63: "liver", 126: "right kidney", 189: "left kidney", 252: "spleen"}


@dataclass(frozen=True)
class Known:
    """A published layout: patterns that identify it, the preference for its masks, and the meaning of its values.

    `ignore_rest`: all values below `top` that have no name are ignored.
    """

    title: str
    masks: str
    images: str = ""
    preferred: float = 0.0
    values: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    ignore: tuple[int, ...] = ()
    ignore_rest: bool = False
    group: str = ""
    foreground: str = ""


def _numbered(names: tuple[str, ...], first: int = 0) -> dict[int, str]:
    return {first + i: name for i, name in enumerate(names)}


KNOWN: tuple[Known, ...] = (
    Known("Cityscapes, 19 training classes", r"_labelTrainIds", preferred=0.3, values=_numbered(_CITYSCAPES), ignore=(255,)),
    Known("Cityscapes", r"gt(Fine|Coarse).*_labelIds", preferred=0.2, ignore_rest=True,
          values=dict(zip(_CITYSCAPES_IDS, _CITYSCAPES, strict=True))),
    Known("BDD100K", r"(sem_seg/masks/|_train_id)", preferred=0.2, values=_numbered(_CITYSCAPES), ignore=(255,)),
    Known("PASCAL VOC", r"SegmentationClass/", r"JPEGImages/", preferred=0.1, values=_numbered(_VOC), ignore=(255,)),
    Known("CamVid in SegNet's form", r"\{split\}annot/", preferred=0.05, values=_numbered(_CAMVID), ignore=(11,)),
    Known("LoveDA", r"masks_png/", r"images_png/", preferred=0.1, values=_numbered(_LOVEDA, 1), ignore=(0,)),
    Known("ADE20K scene parsing", r"annotations/.*\n.*ADE_(train|val)_", ignore=(0,)),
    Known("Mapillary Vistas", r"(v[12]\.[0-9]/)?labels/", r"\{split\}/images/", preferred=0.05),
    Known("iSAID", r"_instance_color_RGB", preferred=0.3, colours=_ISAID),
    Known("Carvana", r"_masks?/\*_mask", group=r"^([0-9a-f]{6,})_", foreground="car"),
    Known("DRIVE", r"1st_manual/", preferred=0.1, foreground="vessel"),
    Known("CHASE_DB1", r"_1stHO", preferred=0.1, foreground="vessel", group=r"^(Image_[0-9]+)[LR]"),
    Known("CHAOS MR", r"Ground/", r"T2SPIR/DICOM_anon", preferred=0.1, values=_CHAOS),
    Known("DSB 2018 nuclei", r"stage1_\{split\}.*\{object\}", foreground="nucleus"),
)  # fmt: skip
"""In order of precedence; `masks` and `images` are matched against the detected patterns."""


def preference(images: str, masks: str) -> float:
    """Addition to the score of a hypothesis if a published data set has masks in this form."""
    return max((known.preferred for known in KNOWN if _fits(known, images, masks)), default=0.0)


def recognised(images: str, masks: str, example: str = "") -> list[Known]:
    """The published layouts that match the patterns and the path of one of the masks."""
    return [known for known in KNOWN if _fits(known, images, f"{masks}\n{example}")]


def _fits(known: Known, images: str, masks: str) -> bool:
    return bool(re.search(known.masks, masks)) and bool(re.search(known.images, images))
