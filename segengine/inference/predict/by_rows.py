"""Prediction of TIFF files of any size: read by bands of rows, written row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segengine.engine.prediction import LARGEST_PIXELS
from segengine.engine.sliding import Tiling
from segengine.errors import DataError
from segengine.inference.ensemble import Band, Ensemble, Wanted
from segengine.inference.predict.georeference import georeference_of
from segengine.inference.predict.jobs import Job, OutputFolder
from segengine.inference.predict.manifest import Origin
from segengine.inference.predict.outputs import KINDS, TIFF, Result, rows_of, rows_writer, write_file
from segengine.inference.predict.tiff_rows import TiffRows
from segengine.inference.sources import Source

_SUFFIXES = (TIFF, ".tiff")


def is_large(path: Path, ensemble: Ensemble) -> bool:
    """Whether an image is a TIFF file with more pixels than one pass takes, which is read by bands of rows."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            size = int(page.imagelength), int(page.imagewidth)
    except Exception:  # a file that can't be read is reported when its pixels are
        return False
    tile = ensemble.tiling.tile if ensemble.tiling is not None else 0
    return size[0] * size[1] > LARGEST_PIXELS and max(size) > tile


@dataclass(frozen=True)
class LargeImage:
    """An image that is predicted by bands of rows; `wanted`: what its outputs need."""

    folder: OutputFolder
    job: Job
    source: Source
    origins: Mapping[str, Origin | None]
    wanted: Wanted

    def predict(self, todo: Sequence[str], written: list[Path]) -> Result:
        """Predict the image and write outputs; `written` receives the files.

        Outputs that need the whole class map (outlines, areas, annotations) hold it in memory: one byte per pixel.

        Raises:
            DataError: an output that isn't written by rows; the others are written.
        """
        job, ensemble = self.job, self.folder.ensemble
        rows = [kind for kind in todo if KINDS[kind].by_rows]
        whole = [kind for kind in todo if not KINDS[kind].by_rows]
        keep = bool(self.folder.table_targets()) or "geojson" in whole
        bands = ensemble.retrying(self.source, lambda tiling: self._attempt(rows, tiling, keep=keep))
        written += [job.targets[kind] for kind in rows]
        classes = np.concatenate([band.classes for band in bands]) if keep else np.zeros((0, 0), np.uint8)
        result = Result(job.image, self.source, Band(classes), ensemble, georeference_of(job.image), job.truth)
        for kind in whole:
            if kind != "geojson":
                raise DataError(
                    f"{job.image}: is read by bands of rows, and {kind} isn't written for such large images"
                )
            with self._writing(kind) as part:
                write_file(kind, job.targets[kind], part, result)
            written.append(job.targets[kind])
        return result

    def _attempt(self, kinds: Sequence[str], tiling: Tiling, *, keep: bool) -> list[Band]:
        """One attempt at writing the outputs; files get their names only if all rows were written."""
        ensemble = self.folder.ensemble
        size, reference = (self.source.height, self.source.width), georeference_of(self.job.image)
        kept: list[Band] = []
        with ExitStack() as stack:
            writers: dict[str, TiffRows] = {}
            try:
                for kind in kinds:
                    part = stack.enter_context(self._writing(kind))
                    writers[kind] = rows_writer(kind, part, size, ensemble, reference)
                for band in ensemble.bands(self.source, self.wanted, tiling):
                    for kind, writer in writers.items():
                        writer.put(rows_of(kind, band, ensemble))
                    if keep:
                        kept.append(Band(band.classes))
            except BaseException:
                for writer in writers.values():
                    writer.close(complete=False)
                raise
            for writer in writers.values():
                writer.close()
        return kept

    def _writing(self, kind: str) -> AbstractContextManager[Path]:
        origin = self.origins[kind]
        assert origin is not None, "the image was read"
        return self.folder.manifest.writing(self.job.targets[kind], origin)
