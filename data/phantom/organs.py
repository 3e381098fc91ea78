"""The four labelled organs: liver, right and left kidney, spleen."""

import math
from dataclasses import dataclass

import numpy as np

from phantom.draws import Draws, Floats
from phantom.shapes import Ellipsoid, Points, Tube, Waves, draw_waves, join, within, without


@dataclass(frozen=True)
class Kidney:
    """A kidney whose sinus opens towards the aorta."""

    outer: Ellipsoid
    sinus: Ellipsoid
    pelvis: Ellipsoid
    pyramids: tuple[float, float]  # phases around the kidney and along z

    def depth(self, points: Points) -> Floats:
        """Return the depth below the parenchyma's surface, the sinus left out."""
        return without(self.outer.depth(points), self.sinus.depth(points), 0.0, 4.0)

    def medulla(self, points: Points) -> Floats:
        """Return how surely a point is in a pyramid of the medulla, 0..1."""
        axes = self.outer.local(points)
        angle = np.arctan2(axes.y, axes.x)
        uneven = 1.6 * np.sin(2 * angle + self.pyramids[1] + axes.z / 14)
        around = np.sin(6 * angle + uneven + self.pyramids[0] + 1.5 * np.sin(axes.z / 9 + self.pyramids[1]))
        below_cortex = np.clip((self.outer.depth(points) - 5.5 + uneven) / 4, 0, 1)
        return below_cortex * np.clip(0.8 * around + 0.6, 0, 1)


@dataclass(frozen=True)
class Liver:
    """Two lobes melted into one another, with portal and hepatic veins."""

    right_lobe: Ellipsoid
    left_lobe: Ellipsoid
    fossa: Ellipsoid  # room for stomach, duodenum and spine
    veins: tuple[Tube, ...]
    texture: Waves

    def depth(self, points: Points) -> Floats:
        """Return the depth below the liver's surface, not yet cut by its neighbours."""
        lobes = join(self.right_lobe.depth(points), self.left_lobe.depth(points), 22)
        return without(lobes, self.fossa.depth(points), 0, 14)

    def vein_depth(self, points: Points) -> Floats:
        """Return the depth below the surface of the nearest vein."""
        return np.max([vein.depth(points) for vein in self.veins], axis=0)


@dataclass(frozen=True)
class Spleen:
    """A crescent: an ellipsoid that the stomach dents."""

    outer: Ellipsoid
    dent: Ellipsoid
    texture: Waves

    def depth(self, points: Points) -> Floats:
        """Return the depth below the spleen's surface, not yet cut by its neighbours."""
        return without(self.outer.depth(points), self.dent.depth(points), 0, 10)


@dataclass(frozen=True)
class Organs:
    """The labelled organs of a patient."""

    liver: Liver
    right_kidney: Kidney
    left_kidney: Kidney
    spleen: Spleen

    def depths(self, points: Points, cavity: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the depths of liver, right kidney, left kidney and spleen: none overlaps, all lie in the cavity."""
        right = within(self.right_kidney.depth(points), cavity - 1.5, 3)
        left = within(self.left_kidney.depth(points), cavity - 1.5, 3)
        liver = within(self.liver.depth(points), cavity - 0.8, 5)
        liver = without(liver, self.right_kidney.outer.depth(points), 2.0, 7)
        spleen = within(self.spleen.depth(points), cavity - 0.8, 5)
        spleen = without(spleen, self.left_kidney.outer.depth(points), 2.0, 7)
        return without(liver, spleen, 2.0, 4), right, left, spleen


def draw_kidney(draws: Draws, side: int) -> Kidney:
    """Draw a kidney; side -1 is the patient's right (the picture's left), which lies a little lower."""
    x, y, z = draws.around((side * 64, 38, -22 if side < 0 else -14), (5, 5, 7))
    radii = draws.around((26, 32, 57), (2.5, 3, 5))
    turn = side * draws.between(12, 40)
    lean = (-side * draws.between(0.08, 0.25), draws.between(-0.15, 0.0))
    # the hilum looks forward and inward
    inward = math.radians(draws.between(15, 45))
    hilum = (x - side * radii[0] * math.cos(inward), y - radii[0] * math.sin(inward), z)
    pelvis = (x - side * 0.75 * radii[0] * math.cos(inward), y - 0.75 * radii[0] * math.sin(inward), z)
    wide = draws.between(11, 15)
    return Kidney(
        outer=Ellipsoid((x, y, z), radii, turn, lean, draw_waves(draws, 2.5, 35, 80)),
        sinus=Ellipsoid(hilum, (wide, 0.75 * wide, 24), side * math.degrees(inward), lean),
        pelvis=Ellipsoid(pelvis, draws.around((6, 4, 16), (2, 1.5, 4)), side * math.degrees(inward), lean),
        pyramids=(draws.between(0, 6.28), draws.between(0, 6.28)),
    )


def draw_vein(draws: Draws, start: tuple[float, ...], heading: float, width: float, levels: int) -> list[Tube]:
    """Draw a vein that bends, narrows and forks; `heading` in degrees, clockwise in the picture."""
    nodes = [(*start, width)]
    for _ in range(3):
        heading += draws.between(-22, 22)
        reach = draws.between(9, 15)
        x, y, z, width = nodes[-1]
        turn = math.radians(heading)
        step = (reach * math.cos(turn), reach * math.sin(turn), draws.between(-11, 11))
        nodes.append((x + step[0], y + step[1], z + step[2], 0.88 * width))
    tubes = [Tube(tuple(nodes))]
    if levels > 0:
        *end, width = nodes[-1]
        for fork in (-1, 1):
            tubes += draw_vein(draws, tuple(end), heading + fork * draws.between(22, 48), 0.8 * width, levels - 1)
    return tubes


def draw_liver(draws: Draws, cava: tuple[float, float]) -> Liver:
    """Draw a liver whose hepatic veins run from the vena cava at `cava` (x, y in mm)."""
    right = draws.around((-77, -8, 22), (7, 7, 9))
    left = draws.around((-8, -48, 38), (16, 6, 12))
    gate = draws.around((-38, -8, 12), (6, 5, 8))
    veins = draw_vein(draws, gate, draws.between(165, 200), 5.5, 2)
    veins += draw_vein(draws, gate, draws.between(250, 285), 4.0, 1)
    for heading in (180, 215, 250):
        root = (*cava, draws.between(38, 60))
        veins += draw_vein(draws, root, heading + draws.between(-12, 12), 4.5, 1)
    return Liver(
        right_lobe=Ellipsoid(
            right, draws.around((66, 74, 92), (7, 8, 10)), draws.between(-14, 14), waves=draw_waves(draws, 9, 70, 180)
        ),
        left_lobe=Ellipsoid(
            left, draws.around((66, 30, 50), (14, 7, 8)), draws.between(-16, 6), waves=draw_waves(draws, 6, 60, 140)
        ),
        fossa=Ellipsoid(
            draws.around((18, 22, -20), (7, 6, 10)), draws.around((62, 52, 95), (5, 6, 10)), draws.between(-15, 15)
        ),
        veins=tuple(veins),
        texture=draw_waves(draws, 1.0, 9, 26, count=9),
    )


def draw_spleen(draws: Draws) -> Spleen:
    """Draw a spleen: at the left side of the back, high up."""
    centre = draws.around((92, 22, 30), (5, 7, 9))
    radii = draws.around((34, 53, 60), (4, 7, 6))
    dent = (centre[0] - draws.between(42, 52), centre[1] - draws.between(26, 36), centre[2])
    return Spleen(
        outer=Ellipsoid(centre, radii, draws.between(2, 26), waves=draw_waves(draws, 6, 50, 120)),
        dent=Ellipsoid(dent, (38, 46, 90), draws.between(-10, 20)),
        texture=draw_waves(draws, 1.0, 9, 26, count=9),
    )


def draw_organs(draws: Draws, cava: tuple[float, float]) -> Organs:
    """Draw one patient's four labelled organs."""
    return Organs(draw_liver(draws, cava), draw_kidney(draws, -1), draw_kidney(draws, 1), draw_spleen(draws))
