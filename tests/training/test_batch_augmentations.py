"""Where batch augmentations stand in an experiment, and that without them the stream is the plain one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segengine.building.build import build_mixing, build_pipeline
from segengine.components.augmentations import CopyPaste, Crop, CutMix, Flip
from segengine.components.base import Augmentation
from segengine.data.augment.mixing import CopyPaste as PastedClasses
from segengine.data.augment.mixing import CutMix as PastedRectangle
from segengine.data.augment.transforms import BatchTransform, GeometricTransform
from segengine.errors import DataError, SpecError

DATASET: Any = SimpleNamespace(
    sizes=np.array([[20, 30], [24, 30]]),
    splits={"train": (0, 1)},
    records=[SimpleNamespace(id="a"), SimpleNamespace(id="b")],
)


def experiment(*augmentations: Augmentation) -> Any:
    return SimpleNamespace(augmentations=list(augmentations), training=SimpleNamespace(batch_size=4))


def test_augmentations_of_samples_and_of_batches_go_their_own_ways_in_order() -> None:
    given = experiment(Flip(), Crop(size=16), CutMix(probability=0.3), CopyPaste(classes=(2, 3)))
    pipeline, mixing = build_pipeline(given, DATASET), build_mixing(given, DATASET, 4, processes=1)
    assert pipeline.size == (16, 16)
    assert len(pipeline.transforms) == 2
    assert list(mixing) == [PastedRectangle(0.3, 1.0, (16, 16)), PastedClasses(0.5, 0.5, (2, 3), (16, 16))]
    assert all(isinstance(t, BatchTransform) and not isinstance(t, GeometricTransform) for t in mixing)


def test_without_batch_augmentations_nothing_is_mixed() -> None:
    assert list(build_mixing(experiment(Flip(), Crop(size=16)), DATASET, 4, processes=1)) == []


def test_a_sample_augmentation_behind_one_of_batches_is_refused() -> None:
    given = experiment(Crop(size=16), CutMix(), Flip())
    with pytest.raises(SpecError, match="flip follows cutmix, which mixes whole batches; move cutmix after it"):
        build_mixing(given, DATASET, 4, processes=1)


def test_a_process_with_a_single_image_a_batch_has_nothing_to_mix() -> None:
    given = experiment(Crop(size=16), CopyPaste())
    assert len(build_mixing(given, DATASET, 2, processes=1)) == 1
    with pytest.raises(
        SpecError, match=r"copy-paste mixes .* training.batch_size 2 leaves one image per process; set it to 4"
    ):
        build_mixing(given, DATASET, 2, processes=2)


def test_images_of_different_sizes_still_need_a_crop() -> None:
    with pytest.raises(DataError, match="training images have different sizes"):
        build_pipeline(experiment(Flip(), CutMix()), DATASET)
