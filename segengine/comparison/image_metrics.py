"""Comparison by a metric with values per image, in addition to metrics from counts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.load import LoadedRun
from segengine.comparison.measures import METRICS, Measure, Metric, kinds_of
from segengine.comparison.models import Model
from segengine.comparison.samples import rated_classes
from segengine.comparison.summary import ClassFacts, Comparison, Refusal, VariantSummary, score_table
from segengine.components.built_ins import BUILT_INS
from segengine.errors import ComparisonError, RunError
from segengine.metrics.pairs import STATES
from segengine.registry import suggest
from segengine.runs.values import MetricRecord, read_values, stored_labels

Values = NDArray[np.float64]
Undefined = Literal["left-out", "worst"]
_ONE_SIDED = ("truth only", "prediction only")
_MOST_NAMED = 3


def with_values(comparison: Comparison, wanted: Metric, undefined: Undefined = "left-out") -> tuple[Comparison, Metric]:
    """The comparison with the values of a metric of each image, and the metric's label; `wanted` is it, or a name.

    An image in which only truth or only the prediction has a class has no distance. Pairs are compared without the images
    that one of the two lacks. Tables leave an image out for all variants, so that their means are over the same images; a
    variant that lacks more than half of the values of a class takes no image from the others. Where `undefined` is
    `worst`, the image's diagonal stands for it instead. Notes say how many there are.

    Raises:
        ComparisonError: runs lack the values, or measured them differently.
        RunError: a table is damaged.
    """
    runs = [run for model in comparison.models.models for run in model.runs]
    label = _label(runs, comparison.split, wanted)
    _refuse_if_lacking(runs, comparison.split, label)
    record = _same_record(runs, comparison.split, label)
    tables = [_values(model, comparison, label) for model in comparison.models.models]
    missing = [np.isnan(values) & one_sided for values, one_sided, _ in tables]
    if undefined == "worst":
        worst = _diagonals(comparison, record)
        found = [np.where(gone, worst, values) for gone, (values, *_) in zip(missing, tables, strict=True)]
        lost = np.zeros_like(missing[0])
    else:
        found = [values for values, *_ in tables]
        lost = _left_out(comparison, missing, found)
    models = tuple(
        replace(
            model,
            image_values={**model.image_values, label: np.where(lost, np.nan, values)},
            own_values={**model.own_values, label: values},
            undefined={**model.undefined, label: gone},
        )
        for model, values, gone in zip(comparison.models.models, found, missing, strict=True)
    )
    measure = _measure(record)
    facts, without, notes = _classes(comparison, record, models, label)
    over = list(rated_classes(replace(comparison, classes=facts, undefined=without)))
    rule = "the image's diagonal stands for it" if undefined == "worst" else "such an image has no value"
    rules = [rule if gone else "such an image has a value like any other" for gone in np.any(missing, axis=(0, 1))]
    changed = replace(
        comparison,
        classes=facts,
        undefined=without,
        undefined_as=undefined,
        models=replace(comparison.models, models=models),
        measures={**comparison.measures, label: measure},
        undefined_images={
            name: (sum(missing[i][:, over].any(axis=1).sum() for i in places), len(places) * comparison.image_count)
            for name, places in _places(comparison).items()
        },
        notes=(
            *comparison.notes,
            *notes,
            *_notes(replace(comparison, classes=facts), record.words, [t[2] for t in tables], lost, rules),
        ),
    )
    return replace(changed, variants=_variants(changed, label, by_class=record.by_class)), label


def _left_out(
    comparison: Comparison, missing: Sequence[NDArray[np.bool_]], found: Sequence[Values]
) -> NDArray[np.bool_]:
    """What tables leave out for all variants, bool [N, K]: what one lacks that has at least half of a class's values."""
    lost = np.zeros_like(missing[0])
    for places in _places(comparison).values():
        gone = np.stack([missing[i] for i in places])
        having = sum((~np.isnan(found[i])).sum(axis=0) for i in places)
        lost |= gone.any(axis=0) & (gone.sum(axis=(0, 1)) <= having)
    return lost


def _places(comparison: Comparison) -> dict[str, list[int]]:
    """Indices of each variant's models among all models."""
    places: dict[str, list[int]] = {}
    for place, model in enumerate(comparison.models.models):
        places.setdefault(model.variant, []).append(place)
    return places


def _diagonals(comparison: Comparison, record: MetricRecord) -> Values:
    """Diagonal of each image in the metric's unit, float64 [N, 1]: the upper bound of distances."""
    height, width = record.spacing or (1.0, 1.0)
    model = comparison.models.models[0]
    rows = [run.images[index] for run in model.runs for index in run.indices(comparison.split)]
    return np.array([[np.hypot(row.height * height, row.width * width)] for row in rows])


def _classes(
    comparison: Comparison, record: MetricRecord, models: Sequence[Model], label: str
) -> tuple[tuple[ClassFacts, ...], tuple[str, ...], list[str]]:
    """The classes, the policy's classes excluded from means, and the reasons: a variant has no value for them."""
    if not record.by_class:
        return (ClassFacts("image", True, comparison.image_count, 0),), (), []
    wanted = [k for k, fact in enumerate(comparison.classes) if fact.averaged or fact.name in comparison.undefined]
    has = {
        name: np.all([~np.isnan(models[i].image_values[label]).all(axis=0) for i in places], axis=0)
        for name, places in _places(comparison).items()
    }
    some = {name: present for name, present in has.items() if present[wanted].any()}
    over = [k for k in wanted if some and all(present[k] for present in some.values())]
    facts = tuple(replace(fact, averaged=k in over) for k, fact in enumerate(comparison.classes))
    without, notes = [], []
    for k in wanted:
        if k not in over:
            without.append(facts[k].name)
            lacking = [name for name in has if not has[name][k]]
            if all(not np.isnan(model.own_values[label][:, k]).all() for model in models):
                notes.append(
                    f"the means are without {facts[k].name}: in no image every variant has {record.words} of it"
                )
                continue
            who = "no variant has" if len(lacking) == len(has) else f"{', '.join(lacking)} {_have(lacking)} no"
            notes.append(f"the means are without {facts[k].name}: {who} {record.words} of it in any image")
    if over and (empty := [name for name in has if name not in some]):
        notes.append(f"{', '.join(empty)} {_have(empty)} no {record.words} in any image, and no mean")
    return facts, tuple(without), notes


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def measured(
    results: Sequence[Comparison | Refusal], wanted: Metric, undefined: Undefined = "left-out"
) -> tuple[list[Comparison | Refusal], Metric]:
    """Each comparison with the values of a metric, or the reason for missing ones; and the metric's label."""
    made: list[Comparison | Refusal] = []
    label = wanted
    for result in results:
        if isinstance(result, Refusal):
            made.append(result)
            continue
        try:
            comparison, label = with_values(result, wanted, undefined)
            made.append(comparison)
        except (ComparisonError, RunError) as error:
            made.append(Refusal(result.title, str(error), result.others))
    return made, label


def _measure(record: MetricRecord) -> Measure:
    """A share like Dice, or a length, of which no difference below one pixel can be seen."""
    if record.unit is None:
        return Measure(record.words, record.better)
    return Measure(record.words, record.better, record.unit, factor=1.0, margin=max(record.spacing or (1.0,)))


def _label(runs: Sequence[LoadedRun], split: str, wanted: str) -> str:
    """The stored label of the metric `wanted`, which is a label, or a name with or without settings."""
    there = sorted({label for run in runs for label in stored_labels(run.folder, split)})
    if wanted in there:
        return wanted
    named = [label for label in there if label.startswith(f"{wanted}-")]
    if len(named) > 1:
        raise ComparisonError(f"--metric {wanted}: the runs have {', '.join(named)}; name one of them")
    return named[0] if named else wanted


def _refuse_if_lacking(runs: Sequence[LoadedRun], split: str, label: str) -> None:
    having = [run for run in runs if label in stored_labels(run.folder, split)]
    lacking = [run for run in runs if run not in having]
    if not lacking:
        return
    there = sorted({stored for run in runs for stored in stored_labels(run.folder, split)})
    known = [*METRICS, *there, *_names()]
    near = "" if having or label in known else suggest(label, known)
    more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
    said = f"--metric {label}: not measured on the {split} images of {', '.join(run.name for run in lacking[:_MOST_NAMED])}{more}"
    how = _asking_for(having[0], split, label) if having else label
    commands = [
        f"  segengine evaluate {shlex.quote(str(run.folder.path))} --metric {how} --split {split} --save"
        for run in lacking[:_MOST_NAMED]
    ]
    raise ComparisonError("\n".join([f"{said}; {f'{near} Else ' if near else ''}add it:", *commands]))


def _names() -> list[str]:
    """Names of the metrics measured per image."""
    return [entry.name for entry in BUILT_INS if entry.group.endswith(".metrics")]


def _asking_for(run: LoadedRun, split: str, label: str) -> str:
    """The value of --metric with the same settings as in a run that has the metric."""
    record = read_values(run.folder, split, label, run.indices(split))[0]
    settings = ", ".join(f"{key}: {json.dumps(value)}" for key, value in record.settings.items() if key != "name")
    name = str(record.settings["name"])
    text = shlex.quote(f"{{name: {name}, {settings}}}") if settings else name
    if record.spacing is None:
        return text
    declared = "auto" if record.spacing_by_image else f"[{record.spacing[0]:g}, {record.spacing[1]:g}]"
    spacing = shlex.quote(f"evaluation.spacing={declared}")
    return f"{text} -s {spacing}" + (f" -s {shlex.quote(f'evaluation.unit={record.unit}')}" if record.unit else "")


def _same_record(runs: Sequence[LoadedRun], split: str, label: str) -> MetricRecord:
    records = [read_values(run.folder, split, label, run.indices(split))[0] for run in runs]
    for run, record in zip(runs, records, strict=True):
        if record != records[0]:
            given = [f"{_settings(r)} in {who.name}" for who, r in ((runs[0], records[0]), (run, record))]
            raise ComparisonError(f"--metric {label}: measured differently: {'; '.join(given)}; measure both alike")
    return records[0]


def _settings(record: MetricRecord) -> str:
    spacing = (
        "pixels" if record.spacing is None else f"{record.spacing[0]:g} x {record.spacing[1]:g} {record.unit or ''}"
    )
    if record.spacing_by_image:
        spacing = f"of each image file, at most {spacing}"
    return f"{record.words} with spacing {spacing.strip()}"


def _values(model: Model, comparison: Comparison, label: str) -> tuple[Values, NDArray[np.bool_], NDArray[np.uint8]]:
    """Values [N, K] (or [N, 1]), NaN where undefined or not measured; where a class is only in truth or prediction; states."""
    found = [read_values(run.folder, comparison.split, label, run.indices(comparison.split))[1] for run in model.runs]
    values, states = (np.concatenate([getattr(each, part) for each in found]) for part in ("values", "states"))
    classes = found[0].classes
    if classes is not None:
        shape = (len(values), len(comparison.classes))
        wide, wide_states = np.full(shape, np.nan), np.zeros(shape, np.uint8)
        wide[:, list(classes)], wide_states[:, list(classes)] = values, states
        values, states = wide, wide_states
    return values, np.isin(states, [STATES.index(state) for state in _ONE_SIDED]), states


def _variants(comparison: Comparison, label: str, *, by_class: bool) -> tuple[VariantSummary, ...]:
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    made = []
    for variant, members in zip(comparison.variants, comparison.models.by_variant().values(), strict=True):
        found = {
            (label, kind): score_table(members, comparison.models.groups, label, kind, averaged)
            for kind in kinds_of(label, grouped=comparison.grouped)
        }
        made.append(replace(variant, scores={**(variant.scores if by_class else {}), **found}))
    return tuple(made)


def _notes(
    comparison: Comparison,
    label: str,
    states: Sequence[NDArray[np.uint8]],
    lost: NDArray[np.bool_],
    rules: Sequence[str],
) -> list[str]:
    """One note per class: the number of images excluded from its means or counted as worst."""
    notes = []
    for k, fact in enumerate(comparison.classes):
        said = []
        for name, members in comparison.models.by_variant().items():
            of = [
                table[:, k] for model, table in zip(comparison.models.models, states, strict=True) if model in members
            ]
            counts = [sum(int((table == STATES.index(state)).sum()) for table in of) for state in _ONE_SIDED]
            words = [f"{verb} in {n}" for verb, n in zip(("missed it", "predicted it alone"), counts, strict=True) if n]
            if words:
                said.append(f"{name} {' and '.join(words)} of {len(of) * len(lost)} predictions")
        if said:
            left = int(lost[:, k].sum())
            rule = f"tables leave {left} of {len(lost)} images out for all variants" if left else rules[k]
            notes.append(f"{label} of {fact.name}: {'; '.join(said)}; {rule}")
    return notes
