"""What the scanner does to the signal: blur, bias field, Rician noise, eight bits."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.draws import Draws, Floats
from phantom.shapes import Points, Waves, draw_waves


@dataclass(frozen=True)
class Scanner:
    """One patient's scan: the coil's sensitivity and the noise are the patient's, the noise pattern is the slice's."""

    gain: float  # gray value of signal 1
    noise: float  # standard deviation of each channel, gray values
    bias: Waves  # logarithm of the coil's sensitivity

    def scan(self, signal: Floats, points: Points, draws: Draws) -> NDArray[np.uint8]:
        """Return the picture uint8 [H, W] of the signal float64 [H, W] at these points (mm in the scanner)."""
        bias = self.bias.at(points)
        # scanners set their receiver's gain before the scan: the coil bends brightness, it doesn't darken everything
        clean = self.gain * smooth(signal) * np.exp(bias - bias.mean())
        # blurring along both axes leaves a quarter of the noise's variance, (1 + 16 + 1) / 36 along each
        real, imaginary = (2 * self.noise * noise for noise in draws.normal_pair(*signal.shape))
        # the magnitude of a complex signal with normal noise is Rician (Gudbjartsson and Patz, 1995)
        magnitude = np.hypot(clean + smooth(real), smooth(imaginary))
        return np.clip(np.rint(magnitude), 0, 255).astype(np.uint8)


def smooth(field: Floats) -> Floats:
    """Return the field blurred by (1, 4, 1) / 6 along both axes: about the scanner's point spread."""
    for axis in (0, 1):
        padded = np.pad(field, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        low, mid, high = (np.take(padded, np.arange(field.shape[axis]) + step, axis=axis) for step in (0, 1, 2))
        field = (low + 4 * mid + high) / 6
    return field


def draw_scanner(draws: Draws) -> Scanner:
    """Draw the properties of one patient's scan."""
    return Scanner(
        gain=draws.between(200, 240),
        noise=draws.between(3.5, 6.5),
        bias=draw_waves(draws, math.log(draws.between(1.25, 1.5)), 380, 800),
    )
