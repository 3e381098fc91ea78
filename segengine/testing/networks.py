"""What every trainable module must do, backbone or decoder: learn, be saved, and treat each image by itself."""

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
    """How to make and call one: `inputs(batch)` gives tensors with gradient, `call` the outputs for them."""

    build: Callable[[], nn.Module]
    inputs: Callable[[int], list[Tensor]]
    call: Callable[[Any, list[Tensor]], list[Tensor]]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's generator is seeded; afterwards it is as it was."""
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
    """A batch of one image can be trained (batch normalisation behind global pooling can't: leave it out there)."""
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
    """Another module with the same state computes the same."""
    import torch

    one, other = _made(network, 0), _made(network, 1)
    given = _given(network, 2)
    other.load_state_dict(one.state_dict())
    if not all(map(torch.equal, _evaluated(network, one, given), _evaluated(network, other, given))):
        yield "its state_dict doesn't hold all that decides its outputs; register tensors as parameters or buffers"


def _the_seed_decides(network: Network) -> Iterator[str]:
    """Built twice under one torch.manual_seed it has the same weights."""
    import torch

    one, other = (_made(network).state_dict() for _ in range(2))
    if not all(torch.equal(value, other[key]) for key, value in one.items()):
        yield "initial weights differ under one torch.manual_seed; draw them with torch's own generator only"


def _batch_mates_do_not_matter(network: Network) -> Iterator[str]:
    """In evaluation an image's result depends on no other image, and repeats."""
    import torch

    module, given = _made(network), _given(network, 3)
    before = [value.detach().clone() for value in given]
    together, again = (_evaluated(network, module, given) for _ in range(2))
    if not all(map(torch.equal, together, again)):
        yield "gives different results for the same images in evaluation; switch randomness off where not self.training"
    if not all(map(torch.equal, before, given)):
        yield "changes the tensors that it is given; don't use operations in place on them"
    alone = _evaluated(network, module, [value[:1] for value in given])
    for one, whole in zip(alone, together, strict=True):
        tolerance = 1e-3 * float(whole.abs().max())
        if not torch.allclose(one, whole[:1], rtol=1e-3, atol=tolerance):
            yield "an image's result in evaluation depends on the others in its batch; use running or per-image statistics"
            return


_SHARED = (
    _trains_on_a_batch_of_one,
    gradient_reaches_every_parameter,
    _state_is_all_there_is,
    _the_seed_decides,
    _batch_mates_do_not_matter,
)


def network_checks(network_of: Callable[[Subject], Network]) -> tuple[Check, ...]:
    """The checks above for what `network_of` makes of a component."""
    return tuple(_bound(check, network_of) for check in _SHARED)


def _bound(check: Callable[[Network], Iterator[str]], network_of: Callable[[Subject], Network]) -> Check:
    def bound(subject: Subject) -> Iterator[str]:
        yield from check(network_of(subject))

    bound.__doc__ = check.__doc__
    return bound


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
