"""All sentences about a judged comparison, shared verbatim by all outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from segengine.comparison.fairness import Fairness, fairness
from segengine.comparison.measures import KIND_NAMES
from segengine.comparison.methods import methods, references
from segengine.comparison.pairs import rate_sentence
from segengine.comparison.statistics.differences import Differences
from segengine.comparison.summary import Comparison, Refusal
from segengine.comparison.verdict import verdict

if TYPE_CHECKING:
    from segengine.comparison.judge import Judged

_MOST_IN_ORDER = 10


@dataclass(frozen=True)
class Sentences:
    """`about`: images and classes; `verdict`: the best variant and the evidence; then pairs, ranking, what was compared,
    notes, excluded runs, and the methods paragraph.
    """

    about: tuple[str, ...]
    verdict: tuple[str, ...]
    pairs: tuple[str, ...]
    order: tuple[str, ...]
    fairness: Fairness
    methods: str
    references: tuple[str, ...]

    def all(self) -> list[str]:
        """Each sentence, in the order in which text outputs have them."""
        return [*self.about, *self.verdict, *self.fairness.lines(), *self.pairs, *self.order, self.methods]


def sentences(judged: Judged) -> Sentences:
    """All sentences about a comparison."""
    said = methods(judged)
    return Sentences(
        tuple(about(judged.comparison)),
        verdict(judged),
        tuple(_pairs(judged)),
        tuple(order(judged.found[0]) if judged.found else ()),
        fairness(judged.comparison, (*budget(judged.comparison), *_about_costs(judged), *_about_means(judged))),
        said,
        tuple(references(said)),
    )


def about(comparison: Comparison) -> list[str]:
    """The images and groups of the scores, and the classes of the means."""
    group_count = comparison.group_count
    groups = f" of {group_count} group{'s' * (group_count != 1)}" if comparison.grouped else ""
    images = f"{comparison.image_count} {comparison.split} image{'s' * (comparison.image_count != 1)}{groups}"
    left_out = [facts.name for facts in comparison.classes if not facts.averaged]
    without = f", without {', '.join(left_out)}" if left_out else ""
    plural = "class" if len(comparison.averaged) == 1 else "classes"
    return [
        f"{images}; means over {len(comparison.averaged)} {plural}: {', '.join(comparison.averaged) or '-'}{without}"
    ]


def _pairs(judged: Judged) -> Iterator[str]:
    """One sentence per displayed pair, for two variants the verdict; then of the rates of undefined images that differ."""
    if judged.found and len(judged.names) > 2:
        yield from _of_means(judged)
    if judged.rates is not None:
        yield from (
            rate_sentence(judged.rates, row, judged.word) for row in judged.pairs(judged.rates) if row.difference
        )


def _of_means(judged: Judged) -> Iterator[str]:
    found = judged.found[0]
    shown = judged.pairs(found)
    yield from (judged.sentence(found, row) for row in shown)
    if len(shown) < len(found.means):
        yield (
            f"of {len(found.means):,} pairs those with {judged.names[judged.ranked[0]]}, the first by mean {judged.word}, are "
            "shown; --json and --out have all"
        )


def _about_means(judged: Judged) -> Iterator[str]:
    """The kind of mean that the verdict uses."""
    if judged.found and len(judged.kinds) > 1:
        others = " and ".join(KIND_NAMES[kind] for kind in judged.kinds[1:])
        because = (
            "the groups are what a new sample consists of" if judged.kind == "per_group" else "it uses every pixel"
        )
        yield f"verdict, order and fronts are about the {_mean_of(judged)}, as {because}; tables give {others} beside it"


def _mean_of(judged: Judged) -> str:
    return f"mean {judged.word} {KIND_NAMES[judged.kind]}"


def _about_costs(judged: Judged) -> Iterator[str]:
    """Definition of Pareto fronts, costs that can't be compared, and unreadable records."""
    costs = judged.costs
    if len(judged.names) > 1 and any(cost.front for cost in costs):
        yield (
            "Pareto front: no other variant has at least the same mean score at no more of that cost; it is drawn by mean "
            "scores alone, whose differences may be chance"
        )
    labels: dict[str, list[str]] = {}
    for cost in costs:
        if cost.problem:
            labels.setdefault(cost.problem, []).append(cost.label)
    for why, which in labels.items():
        yield f"no front by {', '.join(which)}: {why}"
    for model in judged.comparison.models.models:
        yield from (run.cost_problem for run in model.runs if run.cost_problem)


def budget(comparison: Comparison) -> Iterator[str]:
    """Training done within equal minutes; epochs, steps and images are medians over a variant's runs."""
    runs = {
        name: [r.record for model in models for r in model.runs]
        for name, models in comparison.models.by_variant().items()
    }
    minutes = {record.budget.get("minutes") for records in runs.values() for record in records}
    if len(minutes) != 1 or None in minutes:
        return
    came = []
    for name, records in runs.items():
        trained = [record.trained for record in records if record.trained is not None]
        if trained:
            epochs, steps, images = (median(getattr(t, key) for t in trained) for key in ("epochs", "steps", "images"))
            came.append(f"{name} {epochs:.1f} epochs ({steps:,.0f} steps, {images:,.0f} images)")
    yield f"budget: {minutes.pop():g} minutes of training each, which came to: {'; '.join(came)}"


def refusals(results: Sequence[Comparison | Refusal]) -> list[str]:
    """Reasons for missing tables; an unfinished experiment is not reported if another one is finished."""
    some = any(isinstance(result, Comparison) for result in results)
    return [f"{r.title}: {r.message}" for r in results if isinstance(r, Refusal) and not (some and r.unfinished)]


def order(found: Differences) -> list[str]:
    """Stability of the ranking: how often each variant came first, and its ranks."""
    rank = found.ranking
    if rank is None:
        return []
    names = list(dict.fromkeys(name for row in found.means for name in (row.first, row.second)))
    shown = sorted(range(len(names)), key=lambda i: rank.mean_rank[i])[:_MOST_IN_ORDER]
    seeds = " and seeds" if all(row.about == "variants" for row in found.means) else ""
    each = ", ".join(
        f"{names[i]} first in {100 * rank.best[i]:.0f} % (rank {low}{f'-{high}' if high != low else ''})"
        for i in shown
        for low, high in [rank.ranks[i]]
    )
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    unit = "groups" if found.grouped else "images"
    return [
        f"order in {found.choices.resamples:,} draws with the variance from {unit}{seeds}: {each}{more}; Kendall's tau-b with the "
        f"order of the mean scores {rank.stability:.2f}"
    ]
