"""Everything that is one patient: frame, organs, tissues, and how they lie in the scanner."""

import math
from dataclasses import dataclass

import numpy as np

from phantom.body import Body, draw_body
from phantom.draws import Draws
from phantom.organs import Organs, draw_organs
from phantom.shapes import Points, Waves, draw_waves
from phantom.surroundings import Surroundings, draw_surroundings
from phantom.tissue import Tissue, draw_tissue

SEED = 20240


@dataclass(frozen=True)
class Patient:
    """A digital patient; lengths in mm."""

    body: Body
    organs: Organs
    surroundings: Surroundings
    tissue: Tissue
    scale: tuple[float, ...]  # in x, y, z
    shift: tuple[float, ...]  # in x, y
    turn: float  # degrees
    bends: tuple[Waves, Waves]  # in x, y: everything moves together, so that organs keep off one another

    def points(self, z: float, size: int, pixel: float) -> Points:
        """Return where in the patient's own axes the pixels of the slice at height `z` mm lie."""
        steps = (np.arange(size, dtype=np.float64) - (size - 1) / 2) * pixel
        x, y = np.meshgrid(steps - self.shift[0], steps - self.shift[1])
        cosine, sine = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        x, y = cosine * x + sine * y, cosine * y - sine * x
        straight = Points(x / self.scale[0], y / self.scale[1], np.full_like(x, z / self.scale[2]))
        return Points(straight.x + self.bends[0].at(straight), straight.y + self.bends[1].at(straight), straight.z)


def draw_patient(number: int) -> Patient:
    """Draw patient `number`; each part has its own stream, so that a change of one leaves the others."""
    surroundings = draw_surroundings(Draws(SEED, number, "surroundings"))
    cava = surroundings.cava.nodes[2]
    place = Draws(SEED, number, "place")
    return Patient(
        body=draw_body(Draws(SEED, number, "body")),
        organs=draw_organs(Draws(SEED, number, "organs"), (cava[0], cava[1])),
        surroundings=surroundings,
        tissue=draw_tissue(Draws(SEED, number, "tissue")),
        scale=place.around((0.97, 0.98, 1.0), (0.08, 0.07, 0.1)),
        shift=place.around((0.0, 2.0), (7.0, 6.0)),
        turn=place.between(-4, 4),
        bends=(draw_waves(place, 8, 130, 280), draw_waves(place, 8, 130, 280)),
    )
