"""The picture of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.figures.theme import LIGHT, dress, figure, heading, png


def rate_test_png(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], rate: float | None
) -> bytes:
    """Loss against learning rate on a logarithmic axis, the smoothed curve, and the suggested rate where there is one."""
    made = figure(8.0, 4.2, LIGHT)
    axes = made.add_axes((0.085, 0.13, 0.89, 0.77))
    dress(axes, LIGHT)
    heading(axes, "training loss by learning rate" + (f": {rate:.2g} suggested" if rate else ""), LIGHT)
    axes.set_xscale("log")
    axes.plot(rates, losses, color=LIGHT.blue, alpha=0.3, linewidth=1)
    axes.plot(rates, smooth, color=LIGHT.blue, linewidth=2)
    if rate is not None:
        axes.axvline(rate, color=LIGHT.orange, linewidth=1.5, linestyle=(0, (2, 2)))
    low, first = min(smooth), smooth[0]
    axes.set_ylim(low - 0.1 * abs(first - low), first + 0.6 * abs(first - low) + 1e-9)
    axes.set_xlabel("learning rate", fontsize=9, color=LIGHT.muted)
    return png(made)
