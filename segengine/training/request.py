"""The request for one run, and the state of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from segengine.errors import SpecError
from segengine.runs.folder import RunFolder
from segengine.specs.experiment import Experiment
from segengine.specs.load import LoadedExperiment, resolved

CHANGES_NO_NUMBER = (
    ("title",), ("trackers",), ("data", "cache"), ("data", "source", "root"), ("training", "workers"),
    ("training", "gradient_checkpointing"), ("training", "checkpoint_every"), ("evaluation", "cost"), ("evaluation", "metrics"),
    ("evaluation", "spacing"), ("evaluation", "unit"),
)  # fmt: skip
"""Settings that a run may be continued with changed; the data itself is checked by its fingerprint."""


@dataclass(frozen=True)
class RunRequest:
    """A variant with a seed (and fold), and its run folder."""

    loaded: LoadedExperiment
    variant: str
    seed: int
    fold: int | None
    folder: RunFolder

    @property
    def experiment(self) -> Experiment:
        return self.loaded.variants[self.variant]

    def resolved(self) -> dict[str, Any]:
        """All settings as plain data, as spec.yaml holds them."""
        return resolved(self.experiment, name=self.loaded.name, variant=self.variant, seed=self.seed, fold=self.fold)

    def spec_text(self) -> str:
        """spec.yaml."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)

    def state(self) -> Literal["new", "finished", "unfinished"]:
        """State of the run folder.

        Raises:
            SpecError: the folder contains a run with different settings; names the differences.
        """
        if not self.folder.exists:
            return "new"
        changed = list(differences(self.folder.spec(), self.resolved()))
        if changed:
            raise SpecError(
                f"{self.folder.path}: was created with different settings: {'; '.join(changed[:6])}"
                f"{f' and {len(changed) - 6} more' if len(changed) > 6 else ''}; start over with --fresh, or use another --out"
            )
        return "finished" if self.folder.read().get("status") == "finished" else "unfinished"


def differences(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """`path: old -> new` of each differing setting that may affect results."""
    if path in CHANGES_NO_NUMBER:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif old != new:
        yield f"{'.'.join(path)}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
    return text if len(text) <= 60 else text[:57] + "..."
