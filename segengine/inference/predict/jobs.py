"""Plans the files to write for each image, and refuses to replace files of the user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segengine.data.files.formats import holds_of, suffix_of, with_suffix
from segengine.data.sources.pairing import pair
from segengine.data.sources.patterns import Match, find
from segengine.engine.checkpoint_hash import sha256_of
from segengine.errors import DataError
from segengine.inference.ensemble import Ensemble
from segengine.inference.predict.manifest import Manifest, Origin
from segengine.inference.predict.outputs import KINDS, MASKS, OVERLAY, TABLES, TIFF, TRIPTYCHS

_MOST_NAMED = 10


@dataclass(frozen=True)
class Job:
    """One image, its path below the output folder, the file of each output, and its true mask.

    `windowed`: the image is read by bands of rows.
    """

    image: Path
    place: Path
    targets: Mapping[str, Path]
    windowed: bool = False
    truth: Path | None = None


@dataclass
class OutputFolder:
    """The output folder: its list of written files, and the origins of files to write.

    `outputs`: names of outputs; `truths`: folder of true masks, if panels are written; `spacing`: millimetres of pixels.
    """

    path: Path
    ensemble: Ensemble
    outputs: Sequence[str]
    truths: Path | None = None
    spacing: Sequence[float] | None = None
    overwrite: bool = False
    manifest: Manifest = field(init=False)
    _identity: str = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = Manifest.read(self.path, overwrite=self.overwrite)
        self._identity = self.ensemble.identity()

    def jobs(self, images: Sequence[tuple[Path, Path]], windowed: Iterable[bool]) -> list[Job]:
        """The files of each image and its path below the output folder.

        Raises:
            DataError: two images with one target, a target that is an image or mask given, or an output folder that is a file.
        """
        in_the_way = [path for path in (self.path, *self.path.parents) if path.exists() and not path.is_dir()]
        if in_the_way:
            raise DataError(f"{in_the_way[0]}: is a file; masks are written to a folder, choose another one with -o")
        known = _partners(images, self.truths) if self.truths is not None else {}
        kinds = [name for name in self.outputs if name in KINDS] + ([TRIPTYCHS] if self.truths is not None else [])
        jobs = [
            Job(image, place, {kind: self._target(kind, place, large) for kind in kinds}, large, known.get(image))
            for (image, place), large in zip(images, windowed, strict=True)
        ]
        _check_targets([target for job in jobs for target in job.targets.values()], images, known.values())
        return jobs

    def table_targets(self) -> dict[str, Path]:
        """The files that describe all images together."""
        return {name: self.path / TABLES[name] for name in self.outputs if name in TABLES}

    def origins(self, job: Job) -> dict[str, Origin | None]:
        """The origin of each of an image's files; None if the image can't be read."""
        windows = [member.window_of(job.image) for member in self.ensemble.members]
        settings = self._plain({**self.ensemble.settings(), "windows": windows})
        try:
            origin = Origin(str(job.image), sha256_of(job.image), self._identity, settings)
            origins: dict[str, Origin | None] = dict.fromkeys(job.targets, origin)
            if TRIPTYCHS in origins and job.truth is not None:
                with_truth = {**settings, "truth_sha256": sha256_of(job.truth)}
                origins[TRIPTYCHS] = Origin(origin.image, origin.image_sha256, origin.model, with_truth)
        except OSError:
            return dict.fromkeys(job.targets)
        return origins

    def origin_of_tables(self, jobs: Sequence[Job]) -> Origin:
        """The origin of the files that describe all images together."""
        digest = hashlib.sha256()
        for job in jobs:
            content = sha256_of(job.image) if job.image.is_file() else ""
            digest.update(f"{job.place.as_posix()}\0{content}\n".encode())
        settings = self._plain({**self.ensemble.settings(), "spacing": self.spacing})
        return Origin("the images", digest.hexdigest(), self._identity, settings)

    def complete(self, job: Job, origins: Mapping[str, Origin | None]) -> list[str]:
        """The outputs of an image that an earlier call wrote."""
        return [kind for kind, target in job.targets.items() if self.manifest.complete(target, origins[kind])]

    def tables_complete(self, origin: Origin) -> bool:
        """Whether all files that describe the images together were written from these images."""
        return all(self.manifest.complete(target, origin) for target in self.table_targets().values())

    def check(self, jobs: Sequence[Job]) -> None:
        """Refuse files that would be replaced; hashes only images with an existing file.

        Raises:
            DataError: names the files and the reasons.
        """
        obstacles: list[tuple[Path, str]] = []
        for job in jobs:
            existing = {k: t for k, t in job.targets.items() if t.exists() or t.is_symlink()}
            origins = self.origins(job) if existing else {}
            obstacles += [(t, why) for k, t in existing.items() if (why := self.manifest.obstacle(t, origins[k]))]
        tables = self.table_targets().values()
        origin = self.origin_of_tables(()) if tables else None
        obstacles += [(t, why) for t in tables if (why := self.manifest.obstacle(t, origin, same_image=False))]
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

    def _target(self, kind: str, place: Path, windowed: bool) -> Path:
        entry = KINDS[kind]
        suffix = entry.suffix or self.ensemble.first.mapping.encoding.suffix
        if holds_of(place) == "volume" and (kind not in (OVERLAY, MASKS) or self.table_targets()):
            raise DataError(f"{place}: is a volume; its outputs are {MASKS} and {OVERLAY}")
        if holds_of(place) == "volume" and kind == MASKS:
            suffix = suffix_of(place)
        if windowed and entry.by_rows and suffix not in (TIFF, ".tiff"):
            suffix = TIFF
        return self.path / entry.folder / with_suffix(place, suffix)

    @staticmethod
    def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as read back from JSON, so that they equal those of the list of files."""
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        return plain


def _partners(images: Sequence[tuple[Path, Path]], folder: Path) -> dict[Path, Path]:
    """Image -> true mask in `folder`, paired by name as in training: equal, or with a common prefix or suffix."""
    masks = find(folder, "**/*", outside=True)
    wanted = [Match(image, with_suffix(place, "").parts, None) for image, place in images]
    known = [Match(mask.path, with_suffix(mask.path.relative_to(folder), "").parts, None) for mask in masks]
    return {image.path: mask.path for image, mask in pair(wanted, known).pairs}


def _check_targets(targets: Sequence[Path], images: Sequence[tuple[Path, Path]], masks: Iterable[Path]) -> None:
    once: set[Path] = set()
    for target in targets:
        if target in once:
            raise DataError(f"two images would both be written to {target}; predict them into different folders")
        once.add(target)
    inputs = {path.resolve() for path in (*(image for image, _ in images), *masks)}
    overwritten = [target for target in targets if target.resolve() in inputs]
    if overwritten:
        raise DataError(
            f"{overwritten[0]} is one of the images or masks given and would be overwritten; choose another folder with -o"
        )


__all__ = ["MASKS", "Job", "OutputFolder"]
