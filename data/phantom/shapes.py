"""Implicit 3-D shapes: each tells, for any point, how deep it lies below the shape's surface.

Depths are in millimetres, positive inside, roughly the distance to the surface. Axes as in the picture of an axial
slice: x grows to the picture's right (the patient's left), y downwards (to the back), z towards the head.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from phantom.draws import Draws, Floats

Vector = tuple[float, ...]


class Points(NamedTuple):
    """Coordinates in millimetres, three float64 arrays of one shape."""

    x: Floats
    y: Floats
    z: Floats


class Shape(Protocol):
    """Anything with a surface."""

    def depth(self, points: Points) -> Floats:
        """Return millimetres below the surface, float64 like the points, negative outside."""
        ...


@dataclass(frozen=True)
class Waves:
    """A smooth random field: the sum of a few plane waves."""

    vectors: tuple[Vector, ...]
    phases: Vector
    heights: Vector

    def at(self, points: Points) -> Floats:
        """Return the field at the points, float64, within plus or minus the sum of the heights."""
        total = np.zeros_like(points.x)
        for (kx, ky, kz), phase, height in zip(self.vectors, self.phases, self.heights, strict=True):
            total += height * np.sin(kx * points.x + ky * points.y + kz * points.z + phase)
        return total


def draw_waves(draws: Draws, height: float, shortest: float, longest: float, count: int = 4) -> Waves:
    """Return `count` waves in random directions, lengths in mm, whose heights add up to `height`."""
    vectors, phases = [], []
    for _ in range(count):
        turn, rise = draws.between(0, 2 * math.pi), draws.between(-0.6, 0.6)
        pace = 2 * math.pi / draws.between(shortest, longest)
        flat = pace * math.cos(rise)
        vectors.append((flat * math.cos(turn), flat * math.sin(turn), pace * math.sin(rise)))
        phases.append(draws.between(0, 2 * math.pi))
    return Waves(tuple(vectors), tuple(phases), (height / count,) * count)


STILL = Waves((), (), ())


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid turned in the axial plane, leaning along z, with a wavy surface."""

    centre: Vector
    radii: Vector  # mm; an infinite third radius gives a cylinder
    turn: float = 0.0  # degrees, clockwise in the picture
    lean: tuple[float, float] = (0.0, 0.0)  # mm in x and y for each mm in z
    waves: Waves = STILL
    exponent: float = 2.0  # above 2: rather a box

    def local(self, points: Points) -> Points:
        """Return the points in the ellipsoid's own axes, mm from its centre."""
        z = points.z - self.centre[2]
        x = points.x - self.centre[0] - self.lean[0] * z
        y = points.y - self.centre[1] - self.lean[1] * z
        cosine, sine = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        return Points(cosine * x + sine * y, cosine * y - sine * x, z)

    def depth(self, points: Points) -> Floats:
        """Return the distance to the surface along the ray from the centre, plus the waves."""
        axes = self.local(points)
        # a cylinder's rays stay in the slice
        flat = math.isinf(self.radii[2])
        distance = np.sqrt(axes.x**2 + axes.y**2 + (0.0 if flat else axes.z**2))
        parts = (np.abs(axis / radius) ** self.exponent for axis, radius in zip(axes, self.radii, strict=True))
        level = np.maximum(sum(parts, np.zeros_like(distance)), 1e-12) ** (1 / self.exponent)
        return np.maximum(distance, 1e-9) * (1 / level - 1) + self.waves.at(points)


@dataclass(frozen=True)
class Tube:
    """A chain of tapering pipes through nodes (x, y, z, radius), mm."""

    nodes: tuple[Vector, ...]

    def depth(self, points: Points) -> Floats:
        """Return the local radius minus the distance to the centre line."""
        best = np.full_like(points.x, -np.inf)
        for first, last in zip(self.nodes[:-1], self.nodes[1:], strict=True):
            step = np.subtract(last[:3], first[:3])
            away = [axis - start for axis, start in zip(points, first[:3], strict=True)]
            along = sum(a * s for a, s in zip(away, step, strict=True)) / float(step @ step)
            along = np.clip(along, 0.0, 1.0)
            distance = np.sqrt(sum((a - along * s) ** 2 for a, s in zip(away, step, strict=True)))
            best = np.maximum(best, first[3] + along * (last[3] - first[3]) - distance)
        return best


def join(one: Floats, other: Floats, softness: float) -> Floats:
    """Return the depth below the union, rounded over `softness` mm (polynomial smooth maximum)."""
    overlap = np.maximum(softness - np.abs(one - other), 0.0) / softness
    return np.maximum(one, other) + overlap**2 * softness / 4


def within(one: Floats, other: Floats, softness: float) -> Floats:
    """Return the depth below the intersection, rounded over `softness` mm."""
    return -join(-one, -other, softness)


def without(one: Floats, other: Floats, gap: float, softness: float) -> Floats:
    """Return the depth below what is left of `one` at least `gap` mm outside `other`."""
    return within(one, -other - gap, softness)
