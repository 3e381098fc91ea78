"""The conclusion about one pair of variants, as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.comparison.measures import KIND_NAMES, SHARE, Measure
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.permutation import MINIMUM_UNITS
from segengine.comparison.statistics.power import Needed

if TYPE_CHECKING:
    from segengine.comparison.judge import Judged


def sentence(found: Differences, row: PairDifference, undefined: str = "it is undefined") -> str:
    """The conclusion about one pair's mean or class, the better variant first; `undefined`: reason for a missing mean."""
    if row.difference and found.measure.sign * row.difference < 0:
        row = row.seen_from(row.second)
    what = f"mean {found.measure.label}" if row.score is None else f"{found.measure.label} of {row.score}"
    what += f" ({KIND_NAMES[found.kind]})"
    if row.about == "models":
        models = sum(row.seeds)
        who = f"of these {'two' if models == 2 else models} trained models, "
    else:
        who = ""
    if row.verdict == "not tested":
        return f"{who}{row.first} and {row.second} are not tested by {what}: {_why(found, row, undefined)}"
    assert row.difference is not None
    measure = found.measure
    numbers = f"{points(row.difference, measure)} {measure.unit} of {what}, {_interval(found, row)}"
    if row.verdict in ("better", "worse"):
        small = (
            f", a difference within ±{measure.factor * found.choices.margin:g} {measure.unit}"
            if row.within_margin
            else ""
        )
        return f"{who}{row.first} is {row.verdict} than {row.second}: {numbers}, p {shown_p(row.p_adjusted)}{small}"
    if row.verdict == "practically equal":
        margin = f"within ±{measure.factor * found.choices.margin:g} {measure.unit}"
        return f"{who}{row.first} and {row.second} are practically equal ({margin}): {numbers}"
    more = f"; {needs(found, row.needed)}" if row.needed is not None else ""
    return f"{who}{row.first} and {row.second} are not distinguishable: {numbers}, p {shown_p(row.p_adjusted)}{more}"


def rate_sentence(found: Differences, row: PairDifference, label: str) -> str:
    """How the rates of images without a value of the metric `label` compare; `found` are those of the rates."""
    if row.difference is None or row.low is None:
        return f"how often {row.first} and {row.second} lack {label} is not tested: {_why(found, row, 'undefined')}"
    row = row if row.difference <= 0 else row.seen_from(row.second)
    models = sum(row.seeds)
    who = f"of these {'two' if models == 2 else models} trained models, " if row.about == "models" else ""
    what = {
        "better": f"{row.first} lacks {label} in fewer images than {row.second}",
        "practically equal": f"{row.first} and {row.second} lack {label} practically equally often",
    }.get(row.verdict, f"{row.first} and {row.second} are not distinguishable by how often they lack {label}")
    numbers = f"{points(row.difference, found.measure)} {found.measure.unit} of all images, {_interval(found, row)}"
    return f"{who}{what}: {numbers}, p {shown_p(row.p_adjusted)}"


def _why(found: Differences, row: PairDifference, undefined: str) -> str:
    """The reason why a pair is not tested."""
    if row.difference is None:
        return undefined
    named = row.score or (row.scarce if row.reason == "scarce class" else None)
    have = "" if named is None else f" with {named}"
    instead = " (add data, or take it out of the mean)" if row.score is None and named is not None else ""
    return f"{row.units} {_units(found, row.units)}{have}; a test needs at least {MINIMUM_UNITS}{instead}"


def why_undefined(judged: Judged, found: Differences, row: PairDifference) -> str:
    """The variants with an undefined score, and the reason."""
    label = found.measure.label
    if not judged.comparison.averaged:
        return f"no class has a {label} for every variant"
    of = f" of {row.score}" if row.score else ""
    scores = {variant.name: variant.scores[found.metric, found.kind] for variant in judged.comparison.variants}
    place = judged.classes.index(row.score) if row.score else None
    lacking = [
        name
        for name in (row.first, row.second)
        if None in (scores[name].mean if place is None else scores[name].classes[place]).values
    ]
    return f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no {label}{of} in any image"


def _units(found: Differences, count: int) -> str:
    return ("group" if found.grouped else "image") + ("s" if count != 1 else "")


def _interval(found: Differences, row: PairDifference) -> str:
    assert row.low is not None
    assert row.high is not None
    return f"{100 * found.choices.confidence:g} % interval {points(row.low, found.measure)} to {points(row.high, found.measure)}"


MOST_SEEDS = 100
"""Maximum number of additional seeds per variant that is suggested."""


def needs(found: Differences, more: Needed) -> str:
    """`needs about 120 more images or about 2 more seeds per variant`."""
    alone = []
    if more.units is not None:
        alone.append(_more_units(found, more.units))
    if more.seeds is not None and more.seeds <= MOST_SEEDS:
        alone.append(f"{_about(more.seeds)} more seed{'s' if more.seeds != 1 else ''} per variant")
    if alone:
        return f"needs {' or '.join(alone)}"
    if more.both is None and more.seeds is None:
        return "no realistic number of additional images would settle it"
    if more.both is None or more.both[1] > MOST_SEEDS:
        return f"needs more than {MOST_SEEDS} more seeds per variant: seeds differ too much for such a difference; train longer"
    return f"needs {_more_units(found, more.both[0])} and {_about(more.both[1])} more seeds per variant"


def _more_units(found: Differences, units: int) -> str:
    images = round(units * found.images / found.units)
    return f"{_about(images)} more image{'s' * (images != 1)}" + (
        f" ({_about(units)} group{'s' * (units != 1)})" if found.grouped else ""
    )


def _about(number: int) -> str:
    """Two significant digits, the accuracy of the formula."""
    if number < 100:
        return f"about {number}"
    step = 10 ** (len(str(number)) - 2)
    return f"about {-(-number // step) * step:,}"


def points(value: float | None, measure: Measure = SHARE) -> str:
    """A difference in points (hundredths) or the metric's own unit, signed."""
    return "–" if value is None else f"{measure.factor * value:+.2f}"


def shown_p(p: float | None) -> str:
    """A p value as shown in tables."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
