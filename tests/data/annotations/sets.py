"""Small annotated sets written as the tools write them, with known shapes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]
HEIGHT, WIDTH = 40, 60


def photo(path: Path, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def pairs(points: Sequence[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(points[::2], points[1::2], strict=True)]


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def coco(
    root: Path,
    annotations: Sequence[dict[str, Any]],
    *,
    names: Sequence[str] = ("car", "wheel"),
    images: int = 1,
    file: str = "annotations/instances_train.json",
    folder: str = "images",
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    """Each annotation is of image 1 and category 1 unless it says otherwise."""
    for i in range(1, images + 1):
        photo(root / folder / f"{i:04d}.png", i)
    write(root / file, {
        "images": [{"id": i, "file_name": f"{i:04d}.png", "height": size[0], "width": size[1]} for i in range(1, images + 1)],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0} | dict(a) for n, a in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
    })  # fmt: skip
    return root


def png_text(mask: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def packed_brush(mask: Array) -> list[int]:
    """Label Studio's brush (thi.ng/rle-pack) of a bool mask: RGBA with the mask as alpha, single values as literals."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[..., 3] = mask * 255
    values[..., :3] = 77
    flat = values.ravel().tolist()
    sizes = (3, 4, 8, 16)
    bits = f"{len(flat):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    i = 0
    while i < len(flat):
        j = i
        while j < len(flat) and flat[j] == flat[i] and j - i < 2**16:
            j += 1
        count = j - i
        if count == 1:  # literals until the next repetition
            while j < len(flat) and j - i < 8 and (j + 1 >= len(flat) or flat[j] != flat[j + 1]):
                j += 1
            bits += f"000{j - i - 1:03b}" + "".join(f"{value:08b}" for value in flat[i:j])
        else:
            which = next(n for n, size in enumerate(sizes) if count <= 2**size)
            bits += f"1{which:02b}{count - 1:0{sizes[which]}b}{flat[i]:08b}"
        i = j
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]
