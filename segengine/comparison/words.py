"""Verdicts and methods in sentences. Where a variant has one seed, only of the models that were trained."""

from __future__ import annotations

from collections.abc import Sequence

from segengine.comparison.measures import SHARE, Measure
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.permutation import MINIMUM_UNITS
from segengine.comparison.statistics.power import Needed
from segengine.comparison.statistics.verdict import WORDS, standing, word
from segengine.comparison.summary import Comparison, Metric

_MOST_IN_ORDER = 10
MODELS_ONLY = "one seed shows what these models do; what another training would give needs at least 2 seeds"


def verdict(comparison: Comparison, metric: Metric, found: Sequence[Differences]) -> str:
    """The order of the variants, what its first two allow to conclude, and what that is about: in sentences."""
    lead = leading(found[0]) if found else None
    said = [standing(comparison, metric)]
    if lead is not None:
        said.append(f"{_capital(sentence(found[0], lead))}.")
        if lead.about == "models":
            said.append(f"{_capital(MODELS_ONLY)}.")
    return " ".join(said)


def ranked(found: Differences) -> list[str]:
    """The variants by mean score, best first; those whose difference from the first is undefined are last."""
    first = found.means[0].first
    below = {row.second: row.difference for row in found.means if row.first == first}
    behind = {name: float("inf") if gap is None else found.measure.sign * gap for name, gap in below.items()}
    return sorted([first, *below], key=lambda name: behind.get(name, 0.0))


def leading(found: Differences) -> PairDifference | None:
    """The row of the mean's two best variants; None where there is no pair."""
    if not found.means:
        return None
    best = set(ranked(found)[:2])
    return next(row for row in found.means if {row.first, row.second} == best)


def _capital(text: str) -> str:
    """With a capital letter where a sentence begins in words, not with a variant's name."""
    return f"{text[0].upper()}{text[1:]}" if text.startswith(("of these", "one seed")) else text


def sentence(found: Differences, row: PairDifference) -> str:
    """What is to be concluded about one pair's mean or class."""
    what = (
        f"mean {word(found.metric, found.measure)}"
        if row.score is None
        else f"{word(found.metric, found.measure)} of {row.score}"
    )
    what += f" ({WORDS[found.kind]})"
    if row.about == "models":
        models = sum(row.seeds)
        who = f"of these {'two' if models == 2 else models} trained models, "
    else:
        who = ""
    if row.verdict == "not tested":
        return f"{who}{row.first} and {row.second} are not tested by {what}: {_too_few(found, row)}"
    assert row.difference is not None
    measure = found.measure
    numbers = f"{points(row.difference, measure)} {measure.unit} of {what}, {_interval(found, row)}"
    if row.verdict in ("better", "worse"):
        return f"{who}{row.first} is {row.verdict} than {row.second}: {numbers}, p {shown_p(row.p_holm)}"
    if row.verdict == "practically equal":
        margin = f"within ±{measure.factor * found.choices.margin:g} {measure.unit}"
        return f"{who}{row.first} and {row.second} are practically equal ({margin}): {numbers}"
    more = f"; {needs(found, row.needed)}" if row.needed is not None else ""
    return f"{who}{row.first} and {row.second} are not distinguishable: {numbers}, p {shown_p(row.p_holm)}{more}"


def _too_few(found: Differences, row: PairDifference) -> str:
    if row.difference is None:
        return "it is undefined"
    have = "" if row.score is None else f" with {row.score}"
    return f"{row.units} {_units(found, row.units)}{have}; a test needs at least {MINIMUM_UNITS}"


def _units(found: Differences, count: int) -> str:
    return ("group" if found.grouped else "image") + ("s" if count != 1 else "")


def _interval(found: Differences, row: PairDifference) -> str:
    assert row.low is not None
    assert row.high is not None
    return f"{100 * found.choices.confidence:g} % interval {points(row.low, found.measure)} to {points(row.high, found.measure)}"


MOST_SEEDS = 100
"""More seeds a variant than this are nobody's plan."""


def needs(found: Differences, more: Needed) -> str:
    """`needs about 120 more images or about 2 more seeds a variant`."""
    alone = []
    if more.units is not None:
        alone.append(_more_units(found, more.units))
    if more.seeds is not None and more.seeds <= MOST_SEEDS:
        alone.append(f"{_about(more.seeds)} more seed{'s' if more.seeds != 1 else ''} a variant")
    if alone:
        return f"needs {' or '.join(alone)}"
    if more.both is None and more.seeds is None:
        return "no reachable number of images would tell"
    if more.both is None or more.both[1] > MOST_SEEDS:
        return f"needs more than {MOST_SEEDS} more seeds a variant: seeds differ too much for such a difference; train longer"
    return f"needs {_more_units(found, more.both[0])} and {_about(more.both[1])} more seeds a variant"


def _more_units(found: Differences, units: int) -> str:
    images = round(units * found.images / found.units)
    return f"{_about(images)} more image{'s' * (images != 1)}" + (
        f" ({_about(units)} group{'s' * (units != 1)})" if found.grouped else ""
    )


def _about(number: int) -> str:
    """Two digits: the formula promises no more."""
    if number < 100:
        return f"about {number}"
    step = 10 ** (len(str(number)) - 2)
    return f"about {-(-number // step) * step:,}"


def points(value: float | None, measure: Measure = SHARE) -> str:
    """A difference in points (hundredths) or the metric's own unit, signed."""
    return "–" if value is None else f"{measure.factor * value:+.2f}"


def shown_p(p: float | None) -> str:
    """A p as tables hold it."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def methods(found: Differences) -> str:
    """How the differences were judged, with citations, ready for a paper."""
    unit = "group" if found.grouped else "image"
    level = f"{100 * found.choices.confidence:g} %"
    flips = "all sign flips" if found.exact else f"{found.choices.resamples:,} random sign flips"
    several = any(row.about == "variants" for row in found.rows)
    single = any(row.about == "models" for row in found.rows)
    said = [
        f"Paired differences over the same {found.units} {unit}s ({found.images} images) have standard errors by the "
        f"jackknife over {unit}s (Efron & Tibshirani 1993) and {level} t intervals with degrees of freedom from the "
        "kurtosis (Satterthwaite 1946; Box 1954)"
    ]
    if several:
        said.append(
            f"For variants with several seeds the variance between seeds is added (Welch 1947), {unit}s crossed with "
            "seeds, and the same t is the test: the verdict is about training anew and about new images"
        )
    if single:
        said.append(
            f"Where a variant has one seed the verdict is about the trained models alone, tested by {flips} of the "
            f"jackknife pseudo-values of the {unit}s (Fisher 1935; Phipson & Smyth 2010)"
        )
    said.append(
        "P values are Holm-adjusted (Holm 1979) over pairs for the mean, over pairs and classes for the classes"
    )
    said.append(
        f"A variant is called better or worse where its adjusted p is at most {1 - found.choices.confidence:.2g} and the "
        "interval excludes 0, and two are called practically equal where the interval lies within "
        f"±{found.measure.factor * found.choices.margin:g} {found.measure.unit}"
    )
    said.append(
        "How many more images or seeds are needed is for a power of 80 % to find the difference seen, or the margin if "
        "that is larger"
    )
    return ". ".join(said) + "."


def order(found: Differences) -> list[str]:
    """How firm the order is: for each variant how often it came first, and its ranks."""
    if found.ranking is None:
        return []
    rank = found.ranking
    names = list(dict.fromkeys(name for row in found.means for name in (row.first, row.second)))
    shown = ranked(found)[:_MOST_IN_ORDER]
    seeds = " and seeds" if all(min(row.seeds) > 1 for row in found.means) else ""
    each = ", ".join(
        f"{name} first in {100 * best:.0f} % (rank {low}{f'-{high}' if high != low else ''})"
        for name, best, (low, high) in zip(names, rank.best, rank.ranks, strict=True)
        if name in shown
    )
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    unit = "groups" if found.grouped else "images"
    return [
        f"order over {found.choices.resamples:,} bootstrap resamples of {unit}{seeds}: {each}{more}; "
        f"Kendall's tau with the order seen {rank.stability:.2f}"
    ]
