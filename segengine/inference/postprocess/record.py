"""The file postprocess.json of a run folder: the chosen steps, sealed by its sha256 in run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from segengine.components.base import Postprocessor
from segengine.components.lookup import component_class
from segengine.data.masks.mapping import Postprocess
from segengine.data.masks.regions import in_order
from segengine.engine.checkpoint_hash import sha256_of
from segengine.errors import RunError, SpecError
from segengine.files import read_json, write_json
from segengine.runs import names
from segengine.runs.folder import RunFolder

FORMAT = 1
KEY = "postprocess"
"""Entry in run.json and in an exported file's metadata."""


def write_record(folder: RunFolder, document: Mapping[str, Any]) -> None:
    """Write postprocess.json and seal it in run.json; the folder must be locked."""
    path = folder / names.POSTPROCESS
    write_json(path, {"format": FORMAT, **document})
    folder.update(**{KEY: {"sha256": sha256_of(path), "steps": len(document["steps"])}})


def recorded_steps(folder: RunFolder, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps chosen for a run, as settings; none if nothing was fitted.

    Raises:
        RunError: the file is missing or was changed since it was written.
    """
    sealed = run.get(KEY)
    if not sealed:
        return []
    path = folder / names.POSTPROCESS
    remedy = "restore it, run `segengine postprocess fit` again, or leave post-processing out with --no-postprocess"
    if not path.is_file():
        raise RunError(f"{path}: is missing, but {names.RUN} records it; {remedy}")
    if sha256_of(path) != sealed["sha256"]:
        raise RunError(
            f"{path}: was changed after it was written (its sha256 differs from the one in run.json); {remedy}"
        )
    try:
        document = read_json(path)
        if document["format"] != FORMAT:
            raise RunError(f"{path}: has format {document['format']}; this version of segengine reads format {FORMAT}")
        return [dict(step) for step in document["steps"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not readable ({error}); {remedy}") from error


def step_of(settings: Mapping[str, Any] | str) -> Postprocessor:
    """A post-processing component from its settings, or its name.

    Raises:
        RegistryError: an unknown name.
        SpecError: invalid settings.
    """
    given = {"name": settings} if isinstance(settings, str) else dict(settings)
    name = given.get("name")
    if not isinstance(name, str):
        raise SpecError(f"a post-processing step needs a name, such as {{name: largest-component}}, not {given}")
    cls = component_class("postprocessors", name)
    try:
        step = cls.model_validate({**given, "name": cls.model_fields["name"].default})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or name
        raise SpecError(f"post-processing step {name}: {where}: {first['msg']}") from error
    assert isinstance(step, Postprocessor)
    return step


def built(
    steps: Sequence[Mapping[str, Any]], *, classes: Sequence[str], spacing: tuple[float, float] | None
) -> Postprocess | None:
    """The recorded steps as one function of a class map uint8 [H, W]; None without steps.

    Raises:
        RegistryError, SpecError: a step that isn't installed, or doesn't fit the classes.
    """
    if not steps:
        return None
    return in_order([step_of(settings).build(classes=classes, spacing=spacing) for settings in steps])


def recorded_postprocess(folder: RunFolder, run: Mapping[str, Any]) -> Postprocess | None:
    """The steps chosen for a run as one function; None if there are none. Raises as `recorded_steps` and `built`."""
    steps = recorded_steps(folder, run)
    if not steps:
        return None
    classes = [str(label["name"]) for label in run["labels"]]
    return built(steps, classes=classes, spacing=spacing_of(folder.spec()))


def spacing_of(spec: Mapping[str, Any]) -> tuple[float, float] | None:
    """`evaluation.spacing` of a resolved spec."""
    spacing = (spec.get("evaluation") or {}).get("spacing")
    return None if spacing is None else (float(spacing[0]), float(spacing[1]))
