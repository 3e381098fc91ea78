"""In which settings runs differ: the factor that is compared, and everything else that differs besides it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segengine.compare.load import LoadedRun

CHANGES_NO_NUMBER = (
    ("name",), ("title",), ("seeds",), ("variants",), ("trackers",), ("data", "cache"), ("data", "source"),
    ("data", "split", "fold"), ("training", "workers"), ("training", "checkpoint_every"),
)  # fmt: skip
"""Settings that may differ: the data itself is compared by its fingerprint, seeds and folds are meant to differ."""

_ABSENT = "(absent)"
_ORDER = ("model.backbone", "model.decoder", "model.", "loss", "augmentations", "training.", "")


@dataclass(frozen=True)
class Difference:
    """One setting (by its path) that differs, and which variants have which value.

    `within` says that runs of one variant differ in it, which no comparison of variants can mean.
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
    """The setting by which the variants differ, and everything else that differs; `variants` names each run's.

    The factor is the one difference between variants; of several, the backbone before the rest of the model before
    the loss before all else.
    """
    found = list(_differences([run.settings for run in runs], variants))
    between = [difference for difference in found if not difference.within]
    ranked = sorted(between, key=lambda d: next(i for i, start in enumerate(_ORDER) if d.path.startswith(start)))
    factor = ranked[0] if ranked else None
    rest = [difference for difference in found if difference is not factor]
    return factor, [*rest, *_differences([_circumstances(run, rest) for run in runs], variants)]


def _circumstances(run: LoadedRun, settings: Sequence[Difference]) -> dict[str, Any]:
    """What isn't set but decides scores or speed as well; the budget says what epochs and batch size came to."""
    record = run.record
    said = any(d.path in ("training.epochs", "training.batch_size", "training.accumulate") for d in settings)
    return {
        "budget": {} if said else record.budget,
        "data": {"channels": record.data.channels, "window": record.data.window},
        "devices": list(record.devices),
        "precision": record.precision,
        "versions": {name: record.versions.get(name) for name in ("segengine", "torch")},
    }


def _differences(documents: Sequence[Mapping[str, Any]], variants: Sequence[str]) -> Iterator[Difference]:
    for path, values in _walk(list(documents), ()):
        who: dict[str, dict[str, None]] = {}
        for value, variant in zip(values, variants, strict=True):
            who.setdefault(_short(value), {})[variant] = None
        listed = {text: tuple(names) for text, names in who.items()}
        several = len({name for names in listed.values() for name in names}) < sum(map(len, listed.values()))
        yield Difference(".".join(map(str, path)), listed, within=several)


def _walk(values: list[Any], path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], list[Any]]]:
    """Paths at which the documents differ. A block whose `name` differs is one difference: it is another component."""
    if path in CHANGES_NO_NUMBER or all(value == values[0] for value in values[1:]):
        return
    if all(isinstance(value, Mapping) for value in values) and len({json.dumps(v.get("name")) for v in values}) == 1:
        for key in dict.fromkeys(key for value in values for key in value):
            yield from _walk([value.get(key, _ABSENT) for value in values], (*path, key))
    elif all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        for place in range(len(values[0])):
            yield from _walk([value[place] for value in values], (*path, place))
    else:
        yield path, values


def _short(value: Any) -> str:
    """A component as `resnet {depth: 34}`, anything else as YAML's flow style would have it."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {_short(item)}" for key, item in value.items() if key != "name")
        name = str(value.get("name", ""))
        return f"{name} {{{inner}}}".strip() if inner else name or "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
