"""Gradient checkpointing: activations are recomputed in the backward pass instead of stored (Chen et al., 2016)."""

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
    """A module with its own checkpointing boundaries."""

    def recompute_stages(self) -> None:
        """Enable recomputation between the module's stages."""


def recompute(module: nn.Module) -> None:
    """Enable gradient checkpointing for `module`: only activations between its stages, or its inputs, are stored.

    Results are unchanged: the second pass uses the random state and buffers of the first, and its updates to them are
    discarded. `module` must not modify its inputs in place.
    """
    if isinstance(module, Staged):
        module.recompute_stages()
    else:
        recompute_whole(module)


def recompute_whole(module: nn.Module) -> None:
    """Enable gradient checkpointing for `module` as a whole: only its inputs are stored."""
    module.forward = partial(_again, module, module.forward)


def in_turn(layers: Sequence[nn.Module], x: Any, *, again: bool) -> Any:
    """Apply `layers` in order; with `again`, intermediate activations are recomputed in the backward pass."""
    return recomputed(partial(_in_turn, layers), layers, x) if again else _in_turn(layers, x)


def recomputed(function: Callable[..., Any], modules: Sequence[nn.Module], *args: Any, **kwargs: Any) -> Any:
    """Call `function`, which uses `modules`, with recomputation in the backward pass.

    Under torch.compile buffers need no handling.
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
    """Context managers of the first pass and the recomputation."""
    inside = [each for module in modules for each in module.modules()]
    before = [(each, name, buffer.clone()) for each in inside for name, buffer in each.named_buffers(recurse=False)]
    return nullcontext(), _exchanged(before)


@contextmanager
def _exchanged(copies: Sequence[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Replace the modules' buffers by copies, so that running statistics are updated once and the graph is identical."""
    own = [getattr(module, name) for module, name, _ in copies]
    for module, name, copy in copies:
        setattr(module, name, copy)
    try:
        yield
    finally:
        for (module, name, _), buffer in zip(copies, own, strict=True):
            setattr(module, name, buffer)
