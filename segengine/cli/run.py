"""`segengine run`: make it so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option, print_json, runs_option, set_option, spec_argument

if TYPE_CHECKING:
    from segengine.study.local import Outcome


@click.command("run", short_help="Train every variant and seed, compare them.")
@spec_argument
@set_option
@runs_option
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME", help="Only this variant; may be given several times."
)
@click.option(
    "--seed", "seeds", multiple=True, type=int, metavar="N", help="Only this seed; may be given several times."
)
@device_option
@click.option(
    "--gpus", type=click.IntRange(min=1), metavar="N", help="Train on N GPUs of this machine (starts torchrun)."
)
@click.option("--fresh", is_flag=True, help="Start over; earlier runs are set aside, not deleted.")
@json_option
def command(
    spec: Path, overrides: tuple[str, ...], out: Path, variants: tuple[str, ...], seeds: tuple[int, ...], device: str,
    gpus: int | None, fresh: bool, as_json: bool,
) -> int:  # fmt: skip
    """Train every variant and seed of an experiment file, and compare them.

    What is finished stays, what was interrupted goes on where it stopped, what is missing runs.
    Ctrl-C (exit code 130) and SIGTERM (143) save a checkpoint first; the same command continues.

    \b
    Examples:
      segengine run experiments/abdomen.yaml
      segengine run experiments/abdomen.yaml --variant vgg11 -s training.epochs=3 -o runs/quick
      segengine run experiments/abdomen-gpu.yaml --gpus 4
    """
    from segengine.specs.load import load_experiment
    from segengine.study.plan import plans

    loaded = load_experiment(spec, overrides)
    chosen = plans(loaded, out, variants, seeds)
    if gpus and gpus > 1 and "WORLD_SIZE" not in os.environ:
        return _torchrun(gpus)

    from segengine.cli.console import ConsoleListener
    from segengine.engine.signals import stop_on_signals
    from segengine.engine.world import open_world
    from segengine.study.local import execute, prepare_folders
    from segengine.workflow.build import preflight

    for experiment in {id(plan.experiment): plan.experiment for plan in chosen}.values():
        preflight(experiment)
    console = ConsoleListener()
    with open_world(device) as world, stop_on_signals(console.say) as stop_wanted:
        if world.main:
            prepare_folders(chosen, fresh=fresh, listener=console)
        world.barrier()
        try:
            outcomes = list(execute(chosen, world, console if world.main else _silent, stop_wanted))
        finally:
            console.close()
        if world.main:
            _report(outcomes, out / loaded.name, as_json)
    return _exit_code(outcomes, stop_wanted.exit_code)


def _silent(event: Any) -> None:
    """All processes but the main one."""


def _report(outcomes: list[Outcome], folder: Path, as_json: bool) -> None:
    if as_json:
        print_json([_document(outcome) for outcome in outcomes])
        return
    for outcome in outcomes if len(outcomes) > 1 else ():
        if outcome.status != "finished":
            click.echo(f"{outcome.status}: {outcome.plan.folder} {outcome.message}".rstrip(), err=True)
    if sum(outcome.status == "finished" for outcome in outcomes) > 1:
        from segengine.cli.compare import print_comparison

        click.echo("")
        print_comparison(folder)


def _document(outcome: Outcome) -> dict[str, Any]:
    run = outcome.run or {}
    return {
        "folder": str(outcome.plan.folder), "variant": outcome.plan.variant, "seed": outcome.plan.seed, "fold": outcome.plan.fold,
        "status": outcome.status, "message": outcome.message, "scores": run.get("scores"), "best": run.get("best"),
    }  # fmt: skip


def _exit_code(outcomes: list[Outcome], interrupted: int) -> int:
    states = {outcome.status for outcome in outcomes}
    if states & {"interrupted", "not started"}:
        return interrupted
    return int("failed" in states)


def _torchrun(processes: int) -> int:
    """The same command on several processes of this machine."""
    import subprocess

    arguments = list(sys.argv[1:])
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        "-m",
        "segengine",
    ]
    return subprocess.call([*launcher, *arguments])
