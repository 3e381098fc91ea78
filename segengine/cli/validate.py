"""`segengine validate`: check an experiment file without reading data or loading torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import json_option, print_json, set_option

if TYPE_CHECKING:
    from segengine.specs.experiment import Experiment


@click.command("validate", short_help="Check experiment files before anything is spent.")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
@set_option
@json_option
def command(specs: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Check experiment files: every key, name and value, all problems at once.

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
        documents.append({"spec": str(spec), "name": loaded.name, "seeds": loaded.seeds, "variants": variants})
        if not as_json:
            _print(spec, loaded.seeds, variants)
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


def _print(spec: Path, seeds: list[int], variants: dict[str, dict[str, Any]]) -> None:
    sizes = [(len(variants), "variant"), (len(seeds), "seed"), (len(seeds) * len(variants), "run")]
    of_variants, of_seeds, runs = (f"{number} {word}{'s' * (number != 1)}" for number, word in sizes)
    click.echo(f"{spec}: valid; {of_variants} x {of_seeds} = {runs}")
    for name, facts in variants.items():
        batch = (
            "as large as fit, found when a run starts" if facts["batch_size"] == "auto" else f"of {facts['batch_size']}"
        )
        budget = f"{facts['epochs']} epochs" if facts["minutes"] is None else f"{facts['minutes']:g} minutes"
        click.echo(f"  {name}: {facts['backbone']} + {facts['decoder']}, {facts['loss']}, {budget} of batches {batch}")
