"""What the scores allow to be said, in words. Only the spread over seeds speaks here: nothing is called a winner."""

from __future__ import annotations

from segengine.compare.summary import Comparison, Kind, Metric, Spread, VariantSummary

WORDS = {"dice": "Dice", "iou": "IoU", "pooled": "pooled", "per_image": "per image"}


def verdict(comparison: Comparison, metric: Metric, kind: Kind = "pooled") -> str:
    """One or two sentences: the order of the variants by mean score, and how far seeds speak for it."""
    spreads = {variant.name: variant.scores[metric, kind].mean for variant in comparison.variants}
    known = [(spread.mean, name) for name, spread in spreads.items() if spread.mean is not None]
    if not known:
        return (
            f"Mean {WORDS[metric]} is undefined: none of {', '.join(comparison.averaged)} is in the truth or predicted."
        )
    if len(comparison.variants) == 1:
        return f"One variant, nothing to compare. {_single(comparison.variants)}".strip()
    ranked = [name for _, name in sorted(known, key=lambda pair: -pair[0])]
    order = ", ".join(f"{name} {_shown(spreads[name])}" for name in ranked)
    return f"Mean {WORDS[metric]} ({WORDS[kind]}): {order}. {_caution(comparison, spreads, ranked)}".strip()


def _caution(comparison: Comparison, spreads: dict[str, Spread], ranked: list[str]) -> str:
    if said := _single(comparison.variants):
        return said
    if len(ranked) < 2:
        return ""
    first, second = spreads[ranked[0]], spreads[ranked[1]]
    assert first.minimum is not None
    assert second.maximum is not None
    if first.minimum <= second.maximum:
        return f"The seeds of {ranked[0]} and {ranked[1]} overlap: the order may be chance."
    return f"Every seed of {ranked[0]} is above every seed of {ranked[1]}; this is a range over seeds, not a test."


def _single(variants: tuple[VariantSummary, ...]) -> str:
    """What must be said where a variant has one seed only."""
    single = [variant.name for variant in variants if len(variant.seeds) == 1]
    if not single:
        return ""
    who = "" if len(single) == len(variants) else f" of {', '.join(single)}"
    return (
        f"One seed{who}: differences may be chance."
        if len(variants) > 1
        else "One seed: another may score differently."
    )


def _shown(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.sd is not None else "")
