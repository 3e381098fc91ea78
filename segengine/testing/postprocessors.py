"""What a post-processing step promises: a class map of the same size, known classes, ignored pixels untouched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.data.masks.mapping import IGNORE
from segengine.testing.subject import Check, Subject

_CLASSES = ("background", "disc", "square", "absent")


def gives_classes(subject: Subject) -> Iterator[str]:
    """A step gives uint8 [H, W] of the same size with known classes, and does not change its input."""
    step, classes = _built(subject), _example()
    if not callable(step):
        yield f"build() gives {type(step).__name__}, which can't be called; give a function of a class map uint8 [H, W]"
        return
    before = classes.copy()
    found = step(classes)
    if not isinstance(found, np.ndarray) or found.shape != classes.shape or found.dtype != np.uint8:
        given = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        yield f"gives {given}; give uint8 {list(classes.shape)}, as it gets"
        return
    if not np.array_equal(before, classes):
        yield "changes the class map that it gets; copy it"
    if unknown := sorted(set(np.unique(found).tolist()) - {*range(len(_CLASSES)), IGNORE}):
        yield f"gives the value {unknown[0]}, which is no class; give 0 to {len(_CLASSES) - 1}, or {IGNORE} where it is ignored"
    if not np.array_equal(found, _built(subject)(before)):
        yield "gives another result for the same class map; let it depend on nothing else"


def ignored_pixels_stay(subject: Subject) -> Iterator[str]:
    """Ignored pixels stay ignored, and no others become so."""
    classes = _example()
    if not np.array_equal(_built(subject)(classes) == IGNORE, classes == IGNORE):
        yield f"changes which pixels are ignored ({IGNORE}); leave these as they are"


def takes_every_map(subject: Subject) -> Iterator[str]:
    """One pixel, one class, all ignored, and any size are class maps too."""
    step = _built(subject)
    for what, classes in {
        "a single pixel": np.ones((1, 1), np.uint8),
        "a single class": np.full((7, 5), 2, np.uint8),
        "only ignored pixels": np.full((6, 9), IGNORE, np.uint8),
        "a single row": np.array([[0, 1, 1, 0, 2, 0, 1]], np.uint8),
    }.items():
        try:
            found = step(classes)
        except Exception as error:  # a plugin's code may raise anything
            yield f"fails on a class map of {what} ({type(error).__name__}: {error}); let it return the map unchanged"
            continue
        if found.shape != classes.shape:
            yield f"gives another size for a class map of {what}"


def _built(subject: Subject) -> Any:
    return subject.component.build(classes=_CLASSES, spacing=(0.5, 2.0))


def _example() -> NDArray[np.uint8]:
    """Class map uint8 [48, 56]: a disc with a hole, a square, islands, and ignored pixels."""
    rows, columns = np.mgrid[:48, :56]
    classes = ((rows - 20) ** 2 + (columns - 18) ** 2 < 144).astype(np.uint8)
    classes[18:22, 16:20] = 0
    classes[26:44, 34:52] = 2
    classes[4:6, 40:43] = 1
    classes[40, 5] = 2
    classes[:, 53:] = IGNORE
    return np.asarray(classes)


CHECKS: tuple[Check, ...] = (gives_classes, ignored_pixels_stay, takes_every_map)
