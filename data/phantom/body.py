"""The frame of the phantom: outline, fat, muscle wall with ribs, spine and back muscles."""

import math
from dataclasses import dataclass

import numpy as np

from phantom.draws import Draws, Floats
from phantom.shapes import Ellipsoid, Points, Waves, draw_waves


@dataclass(frozen=True)
class Body:
    """Shapes of the trunk; thicknesses in mm."""

    outline: Ellipsoid
    fat: float
    fat_waves: Waves
    wall: float
    rib_phase: float
    texture: Waves  # of fat and muscle, -1..1
    vertebra: Ellipsoid
    canal: Ellipsoid
    cord: Ellipsoid
    arch: Ellipsoid
    back_muscles: tuple[Ellipsoid, ...]
    psoas: tuple[Ellipsoid, ...]

    def fat_depth(self, points: Points) -> Floats:
        """Return the depth below the inner border of the subcutaneous fat, which is thicker at the back."""
        back = 0.25 * self.fat * np.tanh(points.y / 60)
        return self.outline.depth(points) - self.fat - back + self.fat_waves.at(points)

    def ribs(self, points: Points) -> Floats:
        """Return how surely a point of the wall is rib, positive inside: slanting bars, none at front and back."""
        angle = np.arctan2(points.y - 10, points.x)
        bars = np.sin(9 * angle + 0.13 * points.z + self.rib_phase + 0.8 * np.sin(2 * angle + self.rib_phase)) - 0.4
        return np.minimum(6 * bars, np.minimum(60 - points.y, np.abs(points.x) - 50))

    def cavity_depth(self, points: Points) -> Floats:
        """Return the depth below the inner border of the wall, back muscles and spine left out."""
        depth = self.fat_depth(points) - self.wall
        for shape in (*self.back_muscles, self.vertebra, self.arch):
            depth = np.minimum(depth, -shape.depth(points))
        return depth


def draw_body(draws: Draws) -> Body:
    """Draw one patient's frame."""
    inf = math.inf
    fat = draws.between(8, 20)
    half_width, half_height = 124 + fat + draws.between(-4, 5), 91 + fat + draws.between(-4, 5)
    spine_y = draws.between(38, 44)
    side = draws.between(29, 34)
    muscle = draws.between(17, 22)
    return Body(
        outline=Ellipsoid(
            (0, 0, 0), (half_width, half_height, inf), waves=draw_waves(draws, 6, 150, 300), exponent=2.3
        ),
        fat=fat,
        fat_waves=draw_waves(draws, 4, 70, 160),
        wall=draws.between(8, 13),
        rib_phase=draws.between(0, 2 * math.pi),
        texture=draw_waves(draws, 1.0, 9, 45, count=12),
        vertebra=Ellipsoid((0, spine_y, 0), (23, 18, inf), waves=draw_waves(draws, 2, 40, 80), exponent=2.4),
        canal=Ellipsoid((0, spine_y + 25, 0), (11, 8.5, inf)),
        cord=Ellipsoid((0, spine_y + 25.5, 0), (5, 4, inf)),
        arch=Ellipsoid((0, spine_y + 30, 0), (17, 19, inf), exponent=1.4),
        back_muscles=tuple(
            Ellipsoid(
                (sign * side, spine_y + 33, 0), (27, muscle, inf), turn=-sign * 12, waves=draw_waves(draws, 3, 50, 110)
            )
            for sign in (-1, 1)
        ),
        psoas=tuple(Ellipsoid((sign * 33, spine_y + 4, -75), (15, 20, 62), lean=(-sign * 0.12, 0)) for sign in (-1, 1)),
    )
