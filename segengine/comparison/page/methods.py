"""How the comparison was made, as a paragraph for a paper, with the literature that it cites."""

from __future__ import annotations

from segengine.comparison.page.view import View
from segengine.comparison.words import methods as statistics
from segengine.figures.numbers import plural

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
    "Holm 1979": (
        "Holm, S. (1979). A simple sequentially rejective multiple test procedure. "
        "Scandinavian Journal of Statistics 6(2), 65-70."
    ),
    "Davison & Hinkley 1997": (
        "Davison, A. C. & Hinkley, D. V. (1997). Bootstrap Methods and their Application. Cambridge University Press."
    ),
    "Kendall 1938": "Kendall, M. G. (1938). A new measure of rank correlation. Biometrika 30(1-2), 81-93.",
}  # fmt: skip
"""What can be cited, as it is cited in the text."""


def paragraph(view: View) -> str:
    """The methods, the numbers of images, groups and seeds filled in."""
    said = [_compared(view), _scores(view), _trained(view)]
    if view.found and view.found[0].rows:
        said.append(statistics(view.found[0]))
        if view.found[0].ranking is not None:
            said.append(_ranking(view))
    versions = view.record.versions
    used = [
        f"{name} {versions[key]}" for name, key in (("segengine", "segengine"), ("PyTorch", "torch")) if key in versions
    ]
    said.append(f"Computed with {' and '.join(used)}." if used else "")
    return " ".join(filter(None, said))


def references(text: str) -> list[str]:
    """The literature that a text cites, in the order of the authors' names."""
    return [full for key, full in sorted(REFERENCES.items()) if key in text]


def _compared(view: View) -> str:
    comparison = view.comparison
    seeds = sorted({len(variant.seeds) for variant in comparison.variants})
    each = plural(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    folds = {run.record.fold for unit in comparison.units.units for run in unit.runs} - {None}
    across = f" in {len(folds)}-fold cross-validation, the folds' images put together" if folds else ""
    factor = f" that differ in {comparison.factor.path}" if comparison.factor is not None else ""
    names = (
        ", ".join(view.names)
        if len(view.names) <= 12
        else f"{', '.join(view.names[:12])} and {len(view.names) - 12} more"
    )
    groups = (
        f" of {plural(comparison.group_count, 'group')} (patients, videos or scenes)"
        if view.units_word == "group"
        else ""
    )
    others = len(comparison.confounders)
    besides = f" Besides, they differ in {plural(others, 'other respect')}." if others else ""
    return (
        f"We compared {plural(len(view.names), 'variant')} ({names}){factor}, each trained with {each}{across}, on the same "
        f"{plural(comparison.image_count, f'{comparison.split} image')}{groups}.{besides}"
    )


def _scores(view: View) -> str:
    over = [facts.name for facts in view.comparison.classes if facts.averaged]
    left_out = [facts.name for facts in view.comparison.classes if not facts.averaged]
    without = f" (without {', '.join(left_out)})" if left_out else ""
    source = {"dice": " (Dice 1945)", "iou": " (Jaccard 1912)"}.get(view.metric, "")
    if not view.from_counts:
        classes = f", then over {plural(len(over), 'class', 'classes')}" if len(view.classes) > 1 else ""
        unit = "" if view.measure.is_share else f"in {view.measure.unit}, "
        return (
            f"The score is {view.word} ({unit}{view.measure.better} is better), measured on each image at its own size and averaged over "
            f"the images that have a value{classes}"
            f"{without}; images in which some model has no value though truth or prediction has the class are left out for all models."
        )
    return (
        f"The score is {view.word}{source} at the images' own size, from pixel counts pooled over all images, and averaged "
        f"over {plural(len(over), 'class', 'classes')}{without}; a class in neither truth nor prediction is undefined and left out, "
        "and pixels ignored in the truth count nowhere."
    )


def _trained(view: View) -> str:
    budget, rule = view.record.budget, getattr(view.record.metric_policy, "checkpoint", None)
    same = not any(d.path.startswith(("budget", "trained", "training.")) for d in view.comparison.confounders)
    parts = [f"{budget[key]:,} {key}" for key in ("epochs", "steps", "images") if isinstance(budget.get(key), int)]
    more = f" ({', '.join(parts[1:])} seen)" if len(parts) > 1 else ""
    if budget.get("minutes"):  # how many steps that made is each run's own
        parts, more = [f"the same {budget['minutes']:g} minutes"], ""
    trained = f"Every model was trained for {parts[0]}{more}" if parts and same else ""
    kept = f"The checkpoint kept is that with the {rule}" if rule else ""
    return " ".join(f"{part}." for part in (trained, kept) if part)


def _ranking(view: View) -> str:
    several = all(len(variant.seeds) > 1 for variant in view.comparison.variants)
    what = f"{view.units_word}s" + (" and seeds" if several else "")
    return (
        f"The stability of the order was assessed with {view.choices.resamples:,} bootstrap resamples of {what} "
        "(Davison & Hinkley 1997) and Kendall's tau with the order seen (Kendall 1938)."
    )
