"""The methods paragraph for a paper, with references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segengine.comparison.statistics.differences import Differences
from segengine.figures.numbers import plural

if TYPE_CHECKING:
    from segengine.comparison.judge import Judged

REFERENCES = {
    "Dice 1945": "Dice, L. R. (1945). Measures of the amount of ecologic association between species. Ecology 26(3), 297-302.",
    "Jaccard 1912": "Jaccard, P. (1912). The distribution of the flora in the alpine zone. New Phytologist 11(2), 37-50.",
    "Efron & Tibshirani 1993": "Efron, B. & Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman & Hall, New York.",
    "Satterthwaite 1946": (
        "Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components. Biometrics Bulletin 2(6), 110-114."
    ),
    "Box 1954": (
        "Box, G. E. P. (1954). Some theorems on quadratic forms applied in the study of analysis of variance problems, I. "
        "Annals of Mathematical Statistics 25(2), 290-302."
    ),
    "Welch 1947": (
        "Welch, B. L. (1947). The generalization of 'Student's' problem when several different population variances are involved. "
        "Biometrika 34(1-2), 28-35."
    ),
    "Fisher 1935": "Fisher, R. A. (1935). The Design of Experiments. Oliver & Boyd, Edinburgh.",
    "Phipson & Smyth 2010": (
        "Phipson, B. & Smyth, G. K. (2010). Permutation p-values should never be zero. "
        "Statistical Applications in Genetics and Molecular Biology 9(1), 39."
    ),
    "Westfall & Young 1993": "Westfall, P. H. & Young, S. S. (1993). Resampling-Based Multiple Testing. Wiley, New York.",
    "Kendall 1945": "Kendall, M. G. (1945). The treatment of ties in ranking problems. Biometrika 33(3), 239-251.",
}  # fmt: skip
"""References by citation key."""


def methods(judged: Judged) -> str:
    """The methods paragraph with the numbers of images, groups and seeds."""
    said = [_compared(judged), _scores(judged), _trained(judged)]
    if judged.found and judged.found[0].rows:
        said.append(statistics(judged.found[0]))
        if judged.found[0].ranking is not None:
            said.append(_ranking(judged))
    versions = judged.record.versions
    used = [
        f"{name} {versions[key]}" for name, key in (("segengine", "segengine"), ("PyTorch", "torch")) if key in versions
    ]
    said.append(f"Computed with {' and '.join(used)}." if used else "")
    return " ".join(filter(None, said))


def references(text: str) -> list[str]:
    """References cited in a text, sorted by author."""
    return [full for key, full in sorted(REFERENCES.items()) if key in text]


def _compared(judged: Judged) -> str:
    comparison = judged.comparison
    seeds = sorted({len(variant.seeds) for variant in comparison.variants})
    each = plural(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    folds = {run.record.fold for model in comparison.models.models for run in model.runs} - {None}
    across = f" in {len(folds)}-fold cross-validation, the folds' images put together" if folds else ""
    factor = f" that differ in {comparison.factor.path}" if comparison.factor is not None else ""
    names = (
        ", ".join(judged.names)
        if len(judged.names) <= 12
        else f"{', '.join(judged.names[:12])} and {len(judged.names) - 12} more"
    )
    groups = (
        f" of {plural(comparison.group_count, 'group')} (patients, videos or scenes)" if judged.case == "group" else ""
    )
    others = len(comparison.confounders)
    besides = f" Besides, they differ in {plural(others, 'other respect')}." if others else ""
    return (
        f"We compared {plural(len(judged.names), 'variant')} ({names}){factor}, each trained with {each}{across}, on the same "
        f"{plural(comparison.image_count, f'{comparison.split} image')}{groups}.{besides}"
    )


def _scores(judged: Judged) -> str:
    over = [facts.name for facts in judged.comparison.classes if facts.averaged]
    left_out = [facts.name for facts in judged.comparison.classes if not facts.averaged]
    without = f" (without {', '.join(left_out)})" if left_out else ""
    source = {"dice": " (Dice 1945)", "iou": " (Jaccard 1912)"}.get(judged.metric, "")
    if not judged.from_counts:
        classes = f", then over {plural(len(over), 'class', 'classes')}" if len(judged.classes) > 1 else ""
        unit = "" if judged.measure.is_share else f"in {judged.measure.unit}, "
        undefined = (
            "where only truth or prediction has the class there is no value: a pair is compared over the images in which both "
            "variants have one, and the rates of images without one are compared beside it"
            if judged.comparison.undefined_as == "left-out"
            else "where only truth or prediction has the class, the image's diagonal stands for the missing distance"
        )
        per_group = " of each group, then over groups" if judged.kind == "per_group" else ""
        return (
            f"The score is {judged.word} ({unit}{judged.measure.better} is better), measured on each image at its own size and "
            f"averaged over the images that have a value{per_group}{classes}{without}; {undefined}."
        )
    return (
        f"The score is {judged.word}{source} at the images' own size, from pixel counts pooled over all images"
        f"{' of a group and averaged over groups' if judged.kind == 'per_group' else ''}, and averaged over "
        f"{plural(len(over), 'class', 'classes')}{without}; a class in neither truth nor prediction is undefined and left out, "
        "and pixels ignored in the truth count nowhere."
    )


def _trained(judged: Judged) -> str:
    budget, rule = judged.record.budget, getattr(judged.record.metric_policy, "checkpoint", None)
    same = not any(d.path.startswith(("budget", "trained", "training.")) for d in judged.comparison.confounders)
    parts = [f"{budget[key]:,} {key}" for key in ("epochs", "steps", "images") if isinstance(budget.get(key), int)]
    more = f" ({', '.join(parts[1:])} seen)" if len(parts) > 1 else ""
    if budget.get("minutes"):  # how many steps that made is each run's own
        parts, more = [f"the same {budget['minutes']:g} minute{'s' * (budget['minutes'] != 1)}"], ""
    trained = f"Every model was trained for {parts[0]}{more}" if parts and same else ""
    kept = f"The checkpoint kept is that with the {rule}" if rule else ""
    return " ".join(f"{part}." for part in (trained, kept) if part)


def _ranking(judged: Judged) -> str:
    several = all(row.about == "variants" for row in judged.found[0].means)
    what = f"{judged.case}s" + (" and seeds" if several else "")
    return (
        f"The stability of the order was assessed with {judged.choices.resamples:,} draws with the variance from {what}, as "
        "wide as the simultaneous intervals, and Kendall's tau-b with the order of the mean scores (Kendall 1945)."
    )


def statistics(found: Differences) -> str:
    """How the differences were judged, with citations."""
    unit = "group" if found.grouped else "image"
    level = f"{100 * found.choices.confidence:g} %"
    exchanges = "all exchanges" if found.exact else f"{found.choices.resamples:,} random exchanges"
    several = any(row.about == "variants" for row in found.rows)
    single = any(row.about == "models" for row in found.rows)
    said = [
        f"Paired differences over the same {found.units} {unit}s ({found.images} images) have standard errors by the "
        f"jackknife over {unit}s (Efron & Tibshirani 1993), with degrees of freedom from the kurtosis (Satterthwaite 1946; Box "
        f"1954), and simultaneous {level} intervals"
    ]
    if several:
        said.append(
            f"For variants with at least 3 seeds the variance between seeds is added (Welch 1947), {unit}s crossed with "
            "seeds, and t tests are Bonferroni-adjusted: the verdict is about training anew, given this training set and "
            "split, and about new images"
        )
    if single:
        said.append(
            f"With fewer than 3 seeds, or fewer than 10 {unit}s with a class, the verdict is about the trained models alone, "
            f"tested by {exchanges} of the two variants' results in random {unit}s, jointly for all pairs (Fisher 1935; "
            "Westfall & Young 1993; Phipson & Smyth 2010)"
        )
    said.append(
        "P values and intervals are adjusted over pairs for the mean, over pairs and classes for the classes: a variant is "
        f"called better or worse exactly where its adjusted p is at most {1 - found.choices.confidence:.2g} and the interval "
        "excludes 0. Two are called practically equal where two one-sided tests, adjusted likewise, show a difference "
        f"within ±{found.measure.factor * found.choices.margin:g} {found.measure.unit}"
    )
    said.append(
        "Numbers of further images or seeds are those with which the same test has a power of 80 % to find the difference, or "
        "to show that it is within the margin, were the true difference the one observed"
    )
    return ". ".join(said) + "."
