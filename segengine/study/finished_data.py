"""Check that the data of finished runs is unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from segengine.building.dataset import data_states
from segengine.data.sources.fingerprint import ImageState, fingerprint
from segengine.errors import DataError, SpecError
from segengine.events import Listener, Note
from segengine.runs.changed_data import changed_data
from segengine.runs.folder import RunFolder
from segengine.study.plan import RunPlan


def check_finished_data(plans: Iterable[RunPlan], listener: Listener) -> None:
    """Compare the data fingerprint of finished runs with the current files.

    Unreadable data is a note; the runs that need it report the error.

    Raises:
        SpecError: data has changed; lists the changes by run and the two remedies.
    """
    states: dict[str, Mapping[str, ImageState] | None] = {}
    problems = []
    for plan in plans:
        key = json.dumps([plan.experiment.data.model_dump(mode="json"), plan.fold], sort_keys=True)
        if key not in states:
            states[key] = _states(plan, listener)
        now, folder = states[key], RunFolder(plan.folder)
        recorded = folder.read().get("data", {}).get("fingerprint")
        if now is None or recorded == fingerprint(now):
            continue
        changed = changed_data(folder, now) or "images, masks or their split"
        problems.append(f"{folder.path}: finished on data that has changed since: {changed}")
    if problems:
        more = f"\nand {len(problems) - 6} more runs" if len(problems) > 6 else ""
        raise SpecError(
            "\n".join(problems[:6]) + f"{more}\nruns on different data are not mixed: start over with --fresh, or keep "
            "the earlier runs under their name and use another --out (or another name of the experiment file)"
        )


def _states(plan: RunPlan, listener: Listener) -> Mapping[str, ImageState] | None:
    try:
        return data_states(plan.experiment, plan.fold)
    except DataError as error:
        listener(Note(f"{plan.folder}: can't check whether its data has changed: {error}"))
        return None
