"""Labelled images of a folder in any layout that `init` understands, or of an experiment file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segengine.errors import DataError
from segengine.events import Listener
from segengine.inference.evaluate_data import LabelledImages
from segengine.inspection.inspect import Inspection, inspect_source
from segengine.inspection.layouts.spec import experiment_text
from segengine.inspection.layouts.understand import understand
from segengine.specs.load import load_experiment, read_experiment
from segengine.specs.sections import DataSection


def labelled_images(place: Path, listener: Listener) -> LabelledImages:
    """Images with masks and the meaning of the masks' values.

    Raises:
        DataError: no image has a mask, a file is broken, or the layout isn't understood (the message says how to answer).
        SpecError: invalid experiment file.
    """
    if place.suffix in (".yaml", ".yml"):
        data = next(iter(load_experiment(place).variants.values())).data
        return _labelled(place, data, inspect_source(data.source, place, listener), ())
    if not place.is_dir():
        raise DataError(f"{place}: is no folder of labelled images; give a folder, or an experiment file")
    finding = understand(place, listener)
    text = experiment_text(finding, Path(f"{place.resolve().name or 'data'}.yaml"))
    file = Path.cwd() / f"{place.resolve().name or 'data'}.yaml"
    data = next(iter(read_experiment(file, text).variants.values())).data
    return _labelled(place, data, finding.inspection, finding.evidence[:1])


def _labelled(place: Path, data: DataSection, found: Inspection, notes: tuple[str, ...]) -> LabelledImages:
    if found.problem:
        raise DataError(f"{place}: {found.problem}")
    sizes = np.array([(image.height, image.width) for image in found.images], np.int64)
    mapper = data.mask_mapper.build(classes=data.classes, found=found.survey)
    return LabelledImages(place, found.records, sizes, mapper, notes)
