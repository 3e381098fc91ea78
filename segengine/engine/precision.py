"""Precision of the forward pass, deterministic algorithms and seeding."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from segengine.errors import RunError

_NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")


@dataclass(frozen=True)
class Precision:
    """Precision of the forward pass; `dtype` None is float32 without autocast."""

    name: str
    device_type: str
    dtype: torch.dtype | None

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler | None:
        """The gradient scaler that fp16 needs; bf16 and fp32 have float32's range and need none."""
        return torch.amp.GradScaler(self.device_type) if self.dtype is torch.float16 else None


def pick_precision(requested: str, device: torch.device) -> Precision:
    """The precision; `auto` is bf16 on GPUs that support it, fp16 on older GPUs, fp32 on a CPU.

    Raises:
        RunError: fp16 is requested on a CPU.
    """
    if requested == "auto":
        requested = "fp32"
        if device.type == "cuda":
            requested = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if requested == "fp16" and device.type == "cpu":
        raise RunError("training.precision: fp16 needs a GPU; write auto, fp32 or bf16")
    return Precision(requested, device.type, {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[requested])


def seed_everything(seed: int) -> None:
    """Seed torch's generators on all devices."""
    torch.manual_seed(seed)


@contextmanager
def nondeterministic_operations() -> Iterator[set[str]]:
    """Collects the names of operations without a deterministic implementation from torch's warnings, and suppresses these warnings."""
    found: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    for warning in caught:
        match = _NOT_DETERMINISTIC.match(str(warning.message))
        if match:
            found.add(match[1])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def repeatable(seed: int, *, deterministic: bool) -> Iterator[None]:
    """Seeds torch, and with `deterministic` enables deterministic algorithms; settings are restored on exit."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    seed_everything(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
