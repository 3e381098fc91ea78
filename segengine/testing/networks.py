"""Checks shared by backbones and decoders: gradients, state_dict, reproducible initialisation, independence of batch items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segengine.testing.subject import Check, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """How to build and call a module: `inputs(batch)` returns its input tensors, `call` the list of its outputs."""

    build: Callable[[], nn.Module]
    inputs: Callable[[int], list[Tensor]]
    call: Callable[[Any, list[Tensor]], list[Tensor]]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context in which torch's CPU generator is seeded; its state is restored afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _made(network: Network, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return network.build()


def _given(network: Network, batch: int) -> list[Tensor]:
    with seeded(7):
        return network.inputs(batch)


def _evaluated(network: Network, module: nn.Module, given: list[Tensor]) -> list[Tensor]:
    import torch

    with torch.inference_mode():
        return network.call(module.eval(), list(given))


def _trains_on_a_batch_of_one(network: Network) -> Iterator[str]:
    """Training works with a batch of one image (omit batch normalisation after global pooling)."""
    module = _made(network).train()
    sum(out.sum() for out in network.call(module, _given(network, 1))).backward()  # type: ignore[union-attr]
    yield from ()


def gradient_reaches_every_parameter(network: Network) -> Iterator[str]:
    """The gradient reaches every parameter, and is finite."""
    module = _made(network).train()
    outputs = network.call(module, _given(network, 2))
    sum(out.square().mean() for out in outputs).backward()  # type: ignore[union-attr]
    trained = [(name, p.grad) for name, p in module.named_parameters() if p.requires_grad]
    unreached = [name for name, gradient in trained if gradient is None]
    if unreached:
        yield f"no gradient reaches {_few(unreached)}; use these parameters in forward(), or don't create them"
    broken = [name for name, gradient in trained if gradient is not None and not bool(gradient.isfinite().all())]
    if broken:
        yield f"the gradient of {_few(broken)} is not finite; look for divisions, roots and logarithms of 0"


def _state_is_all_there_is(network: Network) -> Iterator[str]:
    """Two modules with the same state_dict have the same outputs."""
    import torch

    one, other = _made(network, 0), _made(network, 1)
    given = _given(network, 2)
    other.load_state_dict(one.state_dict())
    if not all(map(torch.equal, _evaluated(network, one, given), _evaluated(network, other, given))):
        yield "outputs differ for the same state_dict; register all tensors as parameters or buffers"


def _the_seed_decides(network: Network) -> Iterator[str]:
    """The same torch.manual_seed gives the same initial weights, another one others (unless they are read from a file)."""
    import torch

    one, other = (_made(network).state_dict() for _ in range(2))
    if not all(torch.equal(value, other[key]) for key, value in one.items()):
        yield "initial weights differ for the same torch.manual_seed; draw them only from torch's default generator"
    module = _made(network, 1)
    if getattr(module, "initial_weights", None):  # pretrained: read from a file, whatever the seed
        return
    other = module.state_dict()
    drawn = [
        key
        for key, value in one.items()
        if value.ndim > 1 and value.is_floating_point() and bool((value != value.flatten()[0]).any())
    ]
    if drawn and all(torch.equal(one[key], other[key]) for key in drawn):
        yield "all seeds give the same initial weights; remove torch.manual_seed and fixed generators from build()"


def _batch_mates_do_not_matter(network: Network) -> Iterator[str]:
    """In evaluation mode the output for an image is deterministic and independent of the other images in the batch."""
    import torch

    module, given = _made(network), _given(network, 3)
    before = [value.detach().clone() for value in given]
    together, again = (_evaluated(network, module, given) for _ in range(2))
    if not all(map(torch.equal, together, again)):
        yield "outputs in evaluation mode differ between two calls; use randomness only if self.training"
    if not all(map(torch.equal, before, given)):
        yield "forward() modifies its input tensors; do not use in-place operations on them"
    alone = _evaluated(network, module, [value[:1] for value in given])
    for one, whole in zip(alone, together, strict=True):
        tolerance = 1e-3 * float(whole.abs().max())
        if not torch.allclose(one, whole[:1], rtol=1e-3, atol=tolerance):
            yield "an image's output in evaluation mode depends on the other images; use running or per-image statistics"
            return


_SHARED = (
    _trains_on_a_batch_of_one,
    gradient_reaches_every_parameter,
    _state_is_all_there_is,
    _the_seed_decides,
    _batch_mates_do_not_matter,
)


def network_checks(network_of: Callable[[Subject], Network]) -> tuple[Check, ...]:
    """The shared checks for the modules of `network_of(subject)`."""
    return tuple(_bound(check, network_of) for check in _SHARED)


def _bound(check: Callable[[Network], Iterator[str]], network_of: Callable[[Subject], Network]) -> Check:
    def bound(subject: Subject) -> Iterator[str]:
        yield from check(network_of(subject))

    bound.__doc__ = check.__doc__
    return bound


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
