"""From an experiment file to its checked variants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segengine.components.base import Executor, RelativePath
from segengine.errors import SpecError
from segengine.registry import suggest
from segengine.specs.experiment import FOLDER_NAME, OF_THE_FILE, Experiment
from segengine.specs.messages import field_at, problems
from segengine.specs.trees import Override, Tree, merged, overridden, parse_override
from segengine.yaml_source import parse

ONLY_VARIANT = "default"
"""The variant's name where a file has none."""


@dataclass(frozen=True)
class LoadedExperiment:
    """A checked experiment file: one `Experiment` for each variant."""

    name: str
    path: Path
    text: str
    overrides: tuple[str, ...]
    variants: Mapping[str, Experiment]

    @property
    def seeds(self) -> list[int]:
        return next(iter(self.variants.values())).seeds

    @property
    def executor(self) -> Executor:
        return next(iter(self.variants.values())).executor


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> LoadedExperiment:
    """Read and check an experiment file, every variant of it.

    Raises:
        SpecError: all problems at once, a line each: `file:line:column: path: what is wrong; what to do`.
    """
    return read_experiment(path, _read(path), overrides)


def read_experiment(path: Path, text: str, overrides: Sequence[str] = ()) -> LoadedExperiment:
    """Like `load_experiment` where the file's text is known already: what it says now doesn't matter."""
    source = parse(text, str(path))
    if not isinstance(source.data, dict):
        raise SpecError(
            f"{path}: an experiment is a mapping of settings (data, model, training ...); see `segengine schema`"
        )
    tree = Tree.of(source)
    for override in map(parse_override, overrides):
        tree = overridden(tree, _with_path_from_here(override, tree))
    found: list[str] = []
    variants = {}
    for name, variant_tree in _variant_trees(tree, found).items():
        try:
            variants[name] = Experiment.model_validate(
                variant_tree.data, context={"base_folder": path.parent.resolve()}
            )
        except ValidationError as error:
            found += problems(error, variant_tree, Experiment)
    if found:
        raise SpecError("\n".join(sorted(dict.fromkeys(found), key=_place)))
    first = next(iter(variants.values()))
    return LoadedExperiment(first.name or _folder_name(path.stem), path, text, tuple(overrides), variants)


def _place(problem: str) -> tuple[int, int]:
    """Line and column that a problem begins with; overrides, which have none, come first."""
    found = re.search(r":(\d+):(\d+): ", problem)
    return (int(found[1]), int(found[2])) if found and not problem.startswith("-s ") else (0, 0)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # not as text, which would change line ends: a run keeps it byte for byte
    except FileNotFoundError:
        siblings = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = suggest(path.name, siblings)
        raise SpecError(f"{path}: there is no such file" + (f"; {hint}" if hint else "")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: can't be read as text: {error}") from error


def _variant_trees(tree: Tree, found: list[str]) -> dict[str, Tree]:
    variants = tree.data.get("variants")
    base = Tree({k: v for k, v in tree.data.items() if k != "variants"}, tree.keys, tree.values)
    if variants is None:
        return {ONLY_VARIANT: base}
    if not isinstance(variants, dict) or not variants:
        found.append(
            f"{tree.where(('variants',))}: variants: must be a mapping from names to changes; remove it for a single run"
        )
        return {ONLY_VARIANT: base}
    trees = {}
    for name, change in variants.items():
        here = ("variants", name)
        if not FOLDER_NAME.match(name):
            found.append(
                f"{tree.where(here, key=True)}: variants: '{name}' must be usable as a folder's name: letters, digits, . _ + -"
            )
            continue
        if change is None:
            change = {}  # noqa: PLW2901
        if not isinstance(change, dict):
            found.append(f"{tree.where(here)}: variants.{name}: must be a mapping of changes, or {{}} for none")
            continue
        found += [
            f"{tree.where((*here, key), key=True)}: variants.{name}.{key}: belongs to the whole file; move it to the top"
            for key in change
            if key in OF_THE_FILE
        ]
        n = len(here)
        keys = {p[n:]: w for p, w in tree.keys.items() if p[:n] == here and len(p) > n}
        values = {p[n:]: w for p, w in tree.values.items() if p[:n] == here}
        over = Tree({k: v for k, v in change.items() if k not in OF_THE_FILE}, keys, values)
        trees[name] = merged(base, over)
    return trees


def _with_path_from_here(override: Override, tree: Tree) -> Override:
    """A path in an override that exists from the current folder means that, as paths on a command line do."""
    if not isinstance(override.value, str) or not Path(override.value).exists():
        return override
    steps = tuple(int(s) if s.isdigit() else s for s in override.steps)
    declared = field_at(Experiment, steps, overridden(tree, override).data)
    if declared is None or not (declared.annotation is Path or RelativePath in declared.metadata):
        return override
    return Override(override.steps, str(Path(override.value).absolute()), override.text)


def _folder_name(stem: str) -> str:
    name = "".join(c if FOLDER_NAME.match("a" + c) else "-" for c in stem).lstrip("-._+")
    return name or "experiment"


def resolved(experiment: Experiment, *, name: str, variant: str, seed: int, fold: int | None = None) -> dict[str, Any]:
    """One run's settings as plain data: every default written out, plugin components qualified; runs again as it is."""
    data = experiment.model_dump(mode="json", exclude={"executor", "variants"})
    data |= {"name": name, "seeds": [seed], "variants": {variant: {}}}
    if fold is not None:
        data["data"]["split"]["fold"] = fold
    return data
