"""Loading local weight files into a backbone; every tensor of the backbone must be present in the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from segengine.errors import SpecError
from segengine.nn.input_channels import convolution_for
from segengine.weight_store import PREFIX, find, sha256_of, weights_path

_NAMED = 4  # maximum number of keys named in a message


def read_weights(weights: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, of a .pth file that contains tensors only, or of an entry `store:NAME` of the store.

    In a checkpoint, the entry `state_dict` or `model` is used and the prefix `module.` (DDP) removed; in the state dict
    of a complete segmenter, only the part `backbone.` is used.

    Raises:
        SpecError: no such file or entry of the store, or not a file of plain tensors.
    """
    path = weights_path(weights)
    if not path.is_file():
        raise SpecError(f"weights file {path} does not exist; specify a .safetensors or .pth file")
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises depends on its bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise SpecError(
            f"{path} can't be read as plain tensors ({reason}); save the state dict as .safetensors"
        ) from error
    for entry in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(entry), Mapping):
            state = state[entry]
    if not isinstance(state, Mapping):
        raise SpecError(f"{path} holds a {type(state).__name__}, not a state dict; save model.state_dict()")
    tensors = {str(key).removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    inner = {key.removeprefix("backbone."): value for key, value in tensors.items() if key.startswith("backbone.")}
    return inner or tensors


def load_backbone(
    backbone: nn.Module,
    state: Mapping[str, Tensor],
    *,
    in_channels: int,
    source: str,
    whole_model: Callable[[], Collection[str]] = tuple,
) -> None:
    """Copy `state` into `backbone`; the first convolution is adapted to `in_channels` (see `convolution_for`).

    A record of the loaded weights is stored as the backbone's attribute `initial_weights`, for run.json (see `_loaded`).

    Unused keys of a classifier and of `whole_model` are allowed; `whole_model` returns all keys of the network that the
    backbone was cut from, and is called only if keys of the backbone's own parts are unused.

    Raises:
        SpecError: a tensor is missing or has a different shape, or the file has layers that this backbone lacks.
    """
    own = backbone.state_dict()
    found_keys = {key: next((s for s in _spellings(key) if s in state), None) for key in own}
    matched: dict[str, Tensor] = {}
    missing, misshapen = [], []
    for key, tensor in own.items():
        name = found_keys[key]
        if name is None:
            # Files of old torch versions lack this counter, which has no influence with a fixed momentum.
            if key.endswith("num_batches_tracked"):
                matched[key] = tensor
            else:
                missing.append(key)
            continue
        value = _adapted(state[name], tensor, in_channels)
        if value.shape == tensor.shape:
            matched[key] = value
        else:
            misshapen.append(f"{name} {_shape(state[name])} instead of {_shape(tensor)}")
    foreign = _foreign_layers(state, {name for name in found_keys.values() if name})
    if foreign:
        known = set(whole_model())
        foreign = [key for key in foreign if key not in known]
    if missing or misshapen or foreign:
        problems = [
            f"{words} {_some(keys)}"
            for words, keys in (("missing:", missing), ("different shape:", misshapen), ("unexpected:", foreign))
            if keys
        ]
        raise SpecError(
            f"{source} matches {len(matched)} of the backbone's {len(own)} tensors; {'; '.join(problems)}; "
            f"use weights of the same model"
        )
    backbone.load_state_dict(matched)
    adapted = any(name and matched[key].shape != state[name].shape for key, name in found_keys.items())
    left_over = sorted(set(state) - {name for name in found_keys.values() if name})
    counters = [key for key, name in found_keys.items() if name is None]
    backbone.initial_weights = _loaded(source, len(own), counters, left_over, adapted)  # type: ignore[assignment]


def _loaded(source: str, tensors: int, counters: list[str], left_over: list[str], adapted: bool) -> dict[str, Any]:
    """Record of loaded weights.

    `file` and `sha256` (None: not a local file), `licence` and `source` of an entry of the store, numbers of `tensors` of the
    backbone and of those `loaded`, `missing` counters without influence, `unused` keys of the file, and whether the first
    layer was adapted to the images' channels.
    """
    stored = find(source.removeprefix(PREFIX)) if source.startswith(PREFIX) else None
    path = Path(source)
    digest = stored.sha256 if stored else sha256_of(path) if path.is_file() else None
    origin = {"licence": stored.licence, "source": stored.source} if stored else {}
    return {
        "file": source, "sha256": digest, **origin, "tensors": tensors, "loaded": tensors - len(counters), "missing": counters,
        "unused": left_over, "first_layer_adapted": adapted,
    }  # fmt: skip


def _adapted(value: Tensor, wanted: Tensor, in_channels: int) -> Tensor:
    first = value.ndim == 4 and wanted.ndim == 4 and wanted.shape[1] == in_channels
    only_channels_differ = first and value.shape[0] == wanted.shape[0] and value.shape[2:] == wanted.shape[2:]
    return convolution_for(value, in_channels) if only_channels_differ else value


def _spellings(key: str) -> Iterator[str]:
    """Possible names in a model's weight file of `key` of timm's feature extractor."""
    yield key
    for prefix in ("net.", "model.", "body."):
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
            yield key
    first, dot, rest = key.partition(".")
    for position, letter in enumerate(first):
        if letter == "_":  # timm flattens `stages.0` to `stages_0`
            yield f"{first[:position]}.{first[position + 1 :]}{dot}{rest}"


def _foreign_layers(state: Mapping[str, Tensor], used: Iterable[str]) -> list[str]:
    """Unused keys in parts of the backbone: layers of a deeper model, as those of ResNet-34 in ResNet-18."""
    modules: set[str] = set()
    parts: set[str] = set()
    for name in used:
        path = name.split(".")
        parts.add(path[0])
        modules.update(".".join(path[:end]) for end in range(1, len(path)))
    return [
        key
        for key in sorted(state)
        if key.endswith((".weight", ".bias"))
        and key.partition(".")[0] in parts
        and key.rpartition(".")[0] not in modules
    ]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(keys: list[str]) -> str:
    named = ", ".join(keys[:_NAMED])
    return named if len(keys) <= _NAMED else f"{named} and {len(keys) - _NAMED} more"
