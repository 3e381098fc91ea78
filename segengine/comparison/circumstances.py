"""Circumstances that affect scores but are not settings: training progress, machine and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segengine.comparison.load import LoadedRun
from segengine.runs import names
from segengine.runs.plugins import deciding_packages, packages
from segengine.runs.tables import read_metrics

FACTS = (
    "budget", "trained", "data.channels", "data.window", "training_size", "checkpoint_rule", "precision", "device",
    "processes", "initial_weights", "micro_batch", "augmented_on", "versions", "plugins", "plugin_files",
)  # fmt: skip
"""Paths, or path prefixes, of recorded facts that are compared in addition to settings."""

_LENGTH = ("training.epochs", "training.minutes", "training.batch_size", "training.accumulate")
_NO_NUMBERS = ("python", "pydantic")
_NOT_RECORDED = "not recorded"


def circumstances(runs: Sequence[LoadedRun], settings: Iterable[str]) -> list[dict[str, Any]]:
    """Facts of each run by path, only those that differ; `settings` are the paths of settings that differ.

    Consequences of such a setting are omitted. A fact missing in a run (written by an older version) differs only if the
    runs that record it disagree.
    """
    differing = list(settings)
    timed = all(
        run.record.budget.get("minutes") for run in runs
    )  # with a time budget, faster variants make more steps by design
    facts = [
        {path: value for path, value in _facts(run).items() if not _follows(path, differing, timed=timed)}
        for run in runs
    ]
    if not any(path.startswith("model.backbone") for path in differing):
        facts = [{**each, "initial_weights": _initial(run)} for each, run in zip(facts, runs, strict=True)]
    return _without_repetition(_only_differing(facts))


def _without_repetition(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Files of a plugin differ in any case if its version does."""
    return [
        {
            path: value for path, value in each.items()
            if not (path.startswith("plugin_files.") and path.replace("plugin_files.", "plugins.", 1) in each)
        } for each in facts
    ]  # fmt: skip


def _facts(run: LoadedRun) -> dict[str, Any]:
    record = run.record
    return {
        **{f"budget.{key}": value for key, value in record.budget.items()},
        **{f"trained.{key}": value for key, value in _trained(run).items()},
        "data.channels": record.data.channels,
        "data.window": "none" if record.data.window is None else record.data.window,
        "training_size": record.training_size,
        "checkpoint_rule": getattr(record.metric_policy, "checkpoint", None),
        "precision": record.precision or None,
        "device": ", ".join(dict.fromkeys(record.devices)) or None,
        "processes": len(record.devices) or None,
        "micro_batch": "as set" if record.micro_batch is None else record.micro_batch.get("images"),
        "augmented_on": record.augmented_on,
        **{f"versions.{name}": value for name, value in record.versions.items() if name not in _NO_NUMBERS},
        **_plugins(run),
    }


def _plugins(run: LoadedRun) -> dict[str, str]:
    """Versions and shortened file hashes of plugins, without those of trackers, metrics and sources only."""
    record, free = run.record, set(packages(run.settings)) - set(deciding_packages(run.settings))
    versions = {f"plugins.{name}": value for name, value in record.plugins.items() if name not in free}
    files = {
        f"plugin_files.{name}": " and ".join(part[:12] for part in value.split(" and "))
        for name, value in record.plugin_files.items() if name not in free
    }  # fmt: skip
    return versions | files


def _initial(run: LoadedRun) -> str | None:
    """SHA-256 of the backbone's initial weights file; None if none was read or recorded."""
    digest = (run.record.initial_weights or {}).get("sha256")
    return f"sha256 {digest[:12]}" if digest else None


def _trained(run: LoadedRun) -> Mapping[str, Any]:
    """Training progress; for runs that don't record it, from the last line of metrics.jsonl."""
    trained = run.record.trained
    if trained is not None:
        epochs = int(trained.epochs) if trained.epochs.is_integer() else round(trained.epochs, 3)
        return {"epochs": epochs, "steps": trained.steps, "images": trained.images}
    rows = read_metrics(run.folder / names.METRICS)
    return {"epochs": rows[-1].get("epoch"), "steps": rows[-1].get("step")} if rows else {}


def _follows(path: str, differing: Sequence[str], *, timed: bool) -> bool:
    """Whether a fact is a consequence of a differing setting, or of a budget of equal minutes."""
    if timed and path.startswith("trained."):
        return True
    if path.startswith(("budget.", "trained.")):
        return any(setting in _LENGTH for setting in differing)
    if path == "training_size":
        return any(setting.startswith("augmentations") for setting in differing)
    return path == "precision" and "training.precision" in differing


def unlike_architectures(runs: Sequence[LoadedRun], variants: Sequence[str]) -> str:
    """One sentence on backbones with different feature map strides, '' if none differ or strides are not recorded."""
    strides = {name: run.record.strides for run, name in zip(runs, variants, strict=True) if run.record.strides}
    if len(set(strides.values())) < 2:
        return ""
    by_first: dict[int, list[str]] = {}
    for name, each in strides.items():
        by_first.setdefault(each[0], []).append(name)
    if len(by_first) < 2:
        listed = "; ".join(f"{name} {', '.join(map(str, each))}" for name, each in strides.items())
        return f"the backbones' feature maps have other strides ({listed}), which is part of what is compared"
    finest, *coarser = sorted(by_first)
    others = ", ".join(f"{', '.join(by_first[stride])} at stride {stride}" for stride in coarser)
    size = " (the image's full size)" if finest == 1 else ""
    return (
        f"the architectures differ in kind: the finest feature map that the decoder gets is at stride {finest}{size} in "
        f"{', '.join(by_first[finest])} and in {others}, which favours the former at thin structures and borders"
    )


def _only_differing(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    paths = []
    for path in dict.fromkeys(path for document in facts for path in document):
        known = [document[path] for document in facts if document.get(path) is not None]
        if any(value != known[0] for value in known[1:]):
            paths.append(path)
    return [{path: _NOT_RECORDED if d.get(path) is None else d[path] for path in paths} for d in facts]
