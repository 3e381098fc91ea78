"""The decoded data set of an experiment's data section."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from segengine.building.guarded import blamed, records_of
from segengine.events import Doing, Listener

if TYPE_CHECKING:
    from segengine.data.batches.dataset import Dataset
    from segengine.data.masks.mapping import Mapper, MaskSurvey
    from segengine.data.sources.fingerprint import ImageState
    from segengine.data.sources.records import Record
    from segengine.data.sources.splits import SplitPlan
    from segengine.specs.experiment import Experiment
    from segengine.specs.sections import DataSection, EvaluationSection, SplitSection

TRAIN, VALIDATION, TEST = 0.7, 0.15, 0.15


class HasData(Protocol):
    """An experiment, or the saved sections of one."""

    @property
    def data(self) -> DataSection:
        """Images, masks and the meaning of mask values."""

    @property
    def evaluation(self) -> EvaluationSection:
        """Classes, metrics and units of the scores."""


def load_dataset(experiment: HasData, fold: int | None, listener: Listener) -> Dataset:
    """Find, split, survey, map and decode the images of an experiment.

    Raises:
        DataError: invalid files; names them.
    """
    from segengine.building.measuring import check_spacings
    from segengine.data.batches.dataset import prepare

    data = experiment.data
    records = records_of(data.source)
    dataset = prepare(
        records,
        build_mapper=partial(_mapper, data),
        split=split_plan(data.split, records),
        group=data.split.group,
        fold=fold,
        channels=data.channels,
        window=data.window,
        cache=data.cache,
        processes=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        progress=lambda what, done, total: listener(Doing(what, done, total)),
    )
    check_spacings(experiment.evaluation, dataset.records, dataset.spacings)
    return dataset


def _mapper(data: DataSection, found: MaskSurvey) -> Mapper:
    with blamed(data.mask_mapper):
        return data.mask_mapper.build(classes=data.classes, found=found)


def data_states(experiment: Experiment, fold: int | None) -> dict[str, ImageState]:
    """Split and digests of each image of the experiment, by id, without decoding.

    Raises:
        DataError: invalid files; names them.
    """
    from segengine.data.batches.dataset import usable_records
    from segengine.data.batches.survey_file import survey_file
    from segengine.data.sources.fingerprint import image_states
    from segengine.data.sources.records import data_folder

    data = experiment.data
    records = records_of(data.source)
    usable = usable_records(records, split_plan(data.split, records), group=data.split.group, fold=fold)
    with survey_file(data_folder(records)) as known:
        images = known.digests([record.image for record in usable])
        masks = known.digests([record.mask for record in usable if record.mask is not None])
    return image_states(usable, list(zip(images, masks, strict=True)))


def split_plan(section: SplitSection, records: Sequence[Record]) -> SplitPlan | None:
    """The split requested by a spec; None if the folders define it and the spec doesn't override it.

    Default fractions are 0.7, 0.15 and 0.15; if some are given, the others share the remainder.
    """
    from segengine.data.sources.splits import Folds, Fractions

    if section.folds is not None:
        validation = TEST if section.validation is None else section.validation
        return Folds(section.folds, validation, by=section.by, group=section.group, seed=section.seed)
    given = {"train": section.train, "validation": section.validation, "test": section.test}
    known = {name: share for name, share in given.items() if share is not None}
    if not known:
        if any(record.split is not None for record in records):
            return None
        known = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    usual = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    missing = [name for name in usual if name not in known]
    rest, weight = max(0.0, 1 - sum(known.values())), sum(usual[name] for name in missing)
    shares = known | {name: rest * usual[name] / weight for name in missing}
    if not missing and sum(known.values()) < 1:
        shares["train"] += rest
    return Fractions(**shares, by=section.by, group=section.group, seed=section.seed)
