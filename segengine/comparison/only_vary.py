"""`--only-vary`: only the named settings may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segengine.comparison.circumstances import FACTS
from segengine.comparison.confounders import PRETRAINING, Difference
from segengine.comparison.load import LoadedRun
from segengine.errors import ComparisonError
from segengine.registry import suggest


def refuse_other_differences(runs: Sequence[LoadedRun], found: Sequence[Difference], allowed: Sequence[str]) -> None:
    """Check that the differences `found` are at or below the paths `allowed`; with no path, everything may differ.

    Initial backbone weights are a separate factor, allowed only by their own path. Runs of one variant may never differ in
    a setting.

    Raises:
        ComparisonError: one line per other difference, with path and values; or a path that no run has.
    """
    if not allowed:
        return
    known = dict.fromkeys(path for run in runs for path in _paths(run.settings, ""))
    known |= dict.fromkeys(difference.path for difference in found)
    for path in allowed:
        if not any(_below(one, path) for one in known) and not any(_below(path, fact) for fact in FACTS):
            hint = suggest(path, list(known)) or "give a setting's path, such as model.backbone"
            raise ComparisonError(f"--only-vary {path}: these runs have no such setting; {hint}")
    others = [d for d in found if not _allowed(d, allowed) or (d.within and d.path.split(".")[0] in runs[0].settings)]
    if others:
        raise ComparisonError(
            "\n".join(
                [
                    f"these runs differ in more than {' and '.join(allowed)}:",
                    *(f"  {'within a variant: ' if d.within else ''}{d.text()}" for d in others),
                    "  retrain with the same settings, or allow a difference with another --only-vary",
                ]
            )
        )


def _allowed(difference: Difference, allowed: Sequence[str]) -> bool:
    if difference.path == PRETRAINING:
        return PRETRAINING in allowed
    return any(_below(difference.path, path) for path in allowed)


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")


def _paths(block: Any, above: str) -> Iterator[str]:
    items = block.items() if isinstance(block, Mapping) else enumerate(block) if isinstance(block, list) else ()
    for key, value in items:
        path = f"{above}.{key}" if above else str(key)
        yield path
        yield from _paths(value, path)
