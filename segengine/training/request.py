"""The request for one run, and the state of its folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from segengine.errors import SpecError
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.plugins import PluginChange, accepted, changes, deciding_packages
from segengine.specs.experiment import CHANGE_NO_NUMBER, Experiment
from segengine.specs.load import LoadedExperiment, completed, resolved


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
        """All settings as plain data, the content of spec.yaml."""
        return resolved(self.experiment, name=self.loaded.name, variant=self.variant, seed=self.seed, fold=self.fold)

    def spec_text(self) -> str:
        """spec.yaml."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)

    def state(self) -> Literal["new", "finished", "unfinished"]:
        """State of the run folder.

        Raises:
            SpecError: the folder contains a run with different settings, or one to be resumed with other plugins; names the
                differences.
        """
        if not self.folder.exists:
            return "new"
        changed = self._changed_settings()
        if changed:
            raise SpecError(
                f"{self.folder.path}: was created with different settings: {'; '.join(changed[:6])}"
                f"{f' and {len(changed) - 6} more' if len(changed) > 6 else ''}; start over with --fresh, or use another --out"
            )
        run = self.folder.read()
        if run.get("status") == "finished":
            return "finished"
        if plugins := self.changed_plugins():
            raise SpecError("\n".join(f"{self.folder.path}: {_refused(change)}" for change in plugins))
        return "unfinished"

    def _changed_settings(self) -> list[str]:
        """Differing settings; one that didn't exist when the run started has its present default."""
        old, new = self.folder.spec(), self.resolved()
        source = self.experiment.data.source
        paths = {("data", "source", name) for name, value in source if isinstance(value, Path)}
        free = {*CHANGE_NO_NUMBER, *paths}
        return list(differences(old, new, free=free)) and list(differences(completed(old) or old, new, free=free))

    def changed_plugins(self) -> list[PluginChange]:
        """Plugins of the trained network that differ from those that the run's checkpoint was made with."""
        if not any((self.folder / name).exists() for name in (names.LAST, names.PREVIOUS)):
            return []
        return changes(self.folder.read(), deciding_packages(self.resolved()))

    def accept_plugins(self) -> list[PluginChange]:
        """Record the installed plugins in addition to those that differ, so that an unfinished run can be resumed."""
        if not self.folder.exists or self.folder.read().get("status") == "finished":
            return []
        changed = self.changed_plugins()
        if changed:
            self.folder.update(**accepted(self.folder.read(), changed))
        return changed


def _refused(change: PluginChange) -> str:
    ways = "or start over with --fresh, or accept the change with --accept-plugins"
    if change.only_files:
        return f"files of {change.package} {change.then} have changed since the run started; restore them, {ways}"
    return (
        f"started with {change.package} {change.then}, installed is {change.now}; resume with the same version: "
        f"{change.install}; {ways}"
    )


def differences(
    old: Any, new: Any, path: tuple[str, ...] = (), free: Collection[tuple[str, ...]] = CHANGE_NO_NUMBER
) -> Iterator[str]:
    """`path: old -> new` of each differing setting, except at the paths `free`."""
    if path in free:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), (*path, key), free)
    elif old != new:
        yield f"{'.'.join(path)}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
    return text if len(text) <= 60 else text[:57] + "..."
