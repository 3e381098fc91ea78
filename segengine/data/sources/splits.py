"""Train, validation and test splits by folders, fractions or folds; groups are never divided."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from segengine.data.sources.records import SPLITS, Record, listed
from segengine.errors import DataError, SpecError, counted

_MOST_SWAPS = 400


@dataclass(frozen=True)
class Fractions:
    """Fractions of the images for train, validation and test; they sum to one."""

    train: float
    validation: float
    test: float = 0.0
    by: Literal["image", "group"] = "image"
    group: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Folds:
    """Cross-validation: fold j of `folds` is the test set; `validation` is the fraction of the rest for validation.

    With 0 there is no validation set, and the last checkpoint is used.
    """

    folds: int
    validation: float = 0.1
    by: Literal["image", "group"] = "image"
    group: str | None = None
    seed: int = 0


SplitPlan = Fractions | Folds


def split_records(
    records: Sequence[Record], plan: SplitPlan | None = None, *, group: str | None = None, fold: int | None = None
) -> tuple[Record, ...]:
    """The records, sorted by id, each with its group and its split.

    The result depends only on ids, groups and seed, not on the order of the records or the machine. Fractions are
    approximated with whole groups, counted in images. If folders give some splits, fractions can divide "train" into
    the missing ones.

    Args:
        records: the source's records.
        plan: how to split; None for the splits given by folders.
        group: regular expression on a file's name without suffix that finds the group (its first parenthesis, or
            the whole match); by default the plan's.
        fold: the test fold, from 0; required with folds, invalid otherwise.

    Raises:
        DataError: a name without a match, a group in two splits, or too few groups.
        SpecError: settings that contradict each other or the folders.
    """
    ordered = sorted(records, key=lambda r: r.id)
    pattern = group if group is not None else (plan.group if plan is not None else None)
    if plan is not None and plan.by == "group" and pattern is None and all(r.group == r.id for r in ordered):
        raise SpecError(
            "data.split: by: group needs `group`, a pattern such as '^(p[0-9]+)' that finds it in file names, "
            "or {group} in data.source.images if the folder name is the group"
        )
    if plan is not None and plan.by == "image" and pattern is not None:
        raise SpecError(
            "data.split: `group` is given, but by: image would divide groups; write by: group, or remove `group`"
        )
    if pattern is not None:
        ordered = [replace(r, group=group_of(r, pattern)) for r in ordered]
    if isinstance(plan, Folds):
        ordered = _by_folds(ordered, plan, fold)
    elif fold is not None:
        raise SpecError("a fold was requested but data.split has no folds")
    elif plan is not None:
        ordered = _by_fractions(ordered, plan)
    else:
        unsplit = [r for r in ordered if r.split is None]
        if unsplit:
            raise SpecError(
                f"the folders define no train and validation splits ({counted(len(unsplit), 'image')}); write "
                "data.split: {train: 0.7, validation: 0.15, test: 0.15}, with by: group for images of one patient, video or scene"
            )
    _check_groups(ordered)
    return tuple(ordered)


def group_of(record: Record, pattern: str) -> str:
    """The group matched by the pattern in the image's name without suffix.

    Raises:
        DataError: no match. SpecError: not a valid regular expression.
    """
    try:
        match = re.search(pattern, record.image.stem)
    except re.error as error:
        raise SpecError(f"data.split.group: '{pattern}' is not a valid regular expression: {error}") from error
    found = None if match is None else match[1] if match.re.groups else match[0]
    if not found:
        raise DataError(
            f"{record.image}: data.split.group '{pattern}' matches no group in '{record.image.stem}'; correct it"
        )
    return found


def indices(records: Sequence[Record]) -> dict[str, tuple[int, ...]]:
    """Split -> sorted indices into `records`, in the order train, validation, test."""
    return {split: tuple(i for i, r in enumerate(records) if r.split == split) for split in SPLITS}


def _check_groups(records: Sequence[Record]) -> None:
    first: dict[str, Record] = {}
    for record in records:
        other = first.setdefault(record.group, record)
        if other.split != record.split:
            raise DataError(
                f"group '{record.group}' is in two splits: {other.id} in {other.split} and {record.id} in {record.split}; "
                "move its images into one split, or correct data.split.group"
            )


def _by_fractions(records: list[Record], plan: Fractions) -> list[Record]:
    shares = {"train": plan.train, "validation": plan.validation, "test": plan.test}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6 or not plan.train:
        raise SpecError(
            f"data.split: train, validation and test are {_spoken(shares)}; they must sum to 1, train above 0"
        )
    given = {r.split for r in records if r.split is not None}
    twice = sorted(split for split in given - {"train"} if shares[split])
    if given and (twice or given == {"train", "validation", "test"} or "train" not in given):
        raise SpecError(
            f"the folders already define {', '.join(s for s in SPLITS if s in given)}; remove data.split, "
            "or give fractions only for train and the missing splits"
        )
    free = [r for r in records if r.split in (None, "train")]
    chosen = _assign(free, {s: v for s, v in shares.items() if v > 0}, plan.seed, plan.by)
    return [replace(r, split=chosen.get(r.id, r.split)) for r in records]


def _by_folds(records: list[Record], plan: Folds, fold: int | None) -> list[Record]:
    if plan.folds < 2 or not 0 <= plan.validation < 1:
        raise SpecError("data.split: folds must be at least 2, and validation at least 0 and below 1")
    if fold is None or not 0 <= fold < plan.folds:
        raise SpecError(
            f"data.split has {plan.folds} folds, but fold {fold} was requested; choose 0 to {plan.folds - 1}"
        )
    if any(r.split is not None for r in records):
        raise SpecError("the folders already define splits; remove data.split.folds, or use patterns without {split}")
    shares = {str(j): 1 / plan.folds for j in range(plan.folds)}
    folds = _assign(records, shares, plan.seed, plan.by)
    rest = [r for r in records if folds[r.id] != str(fold)]
    shares = {"train": 1 - plan.validation, "validation": plan.validation} if plan.validation else {"train": 1.0}
    chosen = _assign(rest, shares, plan.seed, plan.by)
    return [replace(r, split=chosen.get(r.id, "test")) for r in records]


def _assign(records: Sequence[Record], shares: Mapping[str, float], seed: int, by: str) -> dict[str, str]:
    """Record id -> split name; whole groups, optimized by moving and swapping groups."""
    members: dict[str, list[str]] = defaultdict(list)
    for record in records:
        members[record.group if by == "group" else record.id].append(record.id)
    if len(members) < len(shares):
        names = listed(sorted(members))
        raise DataError(
            f"{counted(len(members), 'group')} ({names}) can't fill {len(shares)} splits; use fewer splits or folds"
        )
    order = sorted(members, key=lambda name: hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest())
    sizes = {name: len(members[name]) for name in order}
    wanted = {share: value * len(records) for share, value in shares.items()}
    placed: dict[str, str] = {}
    missing = dict(wanted)
    for name in order:
        share = max(missing, key=lambda s: missing[s])
        placed[name] = share
        missing[share] -= sizes[name]
    _improve(placed, sizes, missing)
    empty = [share for share in shares if share not in placed.values()]
    for share in empty:
        donor = max(shares, key=lambda s: sum(1 for p in placed.values() if p == s))
        placed[next(n for n in sorted(order, key=lambda n: sizes[n]) if placed[n] == donor)] = share
    return {identity: placed[name] for name, identities in members.items() for identity in identities}


def _improve(placed: dict[str, str], sizes: Mapping[str, int], missing: dict[str, float]) -> None:
    """Move single groups and swap pairs while this reduces the error of the fractions (changes `placed`)."""
    names = list(placed)
    pairs = list(combinations(names, 2)) if len(names) <= _MOST_SWAPS else []
    for _ in range(len(names)):
        best, change = 1e-9, None
        for name in names:
            for to in missing:
                gain = _gain(missing, placed[name], to, sizes[name])
                if gain > best:
                    best, change = gain, {name: to}
        for one, two in pairs:
            gain = _gain(missing, placed[one], placed[two], sizes[one] - sizes[two])
            if gain > best:
                best, change = gain, {one: placed[two], two: placed[one]}
        if change is None:
            return
        for name, to in change.items():
            missing[placed[name]] += sizes[name]
            missing[to] -= sizes[name]
            placed[name] = to


def _gain(missing: Mapping[str, float], source: str, to: str, images: int) -> float:
    """Reduction of the squared error, in images, when `images` move from one split to another."""
    if source == to:
        return 0.0
    a, b = missing[source], missing[to]
    return a**2 + b**2 - (a + images) ** 2 - (b - images) ** 2


def _spoken(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{value:g}" for value in shares.values())
