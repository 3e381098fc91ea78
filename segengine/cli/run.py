"""`segengine run`: train the runs of an experiment file and compare them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segengine.cli.options import device_option, json_option, runs_option, set_option, spec_argument
from segengine.cli.output import print_json, say
from segengine.errors import counted
from segengine.runs.names import COMPARISON, REPORT

if TYPE_CHECKING:
    from segengine.comparison.judge import Judged
    from segengine.specs.load import LoadedExperiment
    from segengine.study.plan import Outcome, RunPlan


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
    "--gpus",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train each run on N GPUs of this machine, one process per GPU.",
)
@click.option(
    "--executor",
    metavar="NAME",
    help="Executor of the runs: local, ray, or a plugin's.  [default: the experiment file's]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of concurrent runs.  [default: the number of GPUs, 1 without any]",
)
@click.option(
    "--find-lr",
    "find_rate",
    is_flag=True,
    help="Run a learning-rate range test (Smith, 2017) on the first variant (or --variant) instead of training: "
    "suggests a rate, with a plot.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the report or comparison page in the browser at the end.")
@click.option("--fresh", is_flag=True, help="Start over; earlier runs are set aside, not deleted.")
@click.option(
    "--accept-plugins",
    "accept",
    is_flag=True,
    help="Resume interrupted runs although plugins of their networks have changed since; recorded in run.json.",
)
@json_option
def command(
    spec: Path, overrides: tuple[str, ...], out: Path, variants: tuple[str, ...], seeds: tuple[int, ...], device: str,
    gpus: int | None, executor: str | None, jobs: int | None, find_rate: bool, open_page: bool, fresh: bool, accept: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Train every variant and seed of an experiment file, and compare them.

    Finished runs are kept, interrupted runs resume from the last checkpoint, and missing runs are trained, each in its own
    process, so that a crash affects one run only.
    Ctrl-C (exit code 130) and SIGTERM (143) save a checkpoint first; the same command resumes.

    \b
    Examples:
      segengine run experiments/abdomen.yaml
      segengine run experiments/abdomen.yaml --variant vgg11 -s training.epochs=3 -o runs/quick
      segengine run experiments/abdomen.yaml --find-lr
      segengine run experiments/abdomen-gpu.yaml --gpus 4
      segengine run experiments/abdomen-gpu.yaml --executor ray
    """
    from segengine.study.plan import plans

    loaded = _loaded(spec, overrides, executor, jobs)
    chosen = plans(loaded, out, variants, seeds)
    if find_rate:
        return _find_rate(chosen[0], device, as_json)
    if gpus and gpus > 1 and "WORLD_SIZE" not in os.environ:
        return _multi_process(gpus, device)

    from segengine.building.build import preflight
    from segengine.study.local import accept_plugins, unfinished
    from segengine.study.threads import single_threaded

    with single_threaded():  # building networks must leave no thread pool behind
        for experiment in {id(plan.experiment): plan.experiment for plan in chosen}.values():
            preflight(experiment)
    if accept and int(os.environ.get("RANK", "0")) == 0:
        accept_plugins(chosen, _print_note)
    alone = "WORLD_SIZE" in os.environ or not hasattr(os, "fork")
    if not alone and loaded.executor.name == "local":
        alone = len(chosen if fresh else unfinished(chosen)) < 2
    outcomes, interrupted = (
        _in_this_process(chosen, device, fresh) if alone else _in_own_processes(chosen, device, fresh)
    )
    if int(os.environ.get("RANK", "0")) == 0:
        page = _report(outcomes, out / loaded.name, as_json)
        if open_page and page is not None:
            click.launch(str(page.absolute()))
    return _exit_code(outcomes, interrupted)


def _loaded(spec: Path, overrides: tuple[str, ...], executor: str | None, jobs: int | None) -> LoadedExperiment:
    """The experiment with the executor options applied as overrides."""
    from segengine.specs.load import load_experiment

    loaded = load_experiment(spec, overrides)
    if executor and executor != loaded.executor.name:
        overrides = (*overrides, f"executor={executor}")
    if jobs:
        overrides = (*overrides, f"executor.jobs={jobs}")
    return load_experiment(spec, overrides) if executor or jobs else loaded


def _in_this_process(
    chosen: list[RunPlan],
    device: str,
    fresh: bool,
) -> tuple[list[Outcome], int]:
    """Run in this process, or in all processes of torchrun. Returns the outcomes and the exit code of an interruption."""
    from segengine.cli.console import ConsoleListener
    from segengine.engine.distributed import open_world
    from segengine.engine.signals import stop_on_signals
    from segengine.study.local import execute, prepare_folders

    console = ConsoleListener()
    with open_world(device) as world, stop_on_signals(console.say) as stop_wanted:
        if world.main:
            prepare_folders(chosen, fresh=fresh, listener=console)
        world.barrier()
        try:
            outcomes = list(execute(chosen, world, console if world.main else _silent, stop_wanted))
        finally:
            console.close()
        for outcome in outcomes if world.main and len(outcomes) > 1 else ():
            if outcome.status != "finished":
                console.say(f"{outcome.status}: {outcome.plan.folder} {outcome.message}".rstrip())
    return outcomes, stop_wanted.exit_code


def _in_own_processes(chosen: list[RunPlan], device: str, fresh: bool) -> tuple[list[Outcome], int]:
    """Run each run in its own process, placed by the executor."""
    from segengine.cli.overview import Overview
    from segengine.engine.signals import stop_on_signals
    from segengine.study.conduct import conduct
    from segengine.study.local import prepare_folders

    executor = chosen[0].loaded.executor
    executor.preflight()
    overview = Overview(chosen)
    with stop_on_signals(overview.say) as stop_wanted:
        try:
            prepare_folders(chosen, fresh=fresh, listener=overview)
            outcomes = list(conduct(chosen, executor.build(), device, overview, stop_wanted))
        finally:
            overview.close()
    order = [plan.name for plan in chosen]
    return sorted(outcomes, key=lambda outcome: order.index(outcome.plan.name)), stop_wanted.exit_code


def _find_rate(plan: RunPlan, device: str, as_json: bool) -> int:
    """Run the learning-rate range test in this process."""
    from segengine.building.build import preflight
    from segengine.building.dataset import load_dataset
    from segengine.cli.console import ConsoleListener
    from segengine.engine.distributed import World, pick_device
    from segengine.study.local import request_of
    from segengine.training.rate_finding import find_rate

    preflight(plan.experiment)
    console = ConsoleListener()
    try:
        dataset = load_dataset(plan.experiment, plan.fold, console)
        found = find_rate(request_of(plan), dataset, World(pick_device(device)), console, plan.folder.parent)
    finally:
        console.close()
    if as_json:
        files = {"table": str(found.table), "picture": str(found.picture)}
        print_json({"variant": plan.variant, "learning_rate": found.rate, "steps": found.steps, **files})
        return 0
    if found.rate is None:
        say(f"The loss did not decrease in {counted(found.steps, 'step')}: no suggestion for {plan.variant}.")
    else:
        say(f"Suggested for {plan.variant}: training.optimizer.learning_rate: {found.rate:.2g}")
    say(f"Loss by learning rate: {found.table} and {found.picture}")
    return 0


def _print_note(event: Any) -> None:
    """Print a note that belongs to no running console."""
    say(event.text, err=True)


def _silent(event: Any) -> None:
    """Listener of all processes except the main one."""


def _report(outcomes: list[Outcome], folder: Path, as_json: bool) -> Path | None:
    """Print the comparison of the finished runs, and the path of the page to look at, which is returned."""
    if as_json:
        print_json([_document(outcome) for outcome in outcomes])
        return None
    finished = [outcome for outcome in outcomes if outcome.status == "finished"]
    page = finished[0].plan.folder / REPORT if finished else None
    if len(finished) > 1:
        from segengine.cli.compare import print_comparison
        from segengine.runs.folder import RunFolder

        say("")
        judged = print_comparison(folder)
        for outcome in outcomes:  # a run that failed before its folder existed isn't part of the comparison
            if outcome.status == "failed" and not RunFolder(outcome.plan.folder).exists:
                say(f"left out: {outcome.plan.name} ({outcome.status}: {outcome.message})")
        page = _comparison_page(judged, folder) or page
    if page is not None and page.is_file():
        _print_link(page)
        return page
    return None


def _comparison_page(judged: list[Judged], folder: Path) -> Path | None:
    """Write the comparison's page into the experiment's folder; None if there is no comparison or another file is in the way."""
    from segengine.cli.comparison_files import Targets, write_comparisons
    from segengine.errors import SegengineError

    if not judged:
        return None
    targets = Targets(html=folder / COMPARISON, out=None, pictures=6)
    try:
        targets.check()
        write_comparisons(targets, judged, report=False)
    except SegengineError as error:
        say(f"no page: {error}", err=True)
        return None
    return targets.html


def _print_link(page: Path) -> None:
    """Print the path of a page to standard error, on a terminal as a link."""
    from rich.console import Console
    from rich.text import Text

    text = Text(f"page: {page}")
    text.stylize(f"link {page.absolute().as_uri()}", len("page: "))
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)


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


def _multi_process(processes: int, device: str) -> int:
    """Run this command in several processes on this machine, which train one model."""
    from segengine.engine.launch import check_devices, launch

    check_devices(processes, device)
    return launch(sys.argv[1:], processes, lambda text: say(text, err=True))
