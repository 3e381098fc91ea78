"""Image files of every format and layout, damaged at random, and what reference decoders read in them."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from segengine.data.files.decoding import decode
from segengine.data.files.reading import mask_values, to_picture
from segengine.errors import DataError

DTYPES = ("uint8", "uint16", "int16", "float32", "int8", "int32", "float64", "uint32")


@dataclass(frozen=True)
class Case:
    """A file's content, the array that was written into it, and how it was damaged ('' where it was not)."""

    kind: str
    content: bytes
    source: np.ndarray | None
    damage: str


def draw(rng: np.random.Generator) -> Case:
    """One case: two thirds are damaged."""
    kind, content, source = (_tiff, _png, _picture, _array)[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])](rng)
    damages = ("", "flip", "cut", "zeros", "noise", "insert", "twice", "checksum" if kind.startswith("png") else "flip")
    damage = str(rng.choice(damages, p=[0.3, *[0.1] * 7]))
    return Case(kind, _damaged(rng, content, damage), source, damage)


def verdict(case: Case, path: Path) -> str:
    """`equal`, `refused`, or a sentence that says what is wrong."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = decode(path, case.content)
            for read in (mask_values, lambda s, p: to_picture(s, p, window="per-image")):
                with contextlib.suppress(DataError):
                    read(stored, path)
    except DataError as error:
        if str(path) not in str(error):
            return f"{case.kind} {case.damage}: the message doesn't name the file: {error}"
        return "refused" if case.damage else f"{case.kind}: refused undamaged: {error}"
    except Exception as error:
        return f"{case.kind} {case.damage}: {type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    if seconds > 20:
        return f"{case.kind} {case.damage}: took {seconds:.0f} s"
    if not case.damage:
        return "equal" if _same(stored.values, case.source) else f"{case.kind}: differs from the array that was written"
    if case.kind.startswith("png") and case.damage != "checksum" and not _same(stored.values, case.source):
        return f"{case.kind} {case.damage}: damaged pixels were read without a word"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = _reference(case)
        except Exception as error:
            same = _same(stored.values, case.source)  # damage beside the pixels, which only the reference minds
            return "equal" if same else f"{case.kind} {case.damage}: read, and the reference says {error!r}"
    return "equal" if _same(stored.values, expected) else f"{case.kind} {case.damage}: differs from the reference"


def _same(values: np.ndarray, expected: np.ndarray | None) -> bool:
    if expected is None:
        return True
    expected = np.squeeze(expected) if expected.ndim == 3 and expected.shape[2] == 1 else expected
    values = values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return values.shape == expected.shape and np.array_equal(values, expected, equal_nan=expected.dtype.kind == "f")


def _reference(case: Case) -> np.ndarray:
    content = io.BytesIO(case.content)
    if case.content[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(content) as tiff:
            pages = [page for page in tiff.pages if not page.subfiletype & 5]
            series = next(s for s in tiff.series if any(p is not None and p.offset == pages[0].offset for p in s.pages))
            values, axes = series.asarray(), series.axes
        if values.ndim == 3 and "Y" in axes and axes.index("Y") == 1 and axes[0] != "Q":
            values = np.moveaxis(values, 0, -1)
        return values.astype(np.uint8) if values.dtype == bool else values
    if case.content[:4] == b"\x89PNG":
        if case.content[25] == 3:
            return np.asarray(Image.open(content))
        values = imagecodecs.png_decode(case.content)
        bits = case.content[24]
        return values // (255 // (2**bits - 1)) if bits < 8 else values
    if case.content[:1] == b"\x93":
        return np.load(content, allow_pickle=False)
    if case.content[:2] == b"PK":
        archive = np.load(content, allow_pickle=False)
        return archive[archive.files[0]]
    with Image.open(content) as image:
        image.load()
        return np.asarray(image if image.mode in ("L", "P", "RGB", "1", "RGBA") else image.convert("RGB")).astype(
            np.uint8
        )


def _values(rng: np.random.Generator, dtype: str, channels: int) -> np.ndarray:
    shape = (int(rng.integers(20, 70)), int(rng.integers(20, 70)), channels)
    values = (rng.random(shape) * 120).astype(dtype)
    if rng.random() < 0.5:
        values[: shape[0] // 2] = 3  # runs, as masks have
    if np.dtype(dtype).kind == "f" and rng.random() < 0.3:
        values[:3] = np.nan
    return values[:, :, 0] if channels == 1 else values


def _tiff(rng: np.random.Generator) -> tuple[str, bytes, np.ndarray]:
    dtype, channels = str(rng.choice(DTYPES)), int(rng.choice([1, 1, 2, 3, 4, 5]))
    values, buffer = _values(rng, dtype, channels), io.BytesIO()
    options: dict[str, object] = {"photometric": str(rng.choice(["minisblack", "minisblack", "miniswhite"]))}
    options["compression"] = rng.choice(np.array([None, None, "zlib", "lzw", "zstd", "packbits", "lzma"], object))
    if options["compression"] in ("zlib", "lzw", "zstd") and rng.random() < 0.5:
        options["predictor"] = True
    if rng.random() < 0.4:
        options["tile"] = (16, 32)
    elif rng.random() < 0.5:
        options["rowsperstrip"] = int(rng.integers(1, 30))
    written = values
    if channels > 1:
        planar = rng.random() < 0.4
        options["planarconfig"] = "separate" if planar else "contig"
        written = np.moveaxis(values, -1, 0) if planar else values
    if channels == 1 and dtype == "uint8" and rng.random() < 0.3:
        values = written = values > 50
        options.pop("predictor", None)
    options["byteorder"] = str(rng.choice(["<", ">"]))
    options["bigtiff"] = bool(rng.random() < 0.2)
    extra = [(42113, "s", 0, "7", True)] if rng.random() < 0.3 else []
    head = {key: options.pop(key) for key in ("byteorder", "bigtiff")}
    with tifffile.TiffWriter(buffer, **head) as writer:  # type: ignore[arg-type]
        writer.write(written, extratags=extra, **options)  # type: ignore[arg-type]
    source = values.astype(np.uint8) if values.dtype == bool else values
    return f"tiff {values.dtype} {channels} {options}", buffer.getvalue(), source


def _png(rng: np.random.Generator) -> tuple[str, bytes, np.ndarray]:
    how = str(rng.choice(["gray", "rgb", "rgba", "la", "palette", "bits", "gray16", "rgb16", "rgba16", "la16"]))
    channels = {"rgb": 3, "rgba": 4, "la": 2, "rgb16": 3, "rgba16": 4, "la16": 2}.get(how, 1)
    values, buffer = _values(rng, "uint16" if "16" in how else "uint8", channels), io.BytesIO()
    if how.endswith("16"):
        values = values * np.uint16(500)
    if how in ("rgb16", "rgba16", "la16", "gray16"):
        return f"png {how}", imagecodecs.png_encode(values), values
    if how == "palette":
        values = values % 8
        image = Image.new("P", (values.shape[1], values.shape[0]))
        image.putdata(values.tobytes())
        image.putpalette(list(range(24)))
        image.save(buffer, "PNG")
        return "png palette", buffer.getvalue(), values
    if how == "bits":
        values = (values > 50).astype(np.uint8)
        Image.fromarray(values.astype(bool)).save(buffer, "PNG")
        return "png bits", buffer.getvalue(), values
    Image.fromarray(values, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]).save(buffer, "PNG")
    return f"png {how}", buffer.getvalue(), values


def _picture(rng: np.random.Generator) -> tuple[str, bytes, np.ndarray | None]:
    plugin = str(rng.choice(["JPEG", "BMP", "GIF", "WEBP"]))
    channels = 1 if plugin == "GIF" else 3 if plugin == "WEBP" else int(rng.choice([1, 3]))
    values, buffer = _values(rng, "uint8", channels), io.BytesIO()
    options: dict[str, object] = {"WEBP": {"lossless": True}, "GIF": {"optimize": False}}.get(plugin, {})
    Image.fromarray(values).save(buffer, plugin, **options)
    return plugin.lower(), buffer.getvalue(), None if plugin == "JPEG" else values


def _array(rng: np.random.Generator) -> tuple[str, bytes, np.ndarray]:
    values, buffer = _values(rng, str(rng.choice(DTYPES)), int(rng.choice([1, 3, 5]))), io.BytesIO()
    if rng.random() < 0.5:
        np.save(buffer, values)
        return "npy", buffer.getvalue(), values
    np.savez_compressed(buffer, values)
    return "npz", buffer.getvalue(), values


def _damaged(rng: np.random.Generator, content: bytes, damage: str) -> bytes:
    data = bytearray(content)
    at, length = int(rng.integers(0, len(data))), int(rng.integers(1, 40))
    if rng.random() < 0.3:
        at = int(rng.integers(0, min(len(data), 120)))  # headers
    if damage == "flip":
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    elif damage == "cut":
        del data[at:]
    elif damage == "zeros":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif damage == "noise":
        data[at : at + length] = rng.bytes(len(data[at : at + length]))
    elif damage == "insert":
        data[at:at] = rng.bytes(length)
    elif damage == "twice":
        data[at:at] = data[at : at + length]
    elif damage == "checksum":
        _change_header(rng, data)
    return bytes(data)


def _change_header(rng: np.random.Generator, data: bytearray) -> None:
    """A PNG header with another size, depth or colour type, and the right checksum for it."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    changed = [width, height, depth, colour]
    which = int(rng.integers(0, 4))
    changed[which] = int(rng.choice([(1, 7, 500, 65535), (1, 7, 500, 65535), (1, 2, 4, 8, 16), (0, 2, 3, 4, 6)][which]))
    data[16:26] = struct.pack(">IIBB", *changed)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
