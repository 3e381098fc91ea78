"""The command group: imports commands lazily and converts errors to messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from contextlib import nullcontext
from typing import Any

import click

from segengine import __version__
from segengine.cli.interrupts import INTERRUPTED
from segengine.cli.output import say, stdout_for_the_document
from segengine.errors import SegengineError, unexpected
from segengine.registry import suggest

COMMANDS = {
    "compare": "compare",
    "cost": "cost",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "export",
    "init": "init",
    "inspect": "inspect",
    "plugins": "plugins",
    "postprocess": "postprocess",
    "predict": "predict",
    "run": "run",
    "runs": "runs",
    "schema": "schema",
    "serve": "serve",
    "validate": "validate",
    "weights": "weights",
}
"""Command name -> module in this package; each module has an object `command`."""


_WRONG_PATH = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}
"""Errors of a path that no file can have, such as one below a file."""


class _Commands(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"segengine.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            hint = suggest(name, COMMANDS) or f"commands: {', '.join(sorted(COMMANDS))}"
            raise click.UsageError(f"there is no command '{name}'; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="segengine")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.option("--no-plugins", is_flag=True, help="Use built-in components only; no plugin is imported.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, no_plugins: bool) -> None:
    """Train segmentation models on your own images and compare them with confidence intervals.

    \b
    Examples:
      segengine validate experiments/abdomen.yaml     check a file without training
      segengine run experiments/abdomen.yaml          train every variant and seed, compare them
      segengine compare                               compare all finished runs under runs/
      segengine runs                                  list runs with state, size and scores
      segengine predict runs/abdomen/vgg11-seed0 pictures/ -o masks/
      segengine doctor                                check the installation and the hardware
    """
    ctx.ensure_object(dict)["debug"] = debug
    if no_plugins:
        from segengine.components.lookup import NO_PLUGINS

        os.environ[NO_PLUGINS] = "1"  # so that the processes of a study's runs know


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line.

    Exit codes: 0 success, 1 a run failed, 2 invalid request, 130 interrupted by Ctrl-C and 143 by SIGTERM (both resume
    with the same command).
    """
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]  # accepted at any position
    if debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("segengine").setLevel(logging.DEBUG)
    if "--json" in given and sys.stdout is None:
        _say("--json writes to standard output, which is closed")
        sys.exit(2)
    with stdout_for_the_document() if _prints_document(given) else nullcontext():
        code = _flushed(_exit_code_of(given, debug=debug))
    sys.exit(code)


def _prints_document(given: list[str]) -> bool:
    """Whether standard output is a JSON document: with --json, and for `schema -o -`."""
    return "--json" in given or (given[:1] == ["schema"] and bool({"-", "-o-", "--out=-"} & set(given)))


def _exit_code_of(given: list[str], *, debug: bool) -> int:
    try:
        result = cli(args=["--debug", *given] if debug else given, prog_name="segengine", standalone_mode=False)
    except SegengineError as error:
        if debug:
            raise
        _say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return 1
    except OSError as error:
        if debug:
            raise
        _say(_of_system(error))
        return 2 if error.errno in _WRONG_PATH else 1
    except Exception as error:
        if debug:
            raise
        _say(f"{unexpected(error)}; --debug shows where")
        return 1
    return result if isinstance(result, int) else 0


def _of_system(error: OSError) -> str:
    """The message of an operating system error, with the file name."""
    said = {errno.ENOSPC: "the disk is full", errno.EEXIST: "is not a folder"}
    what = said.get(error.errno or 0) or error.strerror or unexpected(error)
    return f"{error.filename}: {what}" if error.filename is not None else f"can't write: {what}"


def _flushed(code: int) -> int:
    """The exit code; 1 if standard output could not be written."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return code or 1
    except OSError as error:
        _discard_stdout()
        _say(_of_system(error))
        return code or 1
    return code


def _discard_stdout() -> None:
    """Redirect standard output to the null device, so that the interpreter doesn't flush to a closed pipe at exit."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str) -> None:
    lines = message.split("\n")
    say("\n".join(f"error: {line}" for line in lines), err=True)
