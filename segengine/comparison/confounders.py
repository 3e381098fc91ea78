"""Differences between runs: the factor under comparison, and confounders."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segengine.comparison.circumstances import circumstances
from segengine.comparison.load import LoadedRun
from segengine.specs.experiment import CHANGE_NO_NUMBER
from segengine.specs.load import completed

Paths = Collection[tuple[str, ...]]
DIFFER_BY_DESIGN = frozenset({("name",), ("seeds",), ("variants",), ("data", "source"), ("data", "split", "fold")})
"""Settings in which the runs of one comparison may differ: seeds, folds and names; the data is compared by its fingerprint."""
FREE = CHANGE_NO_NUMBER | DIFFER_BY_DESIGN
"""Settings that are no confounders."""

BACKBONE = ("model", "backbone")
PRETRAINING = "model.backbone.weights"
_ABSENT = "(absent)"
_ORDER = ("model.backbone", "model.decoder", "model.", "loss", "augmentations", "training.", "")


@dataclass(frozen=True)
class Difference:
    """One setting (by its path) that differs, with its values by variant.

    `within`: runs of one variant differ in it, which can't be the factor of a comparison.
    """

    path: str
    values: Mapping[str, tuple[str, ...]]
    within: bool = False

    def text(self) -> str:
        """`training.epochs: 20 (vgg11), 40 (resnet18)`."""
        return f"{self.path}: " + ", ".join(f"{value} ({', '.join(who)})" for value, who in self.values.items())


def factor_and_confounders(
    runs: Sequence[LoadedRun], variants: Sequence[str]
) -> tuple[Difference | None, list[Difference]]:
    """The factor by which the variants differ, and all other differences; `variants`: the variant of each run.

    The factor is the only difference between variants; if there are several, by precedence: the backbone, other settings of the
    model, the loss, all others.
    """
    found = setting_differences(runs, variants)
    between = [difference for difference in found if not difference.within]
    ranked = sorted(between, key=lambda d: (_rank(d.path), d.path == PRETRAINING))
    factor = ranked[0] if ranked else None
    happened = _differences(circumstances(runs, [d.path for d in found]), variants)
    return factor, [*(difference for difference in found if difference is not factor), *happened]


def setting_differences(runs: Sequence[LoadedRun], variants: Sequence[str], free: Paths = FREE) -> list[Difference]:
    """All settings that differ, in the order of the file, except those at or below the paths `free`."""
    documents = [run.settings for run in runs]
    found = list(_differences(documents, variants, free))
    if any(_ABSENT in difference.values for difference in found):  # settings that older runs didn't have yet
        full = [document for document in map(completed, documents) if document is not None]
        if len(full) == len(documents):
            found = list(_differences(full, variants, free))
    pretraining = _pretraining(documents)
    if len(set(pretraining)) > 1:
        found.append(_difference(PRETRAINING, pretraining, variants))
    return found


def _pretraining(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Initial backbone weights of each run. Files are compared by name between equal backbones; other backbones need different files."""
    blocks = [document.get("model", {}).get("backbone", {}) for document in documents]
    starts = [str(block.get("weights", "none")) if isinstance(block, Mapping) else "none" for block in blocks]
    others = [
        {k: v for k, v in block.items() if k != "weights"} if isinstance(block, Mapping) else block for block in blocks
    ]
    if all(other == others[0] for other in others):
        return starts
    return [start if start in ("none", "pretrained") else "a file of weights" for start in starts]


def _rank(path: str) -> int:
    return next(place for place, start in enumerate(_ORDER) if path.startswith(start))


def _differences(
    documents: Sequence[Mapping[str, Any]], variants: Sequence[str], free: Paths = ()
) -> Iterator[Difference]:
    for path, values in _walk(list(documents), (), free):
        yield _difference(".".join(map(str, path)), values, variants)


def _difference(path: str, values: Sequence[Any], variants: Sequence[str]) -> Difference:
    who: dict[str, dict[str, None]] = {}
    for value, variant in zip(values, variants, strict=True):
        who.setdefault(short(value), {})[variant] = None
    listed = {text: tuple(names) for text, names in who.items()}
    several = len({name for names in listed.values() for name in names}) < sum(map(len, listed.values()))
    return Difference(path, listed, within=several)


def _walk(
    values: list[Any], path: tuple[str | int, ...], free: Paths
) -> Iterator[tuple[tuple[str | int, ...], list[Any]]]:
    """Paths at which the documents differ. Blocks with different `name` are one difference: different components."""
    if path in free or path == (*BACKBONE, "weights") or all(value == values[0] for value in values[1:]):
        return
    if all(isinstance(value, Mapping) for value in values) and len({json.dumps(v.get("name")) for v in values}) == 1:
        for key in dict.fromkeys(key for value in values for key in value):
            yield from _walk([value.get(key, _ABSENT) for value in values], (*path, key), free)
    elif all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        for place in range(len(values[0])):
            yield from _walk([value[place] for value in values], (*path, place), free)
    else:
        yield path, values


def short(value: Any) -> str:
    """A component as `resnet {depth: 34}`; other values in YAML flow style."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {short(item)}" for key, item in value.items() if key != "name")
        name = str(value.get("name", ""))
        return f"{name} {{{inner}}}".strip() if inner else name or "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(short, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
