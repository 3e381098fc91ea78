"""A comparison on a metric beside those from counts, from its value in each image."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.load import LoadedRun
from segengine.comparison.measures import SHARE, Measure
from segengine.comparison.summary import ClassFacts, Comparison, Metric, Refusal, ScoreTable, Spread, VariantSummary
from segengine.comparison.units import Unit
from segengine.components.built_ins import BUILT_INS
from segengine.errors import ComparisonError, RunError
from segengine.metrics.pairs import STATES
from segengine.registry import suggest
from segengine.runs.values import MetricRecord, read_values, stored_labels

Values = NDArray[np.float64]
_ONE_SIDED = ("truth only", "prediction only")
_MOST_NAMED = 3


def with_values(comparison: Comparison, wanted: Metric) -> tuple[Comparison, Metric]:
    """The comparison with the values of a metric of each image, and the metric's label; `wanted` is it, or a name.

    An image in which some model has no value though truth or prediction has the class (no distance where one of them
    lacks it) counts for no model, so that all means are over the same images; notes say how many there are.

    Raises:
        ComparisonError: runs lack the values, or measured them differently.
        RunError: a table is damaged.
    """
    runs = [run for unit in comparison.units.units for run in unit.runs]
    label = _label(runs, comparison.split, wanted)
    _refuse_if_lacking(runs, comparison.split, label)
    record = _same_record(runs, comparison.split, label)
    tables = [_values(unit, comparison, label) for unit in comparison.units.units]
    lost = np.any([np.isnan(values) & one_sided for values, one_sided, _ in tables], axis=0)
    units = tuple(
        replace(unit, values={**unit.values, label: np.where(lost, np.nan, values)})
        for unit, (values, _, _) in zip(comparison.units.units, tables, strict=True)
    )
    measure = Measure(record.words, record.better, "points" if record.unit is None else record.unit, _factor(record))
    facts = comparison.classes if record.by_class else (ClassFacts("image", True, comparison.image_count, 0),)
    changed = replace(
        comparison,
        classes=facts,
        units=replace(comparison.units, units=units),
        measures={**comparison.measures, label: measure},
        left_out={**comparison.left_out, label: int(lost.any(axis=1).sum())},
        notes=(*comparison.notes, *_notes(comparison, facts, measure, [states for *_, states in tables], lost)),
    )
    return replace(changed, variants=_variants(changed, label, by_class=record.by_class)), label


def measured(results: Sequence[Comparison | Refusal], wanted: Metric) -> tuple[list[Comparison | Refusal], Metric]:
    """Each comparison with the values of a metric, or why there are none; and the metric's label."""
    made: list[Comparison | Refusal] = []
    label = wanted
    for result in results:
        if isinstance(result, Refusal):
            made.append(result)
            continue
        try:
            comparison, label = with_values(result, wanted)
            made.append(comparison)
        except (ComparisonError, RunError) as error:
            made.append(Refusal(result.title, str(error), result.others))
    return made, label


def margin_factor(results: Sequence[Comparison | Refusal], metric: Metric) -> float:
    """How many of the units that a margin is given in make one of the metric's values: 100 points, or 1 mm."""
    factors = {result.measure(metric).factor for result in results if isinstance(result, Comparison)}
    return factors.pop() if len(factors) == 1 else SHARE.factor


def _factor(record: MetricRecord) -> float:
    return SHARE.factor if record.unit is None else 1.0


def _label(runs: Sequence[LoadedRun], split: str, wanted: str) -> str:
    """The label that is stored, of the metric that `wanted` names: itself, or the one with this name and settings."""
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
    known = ["dice", "iou", *there, *_names()]
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
    """What metrics measured on each image are called."""
    return [entry.name for entry in BUILT_INS if entry.group.endswith(".metrics")]


def _asking_for(run: LoadedRun, split: str, label: str) -> str:
    """What to write after --metric so that it is measured as in a run that has it."""
    record = read_values(run.folder, split, label, run.indices(split))[0]
    settings = ", ".join(f"{key}: {json.dumps(value)}" for key, value in record.settings.items() if key != "name")
    name = str(record.settings["name"])
    text = shlex.quote(f"{{name: {name}, {settings}}}") if settings else name
    if record.spacing is None:
        return text
    spacing = shlex.quote(f"evaluation.spacing=[{record.spacing[0]:g}, {record.spacing[1]:g}]")
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
    return f"{record.words} with spacing {spacing.strip()}"


def _values(unit: Unit, comparison: Comparison, label: str) -> tuple[Values, NDArray[np.bool_], NDArray[np.uint8]]:
    """Values [N, K] (or [N, 1]), NaN where undefined or not measured; where truth or prediction alone has the class; states."""
    found = [read_values(run.folder, comparison.split, label, run.indices(comparison.split))[1] for run in unit.runs]
    values, states = (np.concatenate([getattr(each, part) for each in found]) for part in ("values", "states"))
    classes = found[0].classes
    if classes is not None:
        shape = (len(values), len(comparison.classes))
        wide, wide_states = np.full(shape, np.nan), np.zeros(shape, np.uint8)
        wide[:, list(classes)], wide_states[:, list(classes)] = values, states
        values, states = wide, wide_states
    return values, np.isin(states, [STATES.index(state) for state in _ONE_SIDED]), states


def means_of(values: Values) -> Values:
    """The mean over the images that have a value, float64 [K]; NaN where none has."""
    count = (~np.isnan(values)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=0) / np.where(count, count, np.nan))


def _variants(comparison: Comparison, label: str, *, by_class: bool) -> tuple[VariantSummary, ...]:
    averaged = [k for k, facts in enumerate(comparison.classes) if facts.averaged]
    made = []
    for variant, members in zip(comparison.variants, comparison.units.by_variant().values(), strict=True):
        means = [means_of(unit.values[label]) for unit in members]
        each = [values[averaged][~np.isnan(values[averaged])] for values in means]
        table = ScoreTable(
            Spread.of([float(known.mean()) if known.size else None for known in each]),
            tuple(Spread.of([float(values[k]) for values in means]) for k in range(len(comparison.classes))),
        )
        others = variant.scores if by_class else {}
        made.append(replace(variant, scores={**others, (label, "per_image"): table}))
    return tuple(made)


def _notes(
    comparison: Comparison,
    facts: Sequence[ClassFacts],
    measure: Measure,
    states: Sequence[NDArray[np.uint8]],
    lost: NDArray[np.bool_],
) -> list[str]:
    """For each class: over how many images its means are, and what they leave out or count as worst."""
    notes = []
    for k, fact in enumerate(facts):
        said = []
        for name, members in comparison.units.by_variant().items():
            of = [table[:, k] for unit, table in zip(comparison.units.units, states, strict=True) if unit in members]
            counts = [sum(int((table == STATES.index(state)).sum()) for table in of) for state in _ONE_SIDED]
            words = [f"{verb} in {n}" for verb, n in zip(("missed it", "predicted it alone"), counts, strict=True) if n]
            if words:
                said.append(f"{name} {' and '.join(words)} of {len(of) * len(lost)} predictions")
        if said:
            left = int(lost[:, k].sum())
            rule = (
                f"{left} of {len(lost)} images are left out for all models"
                if left
                else "such an image has a value like any other"
            )
            notes.append(f"{measure.words} of {fact.name}: {'; '.join(said)}; {rule}")
    return notes
