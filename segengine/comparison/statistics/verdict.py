"""What the scores say before any test: the order of the variants. What it allows to conclude is said by words.py."""

from __future__ import annotations

from segengine.comparison.measures import Measure
from segengine.comparison.summary import Comparison, Kind, Metric, Spread, kinds_of

WORDS = {"dice": "Dice", "iou": "IoU", "pooled": "pooled", "per_image": "per image"}


def word(metric: Metric, measure: Measure) -> str:
    """What sentences call a metric."""
    return measure.words or WORDS[metric]


def standing(comparison: Comparison, metric: Metric, kind: Kind | None = None) -> str:
    """The variants by mean score, best first: `Mean Dice (pooled): resnet18 0.936, vgg11 0.907.`"""
    kind, measure = kind or kinds_of(metric)[0], comparison.measure(metric)
    spreads = {variant.name: variant.scores[metric, kind].mean for variant in comparison.variants}
    known = [(spread.mean, name) for name, spread in spreads.items() if spread.mean is not None]
    if not known:
        return f"Mean {word(metric, measure)} is undefined: none of {', '.join(comparison.averaged)} is in the truth or predicted."
    if len(comparison.variants) == 1:
        one = len(comparison.variants[0].seeds) == 1
        return "One variant, nothing to compare." + (" One seed: another may score differently." if one else "")
    ranked = [name for _, name in sorted(known, key=lambda pair: -measure.sign * pair[0])]
    order = ", ".join(f"{name} {_shown(spreads[name])}" for name in ranked)
    lower = "; lower is better" if measure.sign < 0 else ""
    return f"Mean {word(metric, measure)} ({WORDS[kind]}{lower}): {order}."


def _shown(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.sd is not None else "")
