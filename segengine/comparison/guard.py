"""Refuses runs that are not comparable: different data, split, classes, ignored values or metric policy."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from segengine.comparison.confounders import setting_differences
from segengine.comparison.load import SPLITS, LoadedRun
from segengine.comparison.models import variant_names
from segengine.errors import ComparisonError, counted
from segengine.metrics.stacked import Stacked
from segengine.runs import names
from segengine.runs.tables import read_digests

_MOST_NAMED = 3
_OF_THE_DATA = ("data.", "evaluation.")


def evaluation_split(runs: Sequence[LoadedRun], wanted: str | None) -> str:
    """The split to compare on: `wanted`, or test if available, else validation.

    Raises:
        ComparisonError: some runs have no scores on it.
    """
    split = wanted or next((name for name in SPLITS if any(run.has(name) for run in runs)), SPLITS[0])
    lacking = [run for run in runs if not run.has(split)]
    if len(lacking) == len(runs):
        there = [name for name in SPLITS if all(run.has(name) for run in runs)]
        hint = f"; they have {' and '.join(there)} scores: --split {there[0]}" if there else "; run them again"
        raise ComparisonError(f"none of the runs has {split} scores{hint}")
    if lacking:
        having = _named(run for run in runs if run.has(split))
        raise ComparisonError(
            f"evaluation split: {split} scores in {having}; none in {_named(lacking)}; compare runs evaluated on the same split"
        )
    return split


def refuse_if_incomparable(runs: Sequence[LoadedRun], split: str, tables: Sequence[Stacked]) -> None:
    """Check that the scores of `runs` on `split` cover the same pixels, classes and means.

    `tables` are the runs' counts int64 [N, 3, K]. Runs of one fold must agree in everything; folds may differ only in
    their images.

    Raises:
        ComparisonError: one line per difference, with the values and their runs.
    """
    problems = [
        *_unequal("classes", runs, _labels),
        *_unequal("ignored mask values", runs, _ignored),
        *_other_policy(runs),
    ]
    problems += _unequal("images", runs, _names_of_images, lambda ids: counted(len(ids), "image"), _example_of_ids)
    for fold in dict.fromkeys(run.record.fold for run in runs):
        here = [i for i, run in enumerate(runs) if run.record.fold == fold]
        problems += _other_data([runs[i] for i in here], split, [tables[i] for i in here])
    if problems:
        lines = [f"  {line}" for line in dict.fromkeys([*problems, *_set_differently(runs)])]
        raise ComparisonError(
            "\n".join(
                [
                    "these runs can't be compared:",
                    *lines,
                    "  compare runs with identical data and policy, or retrain with the same settings",
                ]
            )
        )


def _set_differently(runs: Sequence[LoadedRun]) -> list[str]:
    """Settings of data and evaluation that differ, to be changed to make the runs comparable."""
    free = (("data", "cache"), ("data", "split", "fold"))
    found = setting_differences(runs, variant_names(runs), free)
    return [difference.text() for difference in found if difference.path.startswith(_OF_THE_DATA)]


def _other_data(runs: Sequence[LoadedRun], split: str, tables: Sequence[Stacked]) -> list[str]:
    splits = _unequal(
        f"{split} split", runs, lambda r: _ids(r, split), lambda ids: counted(len(ids), "image"), _example_of_ids
    )
    if splits:
        return splits
    problems = _unequal(
        "data fingerprint", runs, lambda run: run.record.data.fingerprint, lambda value: str(value)[:12]
    )
    changed = _other_truth(runs, split, tables)
    if problems:
        other = next(run for run in runs if run.record.data.fingerprint != runs[0].record.data.fingerprint)
        reasons = [_other_splits(runs[0], other) or _other_files(runs[0], other), changed]
        problems[0] += f" ({'; '.join(reason for reason in reasons if reason)})" if any(reasons) else ""
    return problems or ([changed] if changed else [])


def _other_splits(first: LoadedRun, second: LoadedRun) -> str:
    """Images assigned to different splits."""
    theirs = {row.id: row.split for row in second.images.values()}
    moved = [(r.id, r.split, theirs[r.id]) for r in first.images.values() if theirs.get(r.id, r.split) != r.split]
    if not moved:
        return ""
    name, mine, other = moved[0]
    more = f", and {len(moved) - 1} more are in another split" if len(moved) > 1 else ""
    return f"{name} is in {mine or 'no split'} of {first.name}, in {other or 'no split'} of {second.name}{more}"


def _other_files(first: LoadedRun, second: LoadedRun) -> str:
    """Image and mask files with different contents, if both runs recorded them."""
    mine, theirs = (_digests(run) for run in (first, second))
    said = []
    for place, kind in enumerate(("image", "mask")):
        changed = [id_ for id_, both in mine.items() if id_ in theirs and both[place] != theirs[id_][place]]
        if changed:
            more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
            said.append(
                f"{'other' if more or changed[1:] else 'another'} {kind} of {', '.join(changed[:_MOST_NAMED])}{more}"
            )
    return "; ".join(said)


def _digests(run: LoadedRun) -> dict[str, tuple[str, str]]:
    return {run.images[i].id: both for i, both in read_digests(run.folder / names.FILES).items() if i in run.images}


def _other_truth(runs: Sequence[LoadedRun], split: str, tables: Sequence[Stacked]) -> str:
    """Images with different pixel counts in the truth: a changed mask, another mapping or another size."""
    first = tables[0]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        if table.shape != first.shape:
            return ""
        rows = np.flatnonzero((table[:, 1] != first[:, 1]).any(axis=1))
        if rows.size:
            indices = run.indices(split)
            ids = [run.images[indices[row]].id for row in rows[:_MOST_NAMED]]
            more = f" and {rows.size - len(ids)} more" if rows.size > len(ids) else ""
            return f"the truth differs between {runs[0].name} and {run.name} in {', '.join(ids)}{more}"
    return ""


def _labels(run: LoadedRun) -> Hashable:
    return ", ".join(f"{label.raw}: {label.name}" for label in run.record.labels)


def _ignored(run: LoadedRun) -> Hashable:
    return ", ".join(map(str, run.record.ignored)) or "none"


def _other_policy(runs: Sequence[LoadedRun]) -> list[str]:
    policies = [run.record.metric_policy.model_dump(mode="json") for run in runs]
    problems = []
    for key in dict.fromkeys(key for policy in policies for key in policy if key != "checkpoint"):
        by_run = {run.name: _words(policy.get(key)) for run, policy in zip(runs, policies, strict=True)}
        problems += _unequal(f"metric policy, {key}", runs, lambda run, by_run=by_run: by_run[run.name])  # type: ignore[misc]
    return problems


def _words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _ids(run: LoadedRun, split: str) -> Hashable:
    return tuple(run.images[index].id for index in run.indices(split))


def _names_of_images(run: LoadedRun) -> Hashable:
    return tuple(sorted(row.id for row in run.images.values()))


def _example_of_ids(a: tuple[str, ...], b: tuple[str, ...]) -> str:
    only = sorted(set(a) ^ set(b))
    return (
        f"only in one of them: {', '.join(only[:_MOST_NAMED])}{' ...' if len(only) > _MOST_NAMED else ''}"
        if only
        else ""
    )


def _unequal(
    what: str,
    runs: Sequence[LoadedRun],
    key: Callable[[LoadedRun], Hashable],
    show: Callable[[Any], str] = str,
    example: Callable[[Any, Any], str] = lambda _a, _b: "",
) -> list[str]:
    """`what: this in these runs; that in those runs`, if the runs differ in `key`."""
    by_value: dict[Hashable, list[LoadedRun]] = {}
    for run in runs:
        by_value.setdefault(key(run), []).append(run)
    if len(by_value) < 2:
        return []
    parts = [f"{show(value)} in {_named(having)}" for value, having in by_value.items()]
    first, second, *_ = by_value
    said = example(first, second)
    return [f"{what}: {'; '.join(parts)}{f' ({said})' if said else ''}"]


def _named(runs: Iterable[LoadedRun]) -> str:
    names = [run.name for run in runs]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
