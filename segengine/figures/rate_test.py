"""Figure of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.figures.figure import Figure
from segengine.figures.lines import Line, LineChart, Panel


def rate_test_png(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], rate: float | None
) -> bytes:
    """Loss against learning rate (logarithmic), the smoothed curve and the suggested rate, if any; PNG.

    Losses far above the first one are clipped to the upper edge.
    """
    low, first = min(smooth), smooth[0]
    span = abs(first - low)
    low, high = low - 0.1 * span, first + 0.6 * span + 1e-9
    lines = [
        Line(name, [(x, min(max(y, low), high)) for x, y in zip(rates, values, strict=True)], place)
        for name, values, place in (("loss per step", losses, 4), ("smoothed", smooth, 0))
    ]
    marked = None if rate is None else (rate, f"{rate:.2g} suggested")
    panel = Panel("Training loss against learning rate", lines, low, high, height=300)
    chart = LineChart([panel], "learning rate", marked=marked, whole=False, logarithmic=True)
    return Figure("rate-test", panel.title, "", chart.draw).as_png()
