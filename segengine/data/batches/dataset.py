"""The data set of an experiment: records, splits, sizes, mapping and decoded pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segengine.data.batches.available import available_bytes
from segengine.data.batches.cache import CacheKind, Decoder, Pair, cached
from segengine.data.batches.survey_file import SurveyFile, survey_file
from segengine.data.files.images import ImageFacts, WindowSetting, reading_of
from segengine.data.files.parallel import Progress
from segengine.data.files.windows import Windowing
from segengine.data.masks.facts import mask_notes
from segengine.data.masks.mapping import IGNORE, Label, Mapper, MaskSurvey
from segengine.data.masks.sizes import OtherSize, other_sizes, sizes_in_words
from segengine.data.masks.survey import common_encoding, summary
from segengine.data.sources.fingerprint import ImageState, fingerprint, image_states, shared_images
from segengine.data.sources.records import SPLITS, Record, data_folder, listed
from segengine.data.sources.splits import Folds, SplitPlan, indices, split_records
from segengine.errors import DataError, counted


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of an experiment.

    `records` are sorted by id; `splits` maps train, validation and test to sorted indices into them; `sizes` is
    int64 [N, 2] (height, width); `class_pixels` int64 [N, K], without ignored pixels; `window` maps 16-bit and float images
    to 0..255; `warnings` are messages for the user; `pairs` decodes pair i; `digests` are the SHA-256 of each
    record's image file and mask file; `spacings` the (row, column) distances of pixels that each image file declares.
    """

    records: tuple[Record, ...]
    splits: Mapping[str, tuple[int, ...]]
    mapper: Mapper
    channels: int
    window: Windowing
    sizes: NDArray[np.int64]
    class_pixels: NDArray[np.int64]
    fingerprint: str
    warnings: tuple[str, ...]
    pairs: Callable[[int], Pair]
    digests: tuple[tuple[str, str], ...] = ()
    spacings: tuple[tuple[float, float] | None, ...] = ()

    def pair(self, index: int) -> Pair:
        """Image uint8 [H, W, C] and classes uint8 [H, W] (255 = ignore) of record `index`; must not be modified."""
        return self.pairs(index)

    def states(self) -> dict[str, ImageState]:
        """Split and digests of each image by id."""
        return image_states(self.records, self.digests)

    def groups(self, split: str) -> dict[int, str]:
        """The group (patient, video) of each image of a split, by index; the image's own id if there are no groups."""
        return {index: self.records[index].group for index in self.splits[split]}

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in order of their index."""
        return self.mapper.labels


def prepare(
    records: Sequence[Record],
    *,
    build_mapper: Callable[[MaskSurvey], Mapper],
    split: SplitPlan | None = None,
    group: str | None = None,
    fold: int | None = None,
    channels: int | Literal["auto"] = "auto",
    window: WindowSetting = "auto",
    cache: CacheKind = "auto",
    cache_folder: Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Read and check all masks and images once, and determine mapping, splits, channels and windows.

    Args:
        records: the source's records; those without a mask are skipped with a warning.
        build_mapper: builds the mapper from the survey of the masks.
        split: how to split; None for the splits given by folders.
        group: pattern for a record's group in its file name (by default the split's).
        fold: the test fold, with folds.
        channels: of the decoded images; "auto" takes the files'.
        window: stored values (low, high) mapped to 0..255, or one such pair per channel; see `common_window`.
        cache: kind of cache for decoded pairs.
        cache_folder: folder of the cache on disk.
        processes: number of processes on this machine with this data set.
        progress: called with (what, done, total).

    Raises:
        DataError: invalid data; names the file.
        SpecError: contradictory settings.
    """
    notes = [*getattr(records, "notes", ())]
    usable = usable_records(records, split, group=group, fold=fold, notes=notes)
    splits = _filled_splits(usable, without_validation=isinstance(split, Folds) and not split.validation)
    folder = data_folder(records)
    held = 0 if cache == "none" else available_bytes() // (2 * processes)
    with survey_file(folder, cache_folder, processes=processes, held_bytes=held) as known:
        survey = known_survey(known, [r.mask for r in usable if r.mask is not None], folder, progress)
        facts = known.images([r.image for r in usable], progress)
        sizes = _checked_sizes(usable, facts, survey)
        channels, windowing, how = reading_of(
            usable, facts, splits["train"], channels=channels, window=window, read=known.held.read,
            remembered=partial(known.windows, (usable, facts, channels, window)), progress=progress,
        )  # fmt: skip
        class_pixels, mapped = count_classes(mapper := build_mapper(survey), survey)
        pairs, cache_note = cached(
            Decoder(usable, mapper, channels, windowing), sizes, mapped, kind=cache, folder=cache_folder,
            processes=processes, read=known.held.take, progress=progress,
        )  # fmt: skip
    digests = tuple((fact.digest, mask.digest) for fact, mask in zip(facts, survey.masks, strict=True))
    shared = shared_images(usable, [None if fact.flat else fact.digest for fact in facts])
    _recount(class_pixels, facts, pairs)
    notes += [*how, *mask_notes(survey.masks), *getattr(mapper, "notes", ()), shared, cache_note]
    notes += _about_classes(mapper, class_pixels, splits)
    return Dataset(
        usable, splits, mapper, channels, windowing, sizes, class_pixels, fingerprint(image_states(usable, digests)),
        tuple(filter(None, notes)), pairs, digests, tuple(fact.spacing for fact in facts),
    )  # fmt: skip


def known_survey(known: SurveyFile, masks: Sequence[Path], folder: Path, progress: Progress | None) -> MaskSurvey:
    """The survey of all masks; decodes only masks that are not in the survey file."""
    facts = known.masks(masks, progress)
    encoding = common_encoding(facts)
    return summary(facts, encoding, known.shapes(facts), folder)


def usable_records(
    records: Sequence[Record],
    split: SplitPlan | None,
    *,
    group: str | None = None,
    fold: int | None = None,
    notes: list[str] | None = None,
) -> tuple[Record, ...]:
    """The records with a mask, with splits and groups; skipped records are added to `notes`.

    Raises:
        DataError: no record has a mask, or groups can't fill the splits.
        SpecError: settings that contradict each other.
    """
    return split_records(_with_masks(records, [] if notes is None else notes), split, group=group, fold=fold)


def _filled_splits(records: Sequence[Record], *, without_validation: bool) -> Mapping[str, tuple[int, ...]]:
    splits = indices(records)
    for name in ("train",) if without_validation else ("train", "validation"):
        if not splits[name]:
            raise DataError(
                f"there are no {name} images; add a folder for them, or write data.split with a fraction for {name}"
            )
    return splits


def count_classes(mapper: Mapper, survey: MaskSurvey) -> tuple[NDArray[np.int64], list[bytes]]:
    """Pixels of each class in each mask, int64 [N, K], and the mapping of each mask's values, as bytes.

    Raises:
        DataError: a value unknown to the mapper; names the mask.
    """
    counts = np.zeros((len(survey.masks), len(mapper.labels)), np.int64)
    mapped: list[bytes] = []
    for row, facts in zip(counts, survey.masks, strict=True):
        classes = _mapped(mapper, facts.values, facts.pixels, str(facts.path))
        valid = classes != IGNORE
        np.add.at(row, classes[valid], facts.pixels[valid])
        mapped.append(facts.values.tobytes() + classes.tobytes())
    return counts, mapped


def _recount(class_pixels: NDArray[np.int64], facts: Sequence[ImageFacts], pairs: Callable[[int], Pair]) -> None:
    """Count the classes of images with pixels without a measurement again, in place: those pixels are ignored."""
    for index in (i for i, fact in enumerate(facts) if fact.missing):
        classes = pairs(index)[1]
        class_pixels[index] = np.bincount(classes.ravel(), minlength=IGNORE + 1)[: class_pixels.shape[1]]


def _mapped(mapper: Mapper, values: NDArray[np.generic], pixels: NDArray[np.int64], where: str) -> NDArray[np.uint8]:
    """Classes of a mask's distinct values; on an error the mapper is called again with true pixel counts."""
    try:
        classes: NDArray[np.uint8] = mapper.to_classes(values, where=where)[0]
        return classes
    except DataError:
        mapper.to_classes(np.repeat(values, pixels, axis=1), where=where)
        raise


def _with_masks(records: Sequence[Record], notes: list[str]) -> list[Record]:
    without = sorted(r.id for r in records if r.mask is None)
    if without:
        notes.append(f"skipped, no mask: {counted(len(without), 'image')} ({listed(without)})")
    if len(without) == len(records):
        raise DataError("no image has a mask; check data.source")
    return [r for r in records if r.mask is not None]


def masks_of_other_size(records: Sequence[Record], facts: Sequence[ImageFacts], survey: MaskSurvey) -> list[OtherSize]:
    """Masks whose size differs from their image's."""
    return other_sizes(
        (record.image, (fact.height, fact.width), mask.path, (mask.height, mask.width))
        for record, fact, mask in zip(records, facts, survey.masks, strict=True)
    )


def _checked_sizes(records: Sequence[Record], facts: Sequence[ImageFacts], survey: MaskSurvey) -> NDArray[np.int64]:
    others = masks_of_other_size(records, facts, survey)
    if others:
        raise DataError(sizes_in_words(others, len(records)))
    return np.array([(fact.height, fact.width) for fact in facts], np.int64).reshape(-1, 2)


def _about_classes(mapper: Mapper, class_pixels: NDArray[np.int64], splits: Mapping[str, tuple[int, ...]]) -> list[str]:
    notes = []
    for split in SPLITS:
        if not splits[split]:
            continue
        pixels = class_pixels[list(splits[split])].sum(axis=0)
        if not pixels.any():
            raise DataError(f"all {split} pixels are ignored; correct `ignore` of data.mask_mapper")
        absent = [label.name for label in mapper.labels if not pixels[label.index]]
        if absent:
            notes.append(
                f"{counted(len(absent), 'class', 'classes')} not found in any {split} mask: {listed(absent, 30)}"
            )
    return notes
