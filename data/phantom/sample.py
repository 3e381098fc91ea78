"""Which patients and slices the sample holds, and how one slice is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from phantom.draws import Draws
from phantom.painting import paint_slice
from phantom.patient import SEED, Patient, draw_patient
from phantom.scanner import Scanner, draw_scanner
from phantom.shapes import Points

SIZE = 256  # pixels
PIXEL = 1.3  # mm
LOWEST, HIGHEST = -46.0, 50.0  # mm: from the kidneys' middle to above their upper poles
SPLITS = {"train": (14, 4), "validation": (4, 3), "test": (6, 4)}  # patients, slices of each


@dataclass(frozen=True)
class Slice:
    """One slice of the sample."""

    split: str
    patient: int
    number: int  # from 1, from the feet to the head
    of: int

    @property
    def name(self) -> str:
        """The file's name."""
        return f"p{self.patient:02d}_s{self.number:02d}.png"

    @property
    def z(self) -> float:
        """The height in mm: evenly spread, shifted from patient to patient."""
        spacing = (HIGHEST - LOWEST) / self.of
        start = Draws(SEED, self.patient, "heights").between(0.25, 0.75)
        return LOWEST + (self.number - 1 + start) * spacing

    def paths(self) -> tuple[PurePosixPath, PurePosixPath]:
        """The files of image and mask, relative to the sample's folder."""
        folder = PurePosixPath(self.split)
        return folder / "images" / self.name, folder / "masks" / self.name


def slices() -> Iterator[Slice]:
    """Yield all slices of the sample; patients are numbered through, so that none is in two splits."""
    patient = 0
    for split, (patients, count) in SPLITS.items():
        for _ in range(patients):
            patient += 1
            yield from (Slice(split, patient, number, count) for number in range(1, count + 1))


@lru_cache(maxsize=4)
def _drawn(patient: int) -> tuple[Patient, Scanner]:
    return draw_patient(patient), draw_scanner(Draws(SEED, patient, "scanner"))


def render(one: Slice) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture and mask of a slice, uint8 [256, 256] each."""
    patient, scanner = _drawn(one.patient)
    signal, mask = paint_slice(patient, one.z, SIZE, PIXEL)
    steps = (np.arange(SIZE, dtype=np.float64) - (SIZE - 1) / 2) * PIXEL
    x, y = np.meshgrid(steps, steps)
    image = scanner.scan(signal, Points(x, y, np.full_like(x, one.z)), Draws(SEED, one.patient, one.number, "noise"))
    return image, mask
