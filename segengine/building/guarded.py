"""Checks of plugin components in use: exceptions and violated contracts are reported with the component and its package."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from segengine.components.base import Component, Metric, Optimizer, Schedule, Source
from segengine.components.lookup import is_from_plugin, spoken
from segengine.errors import DataError, RunError, SegengineError, unexpected

if TYPE_CHECKING:
    import torch
    from torch import nn

    from segengine.data.sources.records import Record

_MOST_FACTORS = 1000


@contextmanager
def blamed(component: Component, doing: str = "build()") -> Iterator[None]:
    """Exceptions of a plugin's component as a RunError that names it, its package and the line; running out of memory isn't one."""
    try:
        yield
    except SegengineError:
        raise
    except Exception as error:
        if not is_from_plugin(component) or _out_of_memory(error):
            raise
        raise RunError(f"{spoken(component)}: {doing} raises {raised(error)}") from error


def raised(error: BaseException) -> str:
    """`TypeError: ... (acme.py, line 12)`, with the innermost line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = (
        f" ({frames[-1].filename.replace(chr(92), '/').rpartition('/')[2]}, line {frames[-1].lineno})" if frames else ""
    )
    return unexpected(error) + place


def _out_of_memory(error: Exception) -> bool:
    from segengine.engine.machine_errors import out_of_memory

    return out_of_memory(error)


def built_module(component: Component, **facts: Any) -> Any:
    """A network part, built with torch's generator as it is; the other generators are restored afterwards.

    Raises:
        RunError: `build` of a plugin raises, isn't a torch module, or seeds torch's generator, which would give all seeds of a
            study the same weights.
    """
    import torch

    if not is_from_plugin(component):
        return component.build(**facts)  # type: ignore[attr-defined]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with blamed(component), _seeding_noted() as seeded:
        before = torch.initial_seed()
        module = component.build(**facts)  # type: ignore[attr-defined]
        if torch.initial_seed() != before or seeded:
            raise RunError(
                f"{spoken(component)}: build() seeds torch's generator, so that all seeds would get the same weights; remove "
                "torch.manual_seed there, and draw fixed values with a torch.Generator of its own"
            )
    random.setstate(python_state)
    np.random.set_state(numpy_state)
    if not isinstance(module, torch.nn.Module):
        raise RunError(f"{spoken(component)}: build() returns {type(module).__name__}; return a torch.nn.Module")
    return module


@contextmanager
def _seeding_noted() -> Iterator[list[int]]:
    """Records seeds passed to torch.manual_seed; the generator's state alone does not show a call with the seed of the run."""
    import torch

    seeds: list[int] = []
    original = torch.manual_seed

    def noted(seed: int) -> torch.Generator:
        seeds.append(seed)
        return original(seed)

    torch.manual_seed = torch.random.manual_seed = noted
    try:
        yield seeds
    finally:
        torch.manual_seed = torch.random.manual_seed = original


def check_network(backbone: Component, decoder: Component, modules: tuple[Any, Any], channels: int) -> None:
    """Check shapes of a plugin's backbone or decoder on one small batch, before training.

    Raises:
        RunError: a forward pass raises, or the maps aren't as declared.
    """
    import torch

    from segengine.nn.contract_checks import backbone_problems, decoder_problems

    if not (is_from_plugin(backbone) or is_from_plugin(decoder)):
        return
    with torch.random.fork_rng(devices=[]):
        with blamed(backbone, "forward()"):
            _refuse(backbone, backbone_problems(modules[0], channels))
        with blamed(decoder, "forward()"):
            _refuse(decoder, decoder_problems(modules[1], modules[0].channels, modules[0].strides))


def check_attributes(component: Component, problems: Iterator[str]) -> None:
    """Raises RunError with the first problem of a plugin's module."""
    if is_from_plugin(component):
        with blamed(component):
            _refuse(component, problems)


def _refuse(component: Component, problems: Iterator[str]) -> None:
    for problem in problems:
        raise RunError(f"{spoken(component)}: {problem}")


def built_optimizer(optimizer: Optimizer, parameters: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
    """The optimizer over parameter groups.

    Raises:
        RunError: `build` of a plugin raises, or returns another type.
    """
    import torch

    with blamed(optimizer):
        built: Any = optimizer.build(parameters=parameters, fused=fused)
    if not isinstance(built, torch.optim.Optimizer):
        raise RunError(f"{spoken(optimizer)}: build() returns {type(built).__name__}; return a torch.optim.Optimizer")
    return built


def built_schedule(
    schedule: Schedule, optimizer: torch.optim.Optimizer, total_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The schedule over `total_steps` steps; a plugin's factors are checked at up to 1,000 of them.

    Raises:
        RunError: `build` or `factor` of a plugin raises, or a factor isn't a number from 0 to 1.
    """
    if is_from_plugin(schedule):
        for step in range(0, total_steps, -(-total_steps // _MOST_FACTORS)):
            with blamed(schedule, "factor()"):
                factor: Any = schedule.factor(step, total_steps)
            if not isinstance(factor, int | float) or not 0 <= factor <= 1:
                raise RunError(
                    f"{spoken(schedule)}: the factor at step {step} of {total_steps} is {factor}; return a fraction of the peak rate, "
                    "0 to 1"
                )
    with blamed(schedule):
        return schedule.build(optimizer=optimizer, total_steps=total_steps)


def plugin_parts(component: Component) -> str:
    """The plugin components among a component and its parts, for messages; '' if there are none."""
    return " and ".join(dict.fromkeys(spoken(part) for part in component.parts() if is_from_plugin(part)))


def checked_loss(component: Component, loss: Any) -> nn.Module:
    """A plugin's loss with a check of its first value; built-in losses unchanged.

    Raises:
        RunError: not a module, or it has learnable parameters, which are not trained.
    """
    from torch import nn

    from segengine.nn.checked_loss import CheckedLoss

    what = plugin_parts(component)
    if not what:
        assert isinstance(loss, nn.Module)
        return loss
    if not isinstance(loss, nn.Module):
        raise RunError(f"{what}: build() returns {type(loss).__name__}; return a torch.nn.Module")
    learnable = [name for name, parameter in loss.named_parameters() if parameter.requires_grad]
    if learnable:
        raise RunError(
            f"{what}: has learnable parameters ({', '.join(learnable[:3])}), which are not trained; make them buffers or settings"
        )
    return CheckedLoss(loss, what)


def checked_metric(metric: Metric) -> Any:
    """The callable of a metric; for plugins, with a check of each value."""
    from segengine.metrics.checked import CheckedMetric

    with blamed(metric):
        built = metric.build()
    if not is_from_plugin(metric):
        return built
    if not callable(built):
        raise RunError(f"{spoken(metric)}: build() returns {type(built).__name__}; return a function of an ImagePair")
    return CheckedMetric(built, spoken(metric), by_class=metric.by_class, share=not metric.length, raised=raised)


def try_metric(metric: Metric) -> None:
    """Evaluate a plugin's metric for one small image, so that errors are found before training.

    Raises:
        RunError: the metric raises, or its values have another form or range than declared.
    """
    from segengine.metrics.pairs import ImagePair

    if not is_from_plugin(metric):
        return
    truth = np.zeros((8, 8), np.uint8)
    truth[2:5, 2:6] = 1
    probabilities = np.full((2, 8, 8), 0.5, np.float32)
    pair = ImagePair(truth, np.roll(truth, 1, axis=0), 2, (1,), (1.0, 1.0), lambda: [probabilities])
    checked_metric(metric)(pair)


def records_of(source: Source) -> list[Record]:
    """The records of a source, sorted and checked.

    Raises:
        DataError: the source fails, or its records are unusable: unknown split, duplicate id, missing file.
    """
    from segengine.data.sources.validated import validated

    if not is_from_plugin(source):
        return source.build()
    try:
        found = source.build()
    except SegengineError:
        raise
    except Exception as error:
        raise DataError(f"{spoken(source)}: build() raises {raised(error)}") from error
    return validated(found, spoken(source))
