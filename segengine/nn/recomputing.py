"""Gradient checkpointing: inner maps are computed again in the backward pass instead of being kept (Chen et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Contexts = tuple[AbstractContextManager[None], AbstractContextManager[None]]


@runtime_checkable
class Staged(Protocol):
    """A module that knows between which of its parts maps are to be kept."""

    def recompute_stages(self) -> None:
        """From now on compute what lies between them again."""


def recompute(module: nn.Module) -> None:
    """From now on `module` keeps few maps for the backward pass: those between its stages, or its inputs alone.

    No number changes: the second pass has the random numbers and the buffers of the first, and what it does to them is
    forgotten. `module` may not change its inputs in place.
    """
    if isinstance(module, Staged):
        module.recompute_stages()
    else:
        recompute_whole(module)


def recompute_whole(module: nn.Module) -> None:
    """From now on `module` keeps its inputs alone for the backward pass."""
    module.forward = partial(_again, module, module.forward)


def in_turn(layers: Sequence[nn.Module], x: Any, *, again: bool) -> Any:
    """`x` through all `layers`; with `again`, what is between them is computed again in the backward pass."""
    return recomputed(partial(_in_turn, layers), layers, x) if again else _in_turn(layers, x)


def recomputed(function: Callable[..., Any], modules: Sequence[nn.Module], *args: Any, **kwargs: Any) -> Any:
    """`function` of its arguments, which `modules` compute, once more in the backward pass.

    A compiler sees to buffers by itself.
    """
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    if torch.compiler.is_compiling():
        return checkpoint(function, *args, use_reentrant=False, **kwargs)
    return checkpoint(function, *args, use_reentrant=False, context_fn=partial(_contexts, modules), **kwargs)


def _again(module: nn.Module, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return recomputed(function, (module,), *args, **kwargs)


def _in_turn(layers: Sequence[nn.Module], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _contexts(modules: Sequence[nn.Module]) -> Contexts:
    """What surrounds the first pass, which is about to begin, and the second."""
    inside = [each for module in modules for each in module.modules()]
    before = [(each, name, buffer.clone()) for each in inside for name, buffer in each.named_buffers(recurse=False)]
    return nullcontext(), _exchanged(before)


@contextmanager
def _exchanged(copies: Sequence[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Modules with these copies in place of their buffers: running statistics move once, and the graph is the same."""
    own = [getattr(module, name) for module, name, _ in copies]
    for module, name, copy in copies:
        setattr(module, name, copy)
    try:
        yield
    finally:
        for (module, name, _), buffer in zip(copies, own, strict=True):
            setattr(module, name, buffer)
