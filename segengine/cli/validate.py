"""`segengine validate`: check an experiment file without reading data or loading torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option, set_option
from segengine.cli.output import print_json, say
from segengine.errors import counted

if TYPE_CHECKING:
    from segengine.specs.experiment import Experiment
    from segengine.specs.load import LoadedExperiment


@click.command("validate", short_help="Check experiment files without training.")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
@set_option
@json_option
def command(specs: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Check every key, name and value of experiment files; reports all problems at once.

    \b
    Examples:
      segengine validate experiments/*.yaml
      segengine validate experiments/abdomen.yaml -s training.epochs=3
    """
    from segengine.errors import SpecError
    from segengine.specs.load import load_experiment

    documents, problems = [], []
    for spec in specs:
        try:
            loaded = load_experiment(spec, overrides)
        except SpecError as error:
            problems += str(error).splitlines()
            continue
        variants = {name: _described(experiment) for name, experiment in loaded.variants.items()}
        documents.append(
            {
                "spec": str(spec),
                "name": loaded.name,
                "seeds": loaded.seeds,
                "runs": len(list(loaded.runs())),
                "variants": variants,
            }
        )
        if not as_json:
            _print(loaded, variants)
    if as_json:
        print_json({"valid": not problems, "experiments": documents, "problems": problems})
        raise SystemExit(2 if problems else 0)
    if problems:
        raise SpecError("\n".join(problems))


def _described(experiment: Experiment) -> dict[str, Any]:
    from segengine.components.lookup import qualified_name

    model = experiment.model
    return {
        "backbone": qualified_name(model.backbone),
        "decoder": qualified_name(model.decoder),
        "loss": qualified_name(experiment.loss),
        "epochs": experiment.training.epochs,
        "minutes": experiment.training.minutes,
        "batch_size": experiment.training.batch_size,
    }


def _print(loaded: LoadedExperiment, variants: dict[str, dict[str, Any]]) -> None:
    say(f"{loaded.path}: valid; {_counted(loaded)}")
    for name, facts in variants.items():
        batch = "chosen to fit memory when a run starts" if facts["batch_size"] == "auto" else str(facts["batch_size"])
        budget = counted(facts["epochs"], "epoch") if facts["minutes"] is None else f"{facts['minutes']:g} minutes"
        say(f"  {name}: {facts['backbone']} + {facts['decoder']}, {facts['loss']}, {budget}, batch size {batch}")


def _counted(loaded: LoadedExperiment) -> str:
    """`2 variants x 5 folds x 1 seed = 10 runs`; without folds, or if their number differs, they are omitted."""
    runs = len(list(loaded.runs()))
    sizes = [(len(loaded.variants), "variant"), (len(loaded.seeds), "seed")]
    folds = {len(experiment.data.split.chosen_folds) for experiment in loaded.variants.values()}
    if folds != {1}:
        if len(folds) > 1:
            return f"{counted(runs, 'run')}, with different numbers of folds"
        sizes.insert(1, (folds.pop(), "fold"))
    return f"{' x '.join(counted(*size) for size in sizes)} = {counted(runs, 'run')}"
