"""Records of annotated images: image files with files of shapes as masks."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from segengine.data.annotations.drawing import Values, shapes_file
from segengine.data.annotations.image_files import ImageFiles, upright_size
from segengine.data.annotations.raster import Overlap, Painted, mask_library
from segengine.data.annotations.shapes import (
    BACKGROUND_NAMES,
    IGNORED_NAMES,
    AnnotatedImage,
    Annotations,
    Points,
    Shape,
    scaled,
)  # fmt: skip
from segengine.data.annotations.yolo import add_yolo
from segengine.data.batches.cache_folder import default_folder
from segengine.data.files.parallel import in_threads
from segengine.data.sources.patterns import find, leaves_root
from segengine.data.sources.records import Record, Records, listed
from segengine.errors import DataError, counted
from segengine.files import write_bytes

MOST_LABELS = 65534
_FARTHEST = 65536.0

Reader = Callable[[Path, str | None, Annotations], None]
"""Adds the images of an annotation file, of a split or None, to the found annotations."""


@dataclass(frozen=True)
class AnnotationPlan:
    """Annotations under a root and how they become masks.

    `annotations`: pattern of the annotation files. `images`: pattern of the image files; None for all images under `root`.
    `labels`: the classes in the order of values 1, 2 ...; None for the files' own order, else sorted. `overlap`: which shape is
    on top. `crowd`: whether COCO's crowd regions are ignored or belong to their class. `unpaired`: whether images without
    annotation are background or skipped. `missing`: whether annotated images without a file are an error or skipped. `splits`:
    the splits to use, None for all. `one_each`: there is one annotation file per image, so that pictures beside annotated ones
    are images without annotation.
    """

    root: Path
    annotations: str
    images: str | None = None
    labels: tuple[str, ...] | None = None
    overlap: Overlap = "small-on-top"
    crowd: Literal["ignore", "class"] = "ignore"
    unpaired: Literal["background", "skip"] = "background"
    missing: Literal["error", "skip"] = "error"
    splits: tuple[str, ...] | None = None
    one_each: bool = False


def read_annotations(plan: AnnotationPlan, reader: Reader) -> tuple[Annotations, ImageFiles]:
    """Everything in the annotation files of a plan, and the image files.

    Raises:
        DataError: no such files, or annotations that can't be read.
    """
    _check_root(plan)
    found = Annotations()
    files = find(plan.root, plan.annotations, suffixes=False)
    if not files:
        raise DataError(
            f"{plan.root}: no annotation file matches '{plan.annotations}'; correct data.source.annotations"
        )
    for match in files:
        reader(match.path, match.split, found)
    return found, ImageFiles(plan.root, plan.images)


def read_yolo(plan: AnnotationPlan) -> tuple[Annotations, ImageFiles]:
    """The same for a plan whose `annotations` is the file with YOLO's class names. Raises DataError."""
    _check_root(plan)
    found, files = Annotations(), ImageFiles(plan.root, plan.images)
    if leaves_root(plan.annotations) or not (plan.root / plan.annotations).is_file():
        raise DataError(f"{plan.root / plan.annotations}: no such file; correct data.source.annotations")
    add_yolo(plan.root, plan.annotations, files, by_folder=plan.images is None, found=found)
    return found, files


def annotation_records(plan: AnnotationPlan, found: Annotations, files: ImageFiles) -> Records:
    """One record per annotated image, sorted by id; `notes` list what was omitted.

    Raises:
        DataError: missing or ambiguous images, other sizes than declared, or labels that are not classes.
    """
    mask_library()
    if not found.images:
        raise DataError(f"{plan.root}: '{plan.annotations}' describes no image; correct data.source.annotations")
    values = label_values(plan, found)
    placed = [
        (p, i)
        for p, i in _placed(plan, found, files)
        if plan.splits is None or _split(files, p, i) in {*plan.splits, None}
    ]
    if not any(image.shapes for _, image in placed):
        raise DataError(f"{plan.root}: {_without_area(found)}")
    notes = [*found.notes]
    unlisted = _unlisted(files, [path for path, _ in placed])
    if plan.one_each:
        placed += [(p, AnnotatedImage((p.name,), str(p), p.parent, upright_size(p), ())) for p in unlisted]
    elif unlisted:
        notes.append(
            f"{counted(len(unlisted), 'image')} in no annotation file, not used: {listed([p.name for p in unlisted])}"
        )
    unannotated = [path for path, image in placed if not image.shapes and not image.annotated]
    if unannotated:
        names = listed([path.name for path in unannotated])
        how = "left out (unpaired: skip)" if plan.unpaired == "skip" else "background only"
        notes.append(f"{counted(len(unannotated), 'image')} without annotation ({names}): {how}")
    if found.skipped:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(found.skipped.items()))
        notes.append(f"annotations without area are left out: {kinds}")
    left_out = set(unannotated) if plan.unpaired == "skip" else set()
    used = [(path, image) for path, image in placed if path not in left_out]
    make = partial(_record, plan, files, values)
    return Records(in_threads(make, used, "annotations"), notes, plan.root)


def class_labels(plan: AnnotationPlan, found: Annotations) -> tuple[str, ...]:
    """The classes in the order of values 1, 2 ...: those of the plan, those the files list, or those found, sorted."""
    if plan.labels is not None:
        names: Sequence[str] = plan.labels
    else:
        used = {shape.label for image in found.images for shape in image.shapes}
        names = [*found.labels, *sorted(used - set(found.labels))]
    return tuple(name for name in names if name.lower() not in BACKGROUND_NAMES | IGNORED_NAMES)


def label_values(plan: AnnotationPlan, found: Annotations) -> dict[str, int]:
    """Label -> value in the masks; -1 for ignored labels.

    Raises:
        DataError: a label that is not among the classes of the plan, or more labels than 16 bits hold.
    """
    labels = class_labels(plan, found)
    if len(labels) > MOST_LABELS:
        raise DataError(f"{plan.root}: the annotations have {len(labels):,} labels; masks hold at most {MOST_LABELS:,}")
    values = {name: i for i, name in enumerate(labels, start=1)}
    used = Counter(shape.label for image in found.images for shape in image.shapes)
    for name in (*used, *found.labels):
        if name.lower() in BACKGROUND_NAMES:
            values.setdefault(name, 0)
        elif name.lower() in IGNORED_NAMES:
            values.setdefault(name, -1)
    unknown = [f"'{name}' ({counted(used[name], 'shape')})" for name in sorted(used) if name not in values]
    if unknown:
        raise DataError(
            f"{plan.root}: the annotations have {listed(unknown)}, missing from data.source.labels; add each there and its class "
            "to data.classes; use drop or merge of mask_mapper for unwanted classes"
        )
    return values


def _check_root(plan: AnnotationPlan) -> None:
    if not plan.root.is_dir():
        raise DataError(f"{plan.root}: no such folder; set data.source.root (relative to the experiment file)")


def _placed(plan: AnnotationPlan, found: Annotations, files: ImageFiles) -> list[tuple[Path, AnnotatedImage]]:
    """Each image file with its annotations."""
    placed: dict[Path, AnnotatedImage] = {}
    missing = []
    for image in found.images:
        path = files.find(image)
        if path is None:
            missing.append(image.names[0])
        elif path in placed:
            raise DataError(
                f"{path}: is annotated twice, in {placed[path].where} and in {image.where}; restrict data.source.annotations "
                "to one of them"
            )
        else:
            placed[path] = image
    if missing and (plan.missing == "error" or not placed):
        raise DataError(
            f"{plan.root}: {counted(len(missing), 'annotated image')} not found ({listed(missing)}); add them, or set "
            "data.source.missing: skip"
        )
    if missing:
        found.notes.append(f"skipped (missing: skip): {counted(len(missing), 'annotated image')} without a file")
    return list(placed.items())


def _unlisted(files: ImageFiles, placed: Sequence[Path]) -> list[Path]:
    """Pictures in the folders of annotated images that no annotation file names."""
    known, folders = set(placed), {path.parent for path in placed}
    return [path for path in files.matches if path.parent in folders and path not in known]


def _without_area(found: Annotations) -> str:
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(found.skipped.items()))
    if not kinds:
        return "no image has an annotation; annotate some, or correct data.source.annotations"
    return f"the annotations have no areas ({kinds}); polygons or masks are required"


def _split(files: ImageFiles, path: Path, image: AnnotatedImage) -> str | None:
    return image.split or files.matches[path].split


def _record(plan: AnnotationPlan, files: ImageFiles, values: dict[str, int], of: tuple[Path, AnnotatedImage]) -> Record:
    path, image = of
    identity = path.relative_to(files.root).with_suffix("").as_posix()
    group = files.matches[path].value("group") or identity
    return Record(identity, path, _mask(plan, values, path, image), group, _split(files, path, image))


def _mask(plan: AnnotationPlan, values: dict[str, int], path: Path, image: AnnotatedImage) -> Path:
    """The image's file of shapes in the cache folder, written if it is missing."""
    size = image.size
    if size is None or image.relative:
        size = upright_size(path)
    shapes = image.shapes
    if image.relative:
        shapes = tuple(replace(s, polygons=_in_pixels(s.polygons, size)) for s in shapes)
    _check_places(image, shapes, size)
    used = Values(max(values.values(), default=0))
    painted = [_painted(shape, values[shape.label], plan.crowd, used) for shape in shapes]
    content = shapes_file(painted, *size, plan.overlap, used)
    state = path.stat()
    key = hashlib.sha256(content + f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()
    target = default_folder() / "made" / key[:2] / key[2:] / f"{path.stem}.shapes"
    if not target.is_file():  # written only after its size was compared with the image's
        if not image.relative:
            _check_size(image, size, path)
        try:
            write_bytes(target, content)
        except OSError as error:
            raise DataError(
                f"{target.parent}: can't write annotations to the cache folder ({error.strerror}); free space, or set "
                "XDG_CACHE_HOME to a writable folder"
            ) from error
    return target


def _in_pixels(polygons: Sequence[Points], size: tuple[int, int]) -> tuple[Points, ...]:
    return tuple(scaled(points, size[1], size[0]) for points in polygons)


def _painted(shape: Shape, value: int, crowd: str, values: Values) -> Painted:
    ignored = value < 0 or (shape.crowd and crowd == "ignore")
    below = shape.crowd and crowd == "ignore"  # objects annotated one by one within a crowd keep their class
    return Painted(values.ignored if ignored else value, shape.polygons, shape.runs, shape.z, below)


def _check_places(image: AnnotatedImage, shapes: Sequence[Shape], size: tuple[int, int]) -> None:
    """Raise DataError for run lengths of another size, and for coordinates so far outside that rasterising takes unbounded memory."""
    height, width = size
    for shape in shapes:
        if any(abs(value) > max(_FARTHEST, 4 * max(size)) for points in shape.polygons for value in points):
            raise DataError(f"{image.where}: a polygon is far outside the image of {width}x{height} pixels; correct it")
        runs = shape.runs
        if runs is not None and runs.columns and runs.window != (0, 0, width, height):
            raise DataError(
                f"{image.where}: run lengths are for {runs.window[2]}x{runs.window[3]} pixels and the image is {width}x{height} "
                "(width x height); export the annotations again"
            )


def _check_size(image: AnnotatedImage, size: tuple[int, int], path: Path) -> None:
    real = upright_size(path)
    if real != size:
        turned = "; it was annotated before its EXIF orientation was applied" if real == size[::-1] else ""
        raise DataError(
            f"{image.where}: says that {os.path.basename(path)} is {size[1]}x{size[0]}, and {path} is {real[1]}x{real[0]} "
            f"(width x height){turned}; use the images that were annotated, or export the annotations for these"
        )
