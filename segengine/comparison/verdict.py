"""The verdict in two sentences: the result, and its scope and evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.comparison.measures import KIND_NAMES
from segengine.comparison.pairs import needs, points
from segengine.comparison.statistics.differences import Differences, PairDifference
from segengine.comparison.statistics.intervals import MINIMUM_SEEDS
from segengine.comparison.statistics.permutation import MINIMUM_UNITS
from segengine.figures.numbers import plural

if TYPE_CHECKING:
    from segengine.comparison.judge import Judged


def verdict(judged: Judged) -> tuple[str, ...]:
    """Two sentences: the best variant, if any; and its scope and evidence. One sentence if there is no score."""
    best = judged.ranked[0]
    mean = judged.tables[best].mean.mean
    what = f"mean {judged.word} ({KIND_NAMES[judged.kind]})"
    if mean is None:
        return (f"Nothing can be said: {what} is undefined for every variant.",)
    if len(judged.names) == 1:
        interval = judged.intervals[judged.kind][0].mean
        unit = _unit(judged)
        said = (
            f" ({100 * judged.choices.confidence:g} % interval {interval[0]:.3f} to {interval[1]:.3f})"
            if interval
            else ""
        )
        return (
            f"{judged.names[0]} reaches a {what} of {mean:.3f}{unit}{said}; there is no other variant to compare it with.",
            _rests_on(judged),
        )
    found = judged.found[0]
    if len(judged.names) == 2:
        row = found.means[0]
        said = judged.sentence(found, row)
        first = f"{said[0].upper()}{said[1:]}" if row.about == "models" else said
        return f"{first}.", _rests_on(judged)
    return _of_many(judged, found, mean, what), _rests_on(judged)


def _of_many(judged: Judged, found: Differences, mean: float, what: str) -> str:
    best, shown = judged.names[judged.ranked[0]], f"{mean:.3f}{_unit(judged)}"
    most, beyond = ("highest", "above") if judged.measure.sign > 0 else ("lowest", "below")
    against = {_other(row, best): row.seen_from(best) for row in found.means if best in (row.first, row.second)}
    verdicts = {name: row.verdict for name, row in against.items()}
    ordered = [judged.names[i] for i in judged.ranked[1:]]
    second = ordered[0]
    models = sum(len(variant.seeds) for variant in judged.comparison.variants)
    only = any(row.about == "models" for row in against.values())
    who = f"Of these {models} trained models, {best}" if only else best
    if set(verdicts.values()) == {"not tested"}:
        unit = f"{found.units} {judged.case}{'s' * (found.units != 1)}"
        few = found.units < MINIMUM_UNITS
        why = f"{unit}, and a test needs at least {MINIMUM_UNITS}" if few else "some scores are undefined"
        return f"{who} has the {most} {what}, {shown}, but no difference is tested: {'there are ' * few}{why}."
    gap = _gap(against[second], found)
    if set(verdicts.values()) == {"better"}:
        which = "the best" if only else f"the best of the {len(judged.names)} variants"
        return f"{who} is {which}: its {what}, {shown}, is {beyond} that of every other, next {second} ({gap})."
    parts = []
    for verdict, said in (
        ("practically equal", "practically equal to {}"), ("not distinguishable", "not distinguishable from {}"),
        ("not tested", "not tested against {}"), ("worse", "worse than {}"),
    ):  # fmt: skip
        if names := [name for name in ordered if verdicts[name] == verdict]:
            parts.append(said.format(_listed(names)))
    others = f"{', and '.join(parts)} (next {second}: {gap})"
    if beaten := [name for name in ordered if verdicts[name] == "better"]:
        return f"{who} has the {most} {what}, {shown}; it is better than {_listed(beaten)}, but {others}."
    nobody = f"None of these {models} trained models" if only else "No variant"
    return f"{nobody} can be called best: {best} has the {most} {what}, {shown}, but is {others}."


def _gap(row: PairDifference, found: Differences) -> str:
    measure, level = found.measure, f"{100 * found.choices.confidence:g}"
    said = f"{points(row.difference, measure)} {measure.unit}"
    if row.low is None or row.high is None:
        return said
    return f"{said}, {level} % interval {points(row.low, measure)} to {points(row.high, measure)}"


def _unit(judged: Judged) -> str:
    """The unit suffix of a length."""
    return "" if judged.measure.is_share else f" {judged.measure.unit}"


def _other(row: PairDifference, name: str) -> str:
    return row.second if row.first == name else row.first


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{len(names)} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rests_on(judged: Judged) -> str:
    """Scope of the verdict, the evidence, and its limitations."""
    comparison = judged.comparison
    seeds = sorted({len(variant.seeds) for variant in comparison.variants})
    groups = f" of {plural(comparison.group_count, 'group')}" if judged.case == "group" else ""
    evidence = f"{plural(comparison.image_count, f'{comparison.split} image')}{groups}"
    change = "reverse this result" if len(judged.names) > 1 else "give another score"
    means = judged.found[0].means if judged.found else ()
    if any(row.about == "models" for row in means) or seeds[0] < MINIMUM_SEEDS:
        about = f"This holds for the trained models alone, on new images like the {evidence}: retraining could {change}"
    else:
        each = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        about = (
            "This holds for retraining on this training set and split, and for new images, judged from "
            f"{each} seeds per variant and {evidence}"
        )
        if any(row.claim == "training within folds" for row in means):
            about += "; the folds share training images, so that it holds within these folds only"
    said = [about]
    open_ = [row for row in means if row.verdict == "not distinguishable" and row.needed is not None]
    best = judged.names[judged.ranked[0]]
    against = {_other(row, best): row for row in open_ if best in (row.first, row.second)}
    for name in (
        judged.names[i] for i in judged.ranked[1:] if len(judged.names) > 2
    ):  # of two the first sentence says it
        row = against.get(name)
        if row is not None and row.needed is not None:
            more = needs(judged.found[0], row.needed)
            said.append(
                f"telling {best} from {name} {more}" if more.startswith("needs") else f"for {best} and {name} {more}"
            )
            break
    if comparison.confounders:
        differ = plural(len(comparison.confounders), "other setting or circumstance", "other settings or circumstances")
        said.append(f"{differ} {'differs' if len(comparison.confounders) == 1 else 'differ'} besides what is compared")
    return "; ".join(said) + "."
