"""One axial slice of a patient: tissues painted over one another, deepest layer first."""

import numpy as np
from numpy.typing import NDArray

from phantom.body import Body
from phantom.draws import Floats
from phantom.organs import Kidney
from phantom.patient import Patient
from phantom.shapes import Points
from phantom.surroundings import Hollow
from phantom.tissue import Tissue

LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN = 63, 126, 189, 252
NOTHING = 0


class Canvas:
    """Signal and label of each pixel; painting mixes signals over the pixel that a border crosses."""

    def __init__(self, points: Points, pixel: float) -> None:
        """Start black and unlabelled; `pixel` is the pixel's size in mm."""
        self.points = points
        self.pixel = pixel
        self.signal = np.zeros_like(points.x)
        self.labels: NDArray[np.uint8] = np.zeros(points.x.shape, np.uint8)

    def paint(self, depth: Floats, signal: Floats | float, label: int = NOTHING) -> None:
        """Cover what lies below the surface; beyond that the old paint stays."""
        self.tint(depth, signal)
        self.labels[depth > 0] = label

    def tint(self, depth: Floats, signal: Floats | float) -> None:
        """Cover the signal and leave the labels: structures inside an organ."""
        share = np.clip(depth / self.pixel + 0.5, 0.0, 1.0)
        self.signal += share * (signal - self.signal)


def paint_frame(canvas: Canvas, body: Body, tissue: Tissue) -> Floats:
    """Paint skin, fat, wall, spine and muscles; return the depth below the wall's inner border."""
    points = canvas.points
    outline, inner, cavity = body.outline.depth(points), body.fat_depth(points), body.cavity_depth(points)
    canvas.paint(outline, tissue.skin)
    texture = tissue.grain * body.texture.at(points)
    fat, muscle_signal = tissue.fat * (1 + texture), tissue.muscle * (1 + texture)
    canvas.paint(outline - 2.5, tissue.fat * (1 + 0.4 * texture))
    canvas.paint(inner, muscle_signal)
    rib = np.minimum(body.ribs(points), 0.36 * body.wall - np.abs(inner - 0.5 * body.wall))
    canvas.paint(rib, tissue.bone)
    canvas.paint(rib - 1.8, tissue.marrow)
    canvas.paint(cavity, fat)
    for muscle in body.back_muscles:
        canvas.paint(np.minimum(muscle.depth(points), inner), muscle_signal)
    for muscle in body.psoas:
        canvas.paint(muscle.depth(points), muscle_signal)
    canvas.paint(np.minimum(body.arch.depth(points), inner), tissue.bone)
    canvas.paint(np.minimum(body.arch.depth(points), inner) - 3.0, tissue.marrow)
    vertebra = body.vertebra.depth(points)
    canvas.paint(vertebra, tissue.bone)
    canvas.paint(vertebra - 2.2, tissue.marrow)
    canvas.paint(body.canal.depth(points), tissue.fluid)
    canvas.paint(body.cord.depth(points), tissue.cord)
    return cavity


def paint_hollow(canvas: Canvas, hollow: Hollow, inside: Floats, tissue: Tissue) -> None:
    """Paint a hollow organ where `inside` (depth of the room that is left for it) allows."""
    depth = np.minimum(hollow.shape.depth(canvas.points), inside)
    canvas.paint(depth, tissue.bowel_wall)
    canvas.paint(depth - hollow.wall, hollow.contents)
    canvas.paint(np.minimum(depth - hollow.wall, hollow.level - canvas.points.y), tissue.gas)


def paint_kidney(canvas: Canvas, kidney: Kidney, depth: Floats, tissue: Tissue, label: int) -> None:
    """Paint cortex, pyramids, and in the sinus fat and the pelvis."""
    points = canvas.points
    parenchyma = tissue.cortex + (tissue.medulla - tissue.cortex) * kidney.medulla(points)
    sinus = np.minimum(kidney.outer.depth(points), kidney.sinus.depth(points))
    canvas.paint(sinus, tissue.fat)
    canvas.paint(depth, parenchyma, label)
    canvas.paint(np.minimum(kidney.pelvis.depth(points), -depth), tissue.fluid)


def paint_slice(patient: Patient, z: float, size: int, pixel: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Return signal float64 [size, size] and labels uint8 [size, size] of the slice at height `z` mm."""
    points = patient.points(z, size, pixel)
    body, organs, others, tissue = patient.body, patient.organs, patient.surroundings, patient.tissue
    canvas = Canvas(points, pixel)
    cavity = paint_frame(canvas, body, tissue)
    liver, right, left, spleen = organs.depths(points, cavity)
    room = np.minimum(cavity - 1, -np.max([liver, right, left, spleen], axis=0) - 1.5)
    # fat keeps the bowel off the kidneys' front, and the great vessels stay free
    room = np.minimum(room, 24 - points.y + 0.35 * np.abs(points.x))
    for loop in others.bowel:
        paint_hollow(canvas, loop, room, tissue)
    canvas.paint(np.minimum(others.pancreas.depth(points), room), tissue.pancreas)
    paint_hollow(canvas, others.stomach, room, tissue)
    canvas.paint(liver, tissue.liver + tissue.mottle * organs.liver.texture.at(points), LIVER)
    canvas.tint(np.minimum(organs.liver.vein_depth(points), liver - 3), tissue.liver_veins)
    canvas.paint(spleen, tissue.spleen + tissue.mottle * organs.spleen.texture.at(points), SPLEEN)
    paint_kidney(canvas, organs.right_kidney, right, tissue, RIGHT_KIDNEY)
    paint_kidney(canvas, organs.left_kidney, left, tissue, LEFT_KIDNEY)
    canvas.paint(np.minimum(others.gallbladder.depth(points), cavity - 2), tissue.bile)
    for vessel in (others.cava, others.aorta):
        canvas.paint(vessel.depth(points), tissue.muscle)
        canvas.paint(vessel.depth(points) - 0.7, tissue.blood)
    return canvas.signal, canvas.labels
