"""Predicting image files in the encoding of the user's masks; existing files of the user are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.files.formats import with_suffix
from segengine.data.files.reading import AnyWindow, read_mask
from segengine.data.files.writing import mask_bytes
from segengine.data.masks.mapping import IGNORE
from segengine.data.sources.pairing import pair
from segengine.data.sources.patterns import Match, find
from segengine.engine.checkpoint_hash import sha256_of
from segengine.errors import DataError, SegengineError, unexpected
from segengine.inference import tta
from segengine.inference.exported import Exported
from segengine.inference.load import Trained
from segengine.inference.predict.manifest import Manifest, Origin

_WHOLE = 2**40  # no size limit for written pictures
_MOST_NAMED = 10
OVERLAYS, TRIPTYCHS = "overlays", "triptychs"


@dataclass(frozen=True)
class Predicted:
    """Result for one image: files written, files complete since an earlier call, or the reason it was skipped.

    `limited`: the limits of passes from this image on, as memory ran out with it; '' where it did not.
    """

    image: Path
    written: tuple[Path, ...] = ()
    complete: tuple[Path, ...] = ()
    problem: str = ""
    limited: str = ""


@dataclass(frozen=True)
class Job:
    """One image, its mask file to write, the pictures to write, and its true mask."""

    image: Path
    mask: Path
    overlay: Path | None = None
    triptych: Path | None = None
    truth: Path | None = None

    @property
    def targets(self) -> tuple[Path, ...]:
        """All files to write."""
        return tuple(path for path in (self.mask, self.overlay, self.triptych) if path is not None)


@dataclass
class _Folder:
    """The output folder: its list of written files, and the origins of files to write."""

    manifest: Manifest
    trained: Trained | Exported
    truths: Path | None
    flips: bool
    _identity: str = field(init=False)

    def __post_init__(self) -> None:
        self._identity = self.trained.identity()

    def origins(self, job: Job) -> dict[Path, Origin | None]:
        """The origin of each of an image's files; None if the image can't be read."""
        settings: dict[str, Any] = {"flips": self.flips, "window": _plain(self.trained.window_of(job.image))}
        try:
            origin = Origin(str(job.image), sha256_of(job.image), self._identity, settings)
            origins: dict[Path, Origin | None] = dict.fromkeys(job.targets, origin)
            if job.triptych is not None and job.truth is not None:
                with_truth = {**settings, "truth_sha256": sha256_of(job.truth)}
                origins[job.triptych] = Origin(origin.image, origin.image_sha256, origin.model, with_truth)
        except OSError:
            return dict.fromkeys(job.targets)
        return origins

    def check(self, jobs: Sequence[Job]) -> None:
        """Refuse files that would be replaced, naming them; hashes only images with an existing file."""
        obstacles: list[tuple[Path, str]] = []
        for job in jobs:
            existing = [target for target in job.targets if target.exists() or target.is_symlink()]
            origins = self.origins(job) if existing else {}
            obstacles += [(t, why) for t in existing if (why := self.manifest.obstacle(t, origins[t]))]
        if not obstacles:
            return
        lines = [f"{target}: {why}" for target, why in obstacles[:_MOST_NAMED]]
        if more := len(obstacles) - len(lines):
            lines.append(f"and {more} more file{'s' * (more > 1)}")
        it = "it" if len(obstacles) == 1 else "them"
        remedy = f"choose another folder with -o, or replace {it} with --overwrite"
        if any(target.is_dir() for target, _ in obstacles):
            remedy = "choose another folder with -o"
        raise DataError("\n".join(lines) + f"; {remedy}")


def predict_files(
    trained: Trained | Exported,
    images: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    overlay: bool = False,
    truth: Path | None = None,
    flips: bool = False,
    overwrite: bool = False,
) -> Iterator[Predicted]:
    """Predict each image and write its mask below `out` under the image's name; unreadable images are skipped with a reason.

    With `overlay`, a coloured overlay is written under out/overlays; with a folder `truth` of masks named like the
    images, image | prediction | truth under out/triptychs. An input is never overwritten. Files that this function wrote
    for the same image, model and settings are complete; other existing files are replaced only with `overwrite`.

    Raises:
        DataError: a file would be replaced; names it, before any image is predicted.
    """
    jobs = _jobs(trained, images, out, overlay=overlay, truth=truth)
    trained = trained.for_images([job.image for job in jobs])
    folder = _Folder(Manifest.read(out, overwrite=overwrite), trained, truth, flips)
    folder.check(jobs)
    for job in jobs:
        before = _limits(trained)
        written: list[Path] = []
        complete: tuple[Path, ...] = ()
        problem = ""
        try:
            origins = folder.origins(job)
            complete = tuple(path for path in job.targets if folder.manifest.complete(path, origins[path]))
            if set(complete) != set(job.targets):
                for path in _predict(folder, job, origins, complete):
                    written.append(path)  # noqa: PERF402 (what was written before an error counts)
        except SegengineError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{job.mask}: can't be written ({error.strerror})"
        except Exception as error:  # a failure on one file must not affect other files
            problem = f"{job.image}: can't be predicted ({unexpected(error)})"
        limits = _limits(trained)
        yield Predicted(job.image, tuple(written), complete, problem, limits if limits != before else "")


def _plain(window: AnyWindow) -> Any:
    """A window as JSON, so that it equals the one read back from the list."""
    return json.loads(json.dumps(window))


def _limits(trained: Trained | Exported) -> str:
    return trained.predictor.limits.active if isinstance(trained, Trained) else ""


def _partners(images: Sequence[tuple[Path, Path]], folder: Path) -> dict[Path, Path]:
    """Image -> true mask in `folder`, paired by name as in training: equal, or with a common prefix or suffix."""
    masks = find(folder, "**/*", outside=True)
    wanted = [Match(image, with_suffix(place, "").parts, None) for image, place in images]
    known = [Match(mask.path, with_suffix(mask.path.relative_to(folder), "").parts, None) for mask in masks]
    return {image.path: mask.path for image, mask in pair(wanted, known).pairs}


def _jobs(
    trained: Trained | Exported, images: Sequence[tuple[Path, Path]], out: Path, *, overlay: bool, truth: Path | None
) -> list[Job]:
    known = _partners(images, truth) if truth is not None else {}
    in_the_way = [path for path in (out, *out.parents) if path.exists() and not path.is_dir()]
    if in_the_way:
        raise DataError(f"{in_the_way[0]}: is a file; masks are written to a folder, choose another one with -o")
    suffix = trained.mapping.encoding.suffix
    jobs = []
    for image, place in images:
        picture = with_suffix(place, ".png")
        jobs.append(
            Job(
                image,
                out / with_suffix(place, suffix),
                out / OVERLAYS / picture if overlay else None,
                out / TRIPTYCHS / picture if truth is not None else None,
                known.get(image),
            )
        )
    _check_targets([target for job in jobs for target in job.targets], [image for image, _ in images], known.values())
    return jobs


def _check_targets(targets: Sequence[Path], images: Iterable[Path], masks: Iterable[Path]) -> None:
    once: set[Path] = set()
    twice = {target for target in targets if target in once or once.add(target)}  # type: ignore[func-returns-value]
    if twice:
        raise DataError(f"two images would both be written to {min(twice)}; predict them into different folders")
    inputs = {path.resolve() for path in (*images, *masks)}
    overwritten = [target for target in targets if target.resolve() in inputs]
    if overwritten:
        raise DataError(
            f"{overwritten[0]} is one of the images or masks given and would be overwritten; choose another folder with -o"
        )


def _predict(folder: _Folder, job: Job, origins: dict[Path, Origin | None], complete: Sequence[Path]) -> Iterator[Path]:
    trained = folder.trained
    image, missing = trained.read_with_missing(job.image)
    classes = tta.classes(trained, image, flips=folder.flips)
    if missing is not None:
        classes = np.where(missing, np.uint8(IGNORE), classes)

    def write(target: Path, content: bytes) -> Path:
        origin = origins[target]
        assert origin is not None, "the image was read"
        with folder.manifest.writing(target, origin) as part:
            part.write_bytes(content)
        return target

    if job.mask not in complete:
        encoding = trained.mapping.encoding
        yield write(job.mask, mask_bytes(job.mask, trained.mapping.to_raw(classes), encoding))
    if job.overlay is not None and job.overlay not in complete:
        yield write(job.overlay, _picture(trained, image, classes, None))
    if job.triptych is not None and job.triptych not in complete:
        if job.truth is None:
            raise DataError(f"{folder.truths}: has no mask named like {job.image.name}")
        yield write(job.triptych, _picture(trained, image, classes, _truth(trained, job.truth, classes.shape)))


def _picture(
    trained: Trained | Exported,
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
) -> bytes:
    from segengine.figures.encoding import png_of
    from segengine.figures.panels import overlay, to_rgb, triptych

    labels = trained.mapping.labels
    picture = overlay(to_rgb(image), classes, labels) if truth is None else triptych(image, classes, truth, labels)
    return png_of(picture, limit_bytes=_WHOLE)


def _truth(trained: Trained | Exported, mask: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    raw = read_mask(mask)
    if raw.shape[:2] != shape:
        raise DataError(f"{mask}: is {raw.shape[1]}x{raw.shape[0]} and its image {shape[1]}x{shape[0]}")
    return trained.mapping.to_classes(raw, where=str(mask))
