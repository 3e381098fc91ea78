"""Predicting a folder of images in the encoding of the user's masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.formats import PICTURE_SUFFIXES, SUFFIXES
from segengine.data.files.reading import read_mask
from segengine.data.files.writing import write_mask
from segengine.data.masks.mapping import IGNORE
from segengine.data.sources.pairing import pair
from segengine.data.sources.patterns import Match, find
from segengine.errors import DataError, SegengineError, unexpected
from segengine.files import write_bytes
from segengine.inference.exported import Exported
from segengine.inference.load import Trained
from segengine.registry import suggest

_WHOLE = 2**40  # no size limit for written pictures


@dataclass(frozen=True)
class Predicted:
    """Result for one image: files written, or the reason it was skipped.

    `limited`: the limits of passes from this image on, as memory ran out with it; '' where it did not.
    """

    image: Path
    written: tuple[Path, ...] = ()
    problem: str = ""
    limited: str = ""


def images_in(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Images of files and folders (recursively), each with its relative path below the output folder.

    An output folder inside an input folder is skipped: it contains earlier predictions.

    Raises:
        DataError: missing path, or no image found.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = _images_below(path)
            if path.resolve() in out.resolve().parents:
                inside = [p for p in inside if out.resolve() not in p.resolve().parents]
            if not inside:
                raise DataError(f"{path}: holds no image ({', '.join(SUFFIXES)})")
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            near = suggest(path.name, [p.name for p in path.parent.glob("*")]) if path.parent.is_dir() else ""
            raise DataError(f"{path}: there is no such file or folder" + (f"; {near}" if near else ""))
    return found


def _images_below(folder: Path) -> list[Path]:
    """Image files below a folder, as training finds them: hidden files and folders (`._a.png`,
    `.ipynb_checkpoints`) are left out. Arrays (.npy, .npz) count where there is no picture.
    """
    files = [
        path for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in path.relative_to(folder).parts) and path.is_file()
    ]  # fmt: skip
    return [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES] or files


def predict_files(
    trained: Trained | Exported,
    images: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    overlay: bool = False,
    truth: Path | None = None,
) -> Iterator[Predicted]:
    """Predict each image and write its mask below `out` under the image's name; unreadable images are skipped with a reason.

    With `overlay`, a coloured overlay is written under out/overlays; with a folder `truth` of masks named like the
    images, image | prediction | truth under out/triptychs. An input is never overwritten.
    """
    known = _partners(images, truth) if truth is not None else {}
    targets = _targets(trained, images, out, known.values())
    trained = trained.for_images([image for image, _ in images])
    for (image, _), target in zip(images, targets, strict=True):
        written: list[Path] = []
        problem = ""
        before = _limits(trained)
        try:
            for path in _predict(trained, image, target, out=out, overlay=overlay, mask=known.get(image), truth=truth):
                written.append(path)  # noqa: PERF402 (what was written before an error counts)
        except SegengineError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{target}: can't be written ({error.strerror})"
        except Exception as error:  # a failure on one file must not affect other files
            problem = f"{image}: can't be predicted ({unexpected(error)})"
        limits = _limits(trained)
        yield Predicted(image, tuple(written), problem, limits if limits != before else "")


def _limits(trained: Trained | Exported) -> str:
    return trained.predictor.limits.active if isinstance(trained, Trained) else ""


def _partners(images: Sequence[tuple[Path, Path]], folder: Path) -> dict[Path, Path]:
    """Image -> true mask in `folder`, paired by name as in training: equal, or with a common prefix or suffix."""
    masks = find(folder, "**/*", outside=True)
    wanted = [Match(image, place.with_suffix("").parts, None) for image, place in images]
    known = [Match(mask.path, mask.path.relative_to(folder).with_suffix("").parts, None) for mask in masks]
    return {image.path: mask.path for image, mask in pair(wanted, known).pairs}


def _targets(
    trained: Trained | Exported, images: Sequence[tuple[Path, Path]], out: Path, masks: Iterable[Path]
) -> list[Path]:
    in_the_way = [path for path in (out, *out.parents) if path.exists() and not path.is_dir()]
    if in_the_way:
        raise DataError(f"{in_the_way[0]}: is a file; masks are written to a folder, choose another one with -o")
    suffix = trained.mapping.encoding.suffix
    targets = [out / place.with_suffix(suffix) for _, place in images]
    twice = {target for target in targets if targets.count(target) > 1} if len(set(targets)) < len(targets) else set()
    if twice:
        raise DataError(f"two images would both be written to {min(twice)}; predict them into different folders")
    inputs = {path.resolve() for path in (*(image for image, _ in images), *masks)}
    overwritten = [target for target in targets if target.resolve() in inputs]
    if overwritten:
        raise DataError(
            f"{overwritten[0]} is one of the images or masks given and would be overwritten; choose another folder with -o"
        )
    return targets


def _predict(
    trained: Trained | Exported, path: Path, target: Path, *, out: Path, overlay: bool, mask: Path | None, truth: Path | None
) -> Iterator[Path]:  # fmt: skip
    image, missing = trained.read_with_missing(path)
    classes = trained.classes(image)
    if missing is not None:
        classes = np.where(missing, np.uint8(IGNORE), classes)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_mask(target, trained.mapping.to_raw(classes), trained.mapping.encoding)
    yield target
    below = target.relative_to(out)
    if overlay:
        yield _picture(out / "overlays" / below.with_suffix(".png"), trained, image, classes, None)
    if truth is not None:
        if mask is None:
            raise DataError(f"{truth}: has no mask named like {path.name}")
        known = _truth(trained, mask, classes.shape)
        yield _picture(out / "triptychs" / below.with_suffix(".png"), trained, image, classes, known)


def _picture(
    target: Path,
    trained: Trained | Exported,
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
) -> Path:
    from segengine.figures.encoding import png_of
    from segengine.figures.panels import overlay, to_rgb, triptych

    labels = trained.mapping.labels
    picture = overlay(to_rgb(image), classes, labels) if truth is None else triptych(image, classes, truth, labels)
    write_bytes(target, png_of(picture, limit_bytes=_WHOLE))
    return target


def _truth(trained: Trained | Exported, mask: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    raw = read_mask(mask)
    if raw.shape[:2] != shape:
        raise DataError(f"{mask}: is {raw.shape[1]}x{raw.shape[0]} and its image {shape[1]}x{shape[0]}")
    return trained.mapping.to_classes(raw, where=str(mask))
