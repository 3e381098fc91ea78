"""Predicting a folder of images in the masks' own values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segengine.data.records import SUFFIXES
from segengine.data.writing import write_mask
from segengine.errors import DataError, SegengineError
from segengine.files import write_bytes
from segengine.registry import suggest
from segengine.workflow.trained import Trained

_WHOLE = 2**40  # a picture is written as it is, however large


@dataclass(frozen=True)
class Predicted:
    """What became of one image: the files written, or why it was skipped."""

    image: Path
    written: tuple[Path, ...] = ()
    problem: str = ""


def images_in(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each image with its place below the output folder: files as they are, folders with all that is below them.

    Raises:
        DataError: a path doesn't exist, or no image is found.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise DataError(f"{path}: holds no image ({', '.join(sorted(SUFFIXES))})")
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            near = suggest(path.name, [p.name for p in path.parent.glob("*")]) if path.parent.is_dir() else ""
            raise DataError(f"{path}: there is no such file or folder" + (f"; {near}" if near else ""))
    return found


def predict_files(
    trained: Trained,
    images: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    overlay: bool = False,
    truth: Path | None = None,
) -> Iterator[Predicted]:
    """Predict each image and write its mask below `out` under the image's name; a bad one is skipped and says why.

    With `overlay`, a coloured overlay is written under out/overlays; with a folder `truth` of masks named like the
    images, image | prediction | truth under out/triptychs. An input is never overwritten.
    """
    targets = _targets(trained, images, out)
    for (image, _), target in zip(images, targets, strict=True):
        try:
            yield Predicted(image, tuple(_predict(trained, image, target, out=out, overlay=overlay, truth=truth)))
        except SegengineError as error:
            yield Predicted(image, (), str(error))
        except OSError as error:
            yield Predicted(image, (), f"{target}: can't be written ({error.strerror})")


def _targets(trained: Trained, images: Sequence[tuple[Path, Path]], out: Path) -> list[Path]:
    suffix = trained.mapping.encoding.suffix
    targets = [out / place.with_suffix(suffix) for _, place in images]
    twice = {target for target in targets if targets.count(target) > 1} if len(set(targets)) < len(targets) else set()
    if twice:
        raise DataError(f"two images would both be written to {min(twice)}; predict them into different folders")
    inputs = {image.resolve() for image, _ in images}
    overwritten = [target for target in targets if target.resolve() in inputs]
    if overwritten:
        raise DataError(
            f"{overwritten[0]} is one of the images and would be overwritten; choose another folder with -o"
        )
    return targets


def _predict(
    trained: Trained, path: Path, target: Path, *, out: Path, overlay: bool, truth: Path | None
) -> Iterator[Path]:  # fmt: skip
    image = trained.read(path)
    classes = trained.classes(image)
    write_mask(target, trained.mapping.to_raw(classes), trained.mapping.encoding)
    yield target
    below = target.relative_to(out)
    if overlay:
        yield _picture(out / "overlays" / below.with_suffix(".png"), trained, image, classes, None)
    if truth is not None:
        known = _truth(trained, truth, path, classes.shape)
        yield _picture(out / "triptychs" / below.with_suffix(".png"), trained, image, classes, known)


def _picture(
    target: Path,
    trained: Trained,
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
) -> Path:
    from segengine.report.encoding import png_of
    from segengine.report.panels import overlay, to_rgb, triptych

    labels = trained.mapping.labels
    picture = overlay(to_rgb(image), classes, labels) if truth is None else triptych(image, classes, truth, labels)
    write_bytes(target, png_of(picture, limit_bytes=_WHOLE))
    return target


def _truth(trained: Trained, folder: Path, image: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    from segengine.data.reading import read_mask

    candidates = [p for p in sorted(folder.iterdir()) if p.stem == image.stem and p.suffix.lower() in SUFFIXES]
    if not candidates:
        raise DataError(f"{folder}: has no mask named {image.stem}")
    raw = read_mask(candidates[0])
    if raw.shape[:2] != shape:
        raise DataError(f"{candidates[0]}: is {raw.shape[1]}x{raw.shape[0]} and its image {shape[1]}x{shape[0]}")
    return trained.mapping.to_classes(raw, where=str(candidates[0]))
