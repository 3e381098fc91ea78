"""Diagnosis of the machine: library versions, devices, memory and plugins."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import psutil

from segengine.components.base import KINDS
from segengine.components.lookup import checked_class, registry
from segengine.errors import RegistryError
from segengine.registry import import_crash, stray_groups

LIBRARIES = ("segengine", "torch", "torchvision", "timm", "segmentation-models-pytorch", "albumentations",
             "opencv-python-headless", "numpy", "pydantic")  # fmt: skip
_FEW_GIB = 4  # less free memory than this is reported as slow


@dataclass(frozen=True)
class Finding:
    """One result of the diagnosis; `slow`: works with reduced performance, `broken`: must be repaired."""

    topic: str
    state: Literal["ok", "slow", "broken"]
    text: str


def examine() -> list[Finding]:
    """All findings: versions, devices, the machine, plugins."""
    return [*_versions(), *_devices(), *_machine(), *_plugins()]


def _versions() -> list[Finding]:
    found = [Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")]
    for name in LIBRARIES:
        try:
            found.append(Finding(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append(
                Finding(
                    name, "broken", "not installed; reinstall segengine with its dependencies: pip install segengine"
                )
            )
    for other in ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"):
        try:
            version = metadata.version(other)
        except metadata.PackageNotFoundError:
            continue
        found.append(Finding(other, "broken", f"{version} overwrites opencv-python-headless; uninstall one of them"))
    return found


def _devices() -> list[Finding]:
    try:
        import torch
    except Exception as error:
        return [
            Finding(
                "device", "broken", f"torch can't be imported: {type(error).__name__}: {' '.join(str(error).split())}"
            )
        ]
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        text = f"no usable CUDA GPU (torch is {built}); training runs on the CPU, about 20 to 100 times slower"
        return [Finding("device", "slow", text)]
    return [_gpu(torch.cuda.get_device_properties(i), i, torch) for i in range(torch.cuda.device_count())]


def _gpu(card: Any, i: int, torch: Any) -> Finding:
    memory = card.total_memory / 2**30
    text = f"{card.name}, {memory:.0f} GiB, compute capability {card.major}.{card.minor}"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return Finding(f"cuda:{i}", "slow", f"{text}; bf16 is not supported, so precision auto uses fp16")
    return Finding(f"cuda:{i}", "ok", text)


def _machine() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    few = "; too few to load images as fast as a GPU trains, unless they are cached" if cores < 4 else ""
    free, total = (n / 2**30 for n in (memory.available, memory.total))
    found = [
        Finding("cores", "slow" if few else "ok", f"{cores}{few}"),
        Finding("memory", "slow" if free < _FEW_GIB else "ok", f"{free:.1f} of {total:.1f} GiB free"),
    ]
    try:
        shared = psutil.disk_usage("/dev/shm").free / 2**30  # noqa: S108
    except OSError:
        return found
    state: Literal["ok", "slow"] = "slow" if shared < 1 else "ok"
    hint = "; used by worker processes for batches: start the container with --shm-size=8g, or set training.workers: 0"
    return [*found, Finding("shared memory", state, f"{shared:.1f} GiB free" + (hint if state == "slow" else ""))]


def _plugins() -> list[Finding]:
    found = [Finding(stray.owner, "broken", stray.text) for stray in stray_groups(KINDS)]
    for kind in KINDS:
        known = registry(kind)
        for provider in known.foreign:
            text = f"{kind} '{provider.name}' requires plugin API {provider.api}; install a version for this segengine"
            found.append(Finding(provider.owner, "broken", text))
        for provider in known.providers:
            if provider.built_in:
                continue
            try:
                if crash := import_crash(provider):
                    raise RegistryError(crash)
                checked_class(provider)
            except RegistryError as error:
                found.append(Finding(provider.owner, "broken", str(error)))
            else:
                found.append(Finding(provider.owner, "ok", f"{kind} '{known.spoken_name(provider)}'"))
    return found or [Finding("plugins", "ok", "none installed")]
