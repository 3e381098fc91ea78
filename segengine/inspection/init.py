"""A first experiment file for a folder of images and masks."""

from __future__ import annotations

import json
import os
from pathlib import Path

from segengine.data.masks.diagnosis import spoken
from segengine.errors import DataError
from segengine.inspection.inspect import Inspection

_LARGEST = 512
_SMALLEST_CROP, _MULTIPLE = 64, 32


def starter_spec(inspection: Inspection, file: Path) -> str:
    """The text of an experiment file that trains on what was found; `file` is where it will stand.

    Raises:
        DataError: the masks can't be used as they are, or have another size than their images; says why.
    """
    if not inspection.diagnosis.usable:
        raise DataError(f"{inspection.folder}: {inspection.diagnosis.message}")
    if inspection.problem:
        raise DataError(inspection.problem)
    base = min(_LARGEST, _multiple(inspection.longer_sides[len(inspection.longer_sides) // 2]))
    crop = min(256, max(_SMALLEST_CROP, base))
    root = os.path.relpath(inspection.folder.absolute(), file.absolute().parent)
    split = "" if len(set(inspection.splits) - {"not split"}) > 1 else (
        "  split: {train: 0.7, validation: 0.15, test: 0.15}    # images of one patient or video belong together: see docs, `by: group`\n"
    )  # fmt: skip
    return f"""\
# yaml-language-server: $schema=.segengine/schema.json
# {inspection.diagnosis.message}
title: {file.stem}
data:
  source: {{name: folders, root: {_quoted(Path(root).as_posix())}}}
{_classes(inspection)}{_mapper(inspection)}{split}augmentations:
  - {{name: multi-scale, base_size: {base}, scale: [0.5, 1.5], crop_size: {crop}}}
  - {{name: flip, horizontal: 0.5}}    # remove where left and right are different classes
model:
  backbone: {{name: vgg, depth: 11}}
  decoder: unet
loss: cross-entropy
training:
  epochs: 50
  batch_size: 8
  optimizer: {{name: adamw, learning_rate: 1e-3}}
seeds: [0]
variants:
  vgg11: {{}}
  vgg16: {{model: {{backbone: {{depth: 16}}}}}}
"""


def _kept(inspection: Inspection) -> list[str]:
    values = [
        raw for raw in inspection.survey.values if not (inspection.diagnosis.kind == "void border" and raw == 255)
    ]
    return [spoken(raw) for raw in values]


def _classes(inspection: Inspection) -> str:
    values = _kept(inspection)
    names = ["background" if i == 0 and value in ("0", "[0, 0, 0]") else f"class{i}" for i, value in enumerate(values)]
    if inspection.survey.encoding.kind == "palette" or len(values) > 12:
        return ""
    return f"  classes: [{', '.join(names)}]    # your names for the values {', '.join(values)}, in this order\n"


def _mapper(inspection: Inspection) -> str:
    void = inspection.diagnosis.kind == "void border"
    kind = inspection.survey.encoding.kind
    if kind == "rgb":
        values = _kept(inspection)
        names = ["background" if i == 0 and value == "[0, 0, 0]" else f"class{i}" for i, value in enumerate(values)]
        table = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
        return f"  mask_mapper: {{name: rgb, colours: {{{table}}}}}\n"
    name = "palette" if kind == "palette" else "gray-index"
    return f"  mask_mapper: {{name: {name}{', ignore: [255]' if void else ''}}}\n"


def _multiple(pixels: int) -> int:
    return max(_SMALLEST_CROP, round(pixels / _MULTIPLE) * _MULTIPLE)


def _quoted(text: str) -> str:
    plain = all(c.isalnum() or c in "._-/" for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string
