"""Settings of a finished run: only the sections in use are validated, so that only their plugins must be installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segengine.components.lookup import registry
from segengine.components.settings import Settings
from segengine.errors import RegistryError, RunError
from segengine.registry import normalized, singular
from segengine.runs import names
from segengine.runs.folder import RunFolder
from segengine.runs.plugins import changes, packages
from segengine.specs.load import read_sections
from segengine.specs.sections import DataSection, EvaluationSection, ModelSection

M = TypeVar("M", bound=BaseModel)
_KINDS = {("model", "backbone"): "backbones", ("model", "decoder"): "decoders", ("data", "source"): "sources",
          ("data", "mask_mapper"): "mask_mappers"}  # fmt: skip


class _Partial(Settings):
    """Some sections of an experiment; the others are ignored."""

    model_config = ConfigDict(extra="ignore")


class SavedNetwork(_Partial):
    """What prediction needs."""

    model: ModelSection


class SavedData(_Partial):
    """What evaluation needs besides the network."""

    data: DataSection
    evaluation: EvaluationSection = Field(default=EvaluationSection())


def saved_network(folder: RunFolder, run: Mapping[str, Any]) -> tuple[ModelSection, tuple[str, ...]]:
    """The network's settings, and notes on plugins that changed since training. Initial weights are disabled.

    Raises:
        RegistryError: a plugin of the network isn't installed; names package and version.
        RunError: the settings don't fit the installed plugins.
    """
    spec = folder.spec()
    _without_initial_weights(spec)
    check_installed(folder, run, spec, ("model",))
    notes = tuple(change_notes(folder, run, spec.get("model")))
    try:
        return SavedNetwork.model_validate(spec).model, notes
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError("\n".join([f"{folder / names.SPEC}: {where}: {first['msg']}", *notes])) from error


def saved_data(
    folder: RunFolder, run: Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[SavedData, tuple[str, ...]]:
    """Data and evaluation sections of a run with `overrides`, and notes: changed plugins, and metrics left out.

    A metric of the run whose plugin isn't installed is left out; one that `overrides` name must be installed.

    Raises:
        RegistryError: the plugin of the source or mask mapper isn't installed; names package and version.
        SpecError: invalid overrides.
    """
    kept, notes = _usable_metrics(run, folder.spec())
    tree, checked = read_sections(folder / names.SPEC, [*kept, *overrides])
    check_installed(folder, run, tree.data, ("data",))
    read = {key: tree.data.get("data", {}).get(key) for key in ("source", "mask_mapper")}
    return checked(SavedData), (*change_notes(folder, run, read), *notes)


def check_installed(
    folder: RunFolder, run: Mapping[str, Any], spec: Mapping[str, Any], sections: Sequence[str]
) -> None:
    """Raises RegistryError if the plugin of a component in `sections` isn't installed."""
    for (section, key), kind in _KINDS.items():
        block = (spec.get(section) or {}).get(key) if section in sections else None
        if missing := _missing(run, kind, block):
            raise RegistryError(f"{folder.path}: {missing}")


def change_notes(folder: RunFolder, run: Mapping[str, Any], block: Any) -> list[str]:
    """One line per plugin of the settings `block` that differs from the one in training."""
    notes = []
    for change in changes(run, packages(block)):
        if change.only_files:
            notes.append(
                f"{folder.path}: files of {change.package} {change.then} have changed since training: results may differ"
            )
        elif change.now is not None:
            notes.append(
                f"{folder.path}: trained with {change.package} {change.then}, installed is {change.now}: results may differ; "
                f"{change.install}"
            )
    return notes


def _missing(run: Mapping[str, Any], kind: str, block: Any) -> str:
    """What is missing for a component's block: the plugin and the command that installs it; '' if nothing."""
    name = block.get("name") if isinstance(block, Mapping) else block
    if not isinstance(name, str) or "/" not in name:
        return ""
    package = normalized(name.partition("/")[0])
    if any(provider.package == package for provider in registry(kind).providers):
        return ""
    known = (run.get("plugins") or {}).get(package)
    wanted = f"{package} {known}" if known else package
    pin = f"{package}=={known.rsplit(' ', 1)[-1]}" if known else package
    return f"{singular(kind)} '{name}' needs {wanted}, which isn't installed; pip install {pin}"


def _usable_metrics(run: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """An override with the run's metrics that are installed, if some aren't, and notes about the others."""
    metrics = (spec.get("evaluation") or {}).get("metrics") or []
    missing = [text for text in (_missing(run, "metrics", block) for block in metrics) if text]
    if not missing:
        return [], []
    kept = [block for block in metrics if not _missing(run, "metrics", block)]
    notes = [
        text.replace(" needs ", " is left out: it needs ").replace(", which isn't installed;", ";") for text in missing
    ]
    return [f"evaluation.metrics={json.dumps(kept)}"], notes


def _without_initial_weights(spec: dict[str, Any]) -> None:
    """Disable initial weights, which the trained weights replace, so that their file isn't needed."""
    backbone = spec.get("model", {}).get("backbone", {})
    if isinstance(backbone, dict) and "weights" in backbone:
        backbone["weights"] = "none"
