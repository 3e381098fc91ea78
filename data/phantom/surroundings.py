"""What lies between the labelled organs and is easily taken for them: vessels, stomach, bowel, pancreas."""

import math
from dataclasses import dataclass

from phantom.draws import Draws
from phantom.shapes import Ellipsoid, Shape, Tube, draw_waves


@dataclass(frozen=True)
class Hollow:
    """A hollow organ: a wall around contents, with gas in front of the fluid where `level` is reached."""

    shape: Shape
    wall: float  # mm
    contents: float  # signal, 0..1
    level: float  # y of the surface between gas and fluid, mm; -inf without gas


@dataclass(frozen=True)
class Surroundings:
    """The unlabelled organs of a patient."""

    aorta: Tube
    cava: Tube
    stomach: Hollow
    bowel: tuple[Hollow, ...]
    gallbladder: Ellipsoid
    pancreas: Tube


def draw_vessels(draws: Draws) -> tuple[Tube, Tube]:
    """Draw aorta and vena cava: in front of the spine, the aorta on the patient's left."""
    tubes = []
    for side, radius, front in ((1, draws.between(8.5, 11), 11), (-1, draws.between(9, 12.5), 8)):
        x, y = side * draws.between(11, 17), front + draws.between(-3, 3)
        tubes.append(Tube(tuple((x + draws.between(-3, 3), y, z, radius) for z in (-130.0, -40.0, 40.0, 130.0))))
    return tubes[0], tubes[1]


def draw_loop(draws: Draws, centre: tuple[float, ...], radius: float) -> Hollow:
    """Draw a piece of bowel through `centre`: a bent pipe of any direction and any contents."""
    turn, rise = draws.between(0, 2 * math.pi), draws.between(-0.7, 0.7)
    half = draws.between(14, 30)
    x, y, z = centre
    step = (half * math.cos(turn) * math.cos(rise), half * math.sin(turn) * math.cos(rise), half * math.sin(rise))
    bend = draws.around((0, 0, 0), (9, 9, 9))
    nodes = (
        (x - step[0], y - step[1], z - step[2], radius * draws.between(0.8, 1.05)),
        (x + bend[0], y + bend[1], z + bend[2], radius),
        (x + step[0], y + step[1], z + step[2], radius * draws.between(0.8, 1.05)),
    )
    gas = y + draws.between(-4, 4) if draws.chance(0.2) else -math.inf
    return Hollow(Tube(nodes), draws.between(2, 3.5), draws.between(0.2, 0.85), gas)


def draw_bowel(draws: Draws) -> tuple[Hollow, ...]:
    """Draw small bowel in the lower middle, and colon: right, across the front, left."""
    loops = [draw_loop(draws, draws.around((12, -22, -52), (75, 40, 42)), draws.between(9, 14)) for _ in range(20)]
    loops += [
        draw_loop(draws, draws.around((x, y, z), (8, 8, 10)), draws.between(14, 20))
        for x, y, z in ((-98, -8, -75), (-60, -50, -62), (0, -58, -48), (55, -52, -30), (100, -8, -28), (98, 28, -55))
    ]
    return tuple(loops)


def draw_stomach(draws: Draws) -> Hollow:
    """Draw the stomach: behind the left side of the front wall, often with a surface between gas and fluid."""
    shape = Ellipsoid(
        draws.around((56, -38, 42), (9, 8, 10)),
        draws.around((44, 33, 52), (8, 6, 9)),
        draws.between(-35, 35),
        lean=(draws.between(0, 0.25), 0),
        waves=draw_waves(draws, 5, 40, 110),
    )
    level = shape.centre[1] + draws.between(-20, 0) if draws.chance(0.6) else -math.inf
    return Hollow(shape, draws.between(4, 6), draws.between(0.3, 0.9), level)


def draw_surroundings(draws: Draws) -> Surroundings:
    """Draw one patient's unlabelled organs."""
    aorta, cava = draw_vessels(draws)
    head = draws.around((-22, -14, -12), (6, 5, 6))
    tail = draws.around((72, 4, 18), (8, 7, 8))
    middle = draws.around((14, -22, 4), (6, 5, 6))
    return Surroundings(
        aorta=aorta,
        cava=cava,
        stomach=draw_stomach(draws),
        bowel=draw_bowel(draws),
        gallbladder=Ellipsoid(
            draws.around((-50, -46, -14), (10, 8, 8)), draws.around((14, 18, 28), (4, 5, 6)), draws.between(-40, 40)
        ),
        pancreas=Tube(((*head, 15.0), (*middle, 10.0), (*tail, 9.0))),
    )
