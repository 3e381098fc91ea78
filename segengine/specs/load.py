"""Loading and validation of experiment files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from segengine.components.base import Executor, RelativePath
from segengine.errors import RegistryError, SpecError, printable
from segengine.registry import suggest
from segengine.specs.declared import block_of, field_at
from segengine.specs.experiment import FOLDER_NAME, OF_THE_FILE, Experiment
from segengine.specs.messages import problems
from segengine.specs.trees import Override, Tree, merged, overridden, parse_override
from segengine.yaml_source import Path as SettingPath
from segengine.yaml_source import parse

M = TypeVar("M", bound=BaseModel)
ONLY_VARIANT = "default"
"""Name of the variant of a file without variants."""


_MOST_BYTES = 10_000_000


def run_name(variant: str, seed: int, fold: int | None = None) -> str:
    """Name of a run folder: `resnet34-seed0`, with folds `resnet34-fold2-seed0`."""
    return f"{variant}{'' if fold is None else f'-fold{fold}'}-seed{seed}"


@dataclass(frozen=True)
class LoadedExperiment:
    """A validated experiment file: one `Experiment` per variant."""

    name: str
    path: Path
    text: str
    overrides: tuple[str, ...]
    variants: Mapping[str, Experiment]

    @property
    def seeds(self) -> list[int]:
        return next(iter(self.variants.values())).seeds

    def runs(self) -> Iterator[tuple[str, int | None, int]]:
        """Variant, fold (None without cross-validation) and seed of every run of the file."""
        for seed in self.seeds:
            for variant, experiment in self.variants.items():
                for fold in experiment.data.split.chosen_folds:
                    yield variant, fold, seed

    @property
    def executor(self) -> Executor:
        return next(iter(self.variants.values())).executor


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> LoadedExperiment:
    """Read and validate an experiment file with all variants.

    Raises:
        SpecError: all problems, one per line: `file:line:column: path: problem; what to do`.
    """
    return read_experiment(path, _read(path), overrides)


def read_experiment(path: Path, text: str, overrides: Sequence[str] = ()) -> LoadedExperiment:
    """`load_experiment` with the given text instead of the content of the file."""
    source = parse(text, str(path))
    if not isinstance(source.data, dict):
        raise SpecError(
            f"{path}: an experiment is a mapping of settings (data, model, training ...); see `segengine schema`"
        )
    tree = Tree.of(source)
    for override in map(parse_override, overrides):
        tree = overridden(tree, _with_path_from_here(override, tree), _block_of)
    found: list[str] = []
    variants = {}
    trees = _variant_trees(tree, found)
    for name, variant_tree in trees.items():
        experiment, wrong = _checked(variant_tree, path)
        found += wrong
        if experiment is not None:
            variants[name] = experiment
    if tree.data.get("variants"):  # settings that all variants replace are validated too, as in editors
        found += _checked(_without_variants(tree), path, but=("missing", "value_error"))[1]
    if found:
        raise SpecError("\n".join(sorted(dict.fromkeys(map(printable, found)), key=_place)))
    first = next(iter(variants.values()))
    loaded = LoadedExperiment(first.name or _folder_name(path.stem), path, text, tuple(overrides), variants)
    _refuse_shared_folders(loaded, tree)
    return loaded


def read_sections(path: Path, overrides: Sequence[str] = ()) -> tuple[Tree, Callable[[type[M]], M]]:
    """A run's spec.yaml with overrides as plain data, and a function that validates it with a model of some sections.

    Raises:
        SpecError: all problems at once (the function too).
    """
    source = parse(_read(path), str(path))
    if not isinstance(source.data, dict):
        raise SpecError(f"{path}: holds no settings")
    tree = Tree.of(source)
    for override in map(parse_override, overrides):
        tree = overridden(tree, _with_path_from_here(override, tree), _block_of)
    tree = _without_variants(tree)

    def checked(model: type[M]) -> M:
        found, wrong = _validated(model, tree, path)
        if found is None:
            raise SpecError("\n".join(sorted(dict.fromkeys(map(printable, wrong)), key=_place)))
        return found

    return tree, checked


def completed(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of a spec.yaml, with the defaults of settings that didn't exist yet when it was written.

    None if it is no longer valid, or a plugin is missing.
    """
    known = {key: value for key, value in spec.items() if key not in ("variants", "trackers")}
    try:
        experiment = Experiment.model_validate(known)
    except (ValidationError, RegistryError):
        return None
    filled: dict[str, Any] = _filled(
        spec, experiment.model_dump(mode="json", exclude={"executor", "variants", "trackers"})
    )
    return filled


def _filled(given: Any, full: Any) -> Any:
    """`given` with the keys that only `full` has."""
    if isinstance(given, Mapping) and isinstance(full, Mapping):
        return {**full, **{key: _filled(value, full.get(key)) for key, value in given.items()}}
    if isinstance(given, list) and isinstance(full, list) and len(given) == len(full):
        return [_filled(*pair) for pair in zip(given, full, strict=True)]
    return given


def _checked(tree: Tree, path: Path, but: Collection[str] = ()) -> tuple[Experiment | None, list[str]]:
    return _validated(Experiment, tree, path, but)


def _validated(model: type[M], tree: Tree, path: Path, but: Collection[str] = ()) -> tuple[M | None, list[str]]:
    try:
        return model.model_validate(tree.data, context={"base_folder": path.parent.resolve()}), []
    except ValidationError as error:
        return None, problems(error, tree, model, but)


def _block_of(path: SettingPath, data: Any, value: Any) -> Mapping[str, Any] | None:
    return block_of(Experiment, path, data, value)


def _refuse_shared_folders(loaded: LoadedExperiment, tree: Tree) -> None:
    owners: dict[str, str] = {}
    for variant, fold, seed in loaded.runs():
        folder = run_name(variant, seed, fold)
        other = owners.setdefault(folder, variant)
        if other != variant:
            place = tree.where(("variants", variant), key=True)
            raise SpecError(
                f"{place}: variants.{variant}: the folder of its run {folder} is also that of a run of variant '{other}'; rename one"
            )


def _place(problem: str) -> tuple[int, int]:
    """Line and column of a problem; overrides, which have none, are first."""
    found = re.search(r":(\d+):(\d+): ", problem)
    return (int(found[1]), int(found[2])) if found and not problem.startswith("-s ") else (0, 0)


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or device might block
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise SpecError(f"{path}: is {what}; an experiment is a YAML file")
        if status.st_size > _MOST_BYTES:
            raise SpecError(f"{path}: has {status.st_size:,} bytes; is this an experiment file?")
        return path.read_bytes().decode()  # text mode would change line ends, but a run keeps the file byte for byte
    except FileNotFoundError:
        siblings = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = suggest(path.name, siblings)
        raise SpecError(f"{path}: no such file" + (f"; {hint}" if hint else "")) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def _variant_trees(tree: Tree, found: list[str]) -> dict[str, Tree]:
    variants = tree.data.get("variants")
    base = _without_variants(tree)
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
        if not FOLDER_NAME.fullmatch(name):
            found.append(
                f"{tree.where(here, key=True)}: variants: '{name}' is not a valid folder name; use up to 100 "
                "letters, digits, . _ + -"
            )
            continue
        if change is None:
            change = {}  # noqa: PLW2901
        if not isinstance(change, dict):
            found.append(f"{tree.where(here)}: variants.{name}: must be a mapping of changes, or {{}} for none")
            continue
        found += [
            f"{tree.where((*here, key), key=True)}: variants.{name}.{key}: applies to all variants; move it to the top level"
            for key in change
            if key in OF_THE_FILE
        ]
        n = len(here)
        keys = {p[n:]: w for p, w in tree.keys.items() if p[:n] == here and len(p) > n}
        values = {p[n:]: w for p, w in tree.values.items() if p[:n] == here}
        over = Tree({k: v for k, v in change.items() if k not in OF_THE_FILE}, keys, values)
        trees[name] = merged(base, over, _block_of)
    return trees


def _without_variants(tree: Tree) -> Tree:
    return Tree({k: v for k, v in tree.data.items() if k != "variants"}, tree.keys, tree.values)


def _with_path_from_here(override: Override, tree: Tree) -> Override:
    """The override with a path that exists relative to the current directory made absolute, as usual on the command line."""
    if not isinstance(override.value, str) or not os.path.exists(override.value):
        return override
    steps = tuple(int(s) if s.isascii() and s.isdigit() and len(s) < 10 else s for s in override.steps)
    declared = field_at(Experiment, steps, overridden(tree, override, _block_of).data)
    if declared is None or not (declared.annotation is Path or RelativePath in declared.metadata):
        return override
    return Override(override.steps, str(Path(override.value).absolute()), override.text)


def _folder_name(stem: str) -> str:
    name = "".join(c if FOLDER_NAME.fullmatch("a" + c) else "-" for c in stem).lstrip("-._+")
    return name[:100] or "experiment"


def resolved(experiment: Experiment, *, name: str, variant: str, seed: int, fold: int | None = None) -> dict[str, Any]:
    """The settings of one run as plain data, with all defaults and qualified names of plugin components; a valid experiment."""
    data = experiment.model_dump(mode="json", exclude={"executor", "variants"})
    data |= {"name": name, "seeds": [seed], "variants": {variant: {}}}
    if fold is not None:
        data["data"]["split"]["fold"] = fold
    return data
