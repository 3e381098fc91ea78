"""Predicting image files: decoding, network and writing overlap; existing files of the user are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from segengine.data.files.formats import holds_of
from segengine.errors import DataError, SegengineError, unexpected
from segengine.inference.ensemble import Band, Ensemble
from segengine.inference.predict.by_rows import LargeImage, is_large
from segengine.inference.predict.georeference import georeference_of
from segengine.inference.predict.jobs import Job, OutputFolder
from segengine.inference.predict.manifest import Origin
from segengine.inference.predict.outputs import MASKS, TRIPTYCHS, Result, wanted_of, write_file
from segengine.inference.predict.tables import Tables
from segengine.inference.predict.volumes import VolumeSource, read_volume_source
from segengine.inference.sources import Source, open_windowed, read_source

_T = TypeVar("_T")
_READ_AHEAD = 2
_WRITTEN_BEHIND = 2


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
class _Read:
    """An image that was read, or the reason it was not: complete, or a problem."""

    job: Job
    source: Source | None = None
    origins: Mapping[str, Origin | None] | None = None
    complete: Sequence[str] = ()
    problem: str = ""


def predict_files(
    ensemble: Ensemble,
    images: Sequence[tuple[Path, Path]],
    out: Path,
    *,
    outputs: Sequence[str] = (MASKS,),
    truth: Path | None = None,
    spacing: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Iterator[Predicted]:
    """Predict each image and write its outputs below `out` under the image's name; unreadable images are skipped with a reason.

    With a folder `truth` of masks named like the images, image | prediction | truth is written under out/triptychs. An input
    is never overwritten. Files that this function wrote for the same image, models and settings are complete; other existing
    files are replaced only with `overwrite`. While an image is in the network, the next two are decoded and the two before
    written.

    Raises:
        DataError: a file would be replaced; names it, before any image is predicted.
    """
    ensemble = ensemble.for_images([image for image, _ in images])
    folder = OutputFolder(out, ensemble, outputs, truth, spacing, overwrite)
    jobs = folder.jobs(images, [is_large(image, ensemble) for image, _ in images])
    folder.check(jobs)
    yield from _Pipeline(folder).run(jobs)


class _Pipeline:
    """Reads, predicts and writes images in order; the results are in the order of the images."""

    def __init__(self, folder: OutputFolder) -> None:
        self.folder, self.ensemble = folder, folder.ensemble
        self.wanted = wanted_of(folder.outputs)
        self.tables = Tables(self.ensemble.first.mapping.labels, folder.outputs, folder.spacing)
        self.redo = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Predicted]:
        tables = self.folder.table_targets()
        origin = self.folder.origin_of_tables(jobs) if tables else None
        self.redo = origin is not None and not self.folder.tables_complete(origin)
        with ThreadPoolExecutor(1, "read") as readers, ThreadPoolExecutor(1, "write") as writers:
            reads: deque[Future[_Read]] = deque()
            results: deque[Future[Predicted]] = deque()
            waiting = deque(jobs)
            try:
                while waiting or reads:
                    while waiting and len(reads) <= _READ_AHEAD:
                        reads.append(readers.submit(self._read, waiting.popleft()))
                    results.append(self._predicted(reads.popleft().result(), writers))
                    while results and (len(results) > _WRITTEN_BEHIND or results[0].done()):
                        yield results.popleft().result()
                while results:
                    yield results.popleft().result()
            finally:
                for read in reads:
                    read.cancel()
        if self.redo and origin is not None:
            for name, target in tables.items():
                with self.folder.manifest.writing(target, origin, same_image=False) as part:
                    part.write_bytes(self.tables.content(name).encode())

    def _read(self, job: Job) -> _Read:
        """Runs in the thread that reads."""
        origins = self.folder.origins(job)
        complete = self.folder.complete(job, origins)
        if len(complete) == len(job.targets) and not self.redo:
            return _Read(job, None, origins, complete)
        read: Callable[..., Source] = open_windowed if job.windowed else read_source
        if holds_of(job.image) == "volume":
            read = read_volume_source
        found, problem = _guarded(job, lambda: read(job.image, self.ensemble.members))
        return _Read(job, found, origins, complete, problem)

    def _predicted(self, read: _Read, writers: ThreadPoolExecutor) -> Future[Predicted]:
        job, source, origins = read.job, read.source, read.origins
        complete = tuple(job.targets[kind] for kind in read.complete)
        if source is None or origins is None:
            return _done(Predicted(job.image, (), complete, read.problem))
        before = self.ensemble.active_limits()
        try:
            if job.windowed:
                todo = [kind for kind in job.targets if kind not in read.complete]
                done, result = self._by_rows(job, source, origins, todo)
                done = replace(done, complete=complete, limited=self._limited(before))
                return writers.submit(self._added, job, result, done)
            band, problem = _guarded(job, lambda: self._whole(source))
        finally:
            source.close()
        done = Predicted(job.image, (), complete, problem, self._limited(before))
        return _done(done) if band is None else writers.submit(self._write, read, band, done)

    def _whole(self, source: Source) -> Band:
        """The outputs of an image in memory, or of the slice of a volume that pictures show."""
        if isinstance(source, VolumeSource):
            return source.predict(self.ensemble, self.wanted)
        return self.ensemble.predict(source, self.wanted)

    def _limited(self, before: str) -> str:
        now = self.ensemble.active_limits()
        return now if now != before else ""

    def _by_rows(
        self, job: Job, source: Source, origins: Mapping[str, Origin | None], todo: Sequence[str]
    ) -> tuple[Predicted, Result | None]:
        written: list[Path] = []
        image = LargeImage(self.folder, job, source, origins, self.wanted)
        result, problem = _guarded(job, lambda: image.predict(todo, written))
        return Predicted(job.image, tuple(written), (), problem), result

    def _added(self, job: Job, result: Result | None, done: Predicted) -> Predicted:
        """Adds to the tables in the thread that writes, and so in the order of the images."""
        if result is not None and self.redo:
            self.tables.add(job.place, result)
        return done

    def _write(self, read: _Read, band: Band, done: Predicted) -> Predicted:
        """Runs in the thread that writes."""
        job = read.job
        assert read.source is not None
        assert read.origins is not None
        result = Result(job.image, read.source, band, self.ensemble, georeference_of(job.image), job.truth)
        written: list[Path] = []

        def write() -> bool:
            for kind, target in job.targets.items():
                if kind in read.complete:
                    continue
                if kind == TRIPTYCHS and job.truth is None:
                    raise DataError(f"{self.folder.truths}: has no mask named like {job.image.name}")
                origin = (read.origins or {})[kind]
                assert origin is not None, "the image was read"
                with self.folder.manifest.writing(target, origin) as part:
                    write_file(kind, target, part, result)
                written.append(target)
            if self.redo:
                self.tables.add(job.place, result)
            return True

        _, problem = _guarded(job, write)
        return replace(done, written=tuple(written), problem=problem)


def _guarded(job: Job, work: Callable[[], _T]) -> tuple[_T | None, str]:
    """The result, or the reason for a failure: one file must not affect the others."""
    try:
        return work(), ""
    except SegengineError as error:
        return None, str(error)
    except OSError as error:
        target = next(iter(job.targets.values()), job.image)
        return None, f"{target}: can't be written ({error.strerror})"
    except Exception as error:
        return None, f"{job.image}: can't be predicted ({unexpected(error)})"


def _done(result: Predicted) -> Future[Predicted]:
    future: Future[Predicted] = Future()
    future.set_result(result)
    return future
