"""What the benchmarks share: rounds by turns, rows, the machine in words, one table."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

OURS = "segengine"


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is segengine's figure of the same case divided by this one; `target` is a bound on it or on `value`."""

    part: str
    case: str
    who: str
    value: float
    unit: str
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def rows_of(
    part: str, case: str, unit: str, values: Mapping[str, float], targets: Mapping[str, tuple[str, float]] | None = None
) -> list[Row]:
    """Rows of contenders by name, `segengine` among them. A target, by contender: ('<=' or '>=', bound of the ratio)."""
    rows = []
    for who, value in values.items():
        ratio = None if who == OURS or not value else values[OURS] / value
        sign, bound = (targets or {}).get(who, ("", 0.0))
        met = None if not sign or ratio is None else (ratio <= bound if sign == "<=" else ratio >= bound)
        rows.append(Row(part, case, who, value, unit, ratio, f"{sign} {bound:g} times" if sign else "", met))
    return rows


def by_turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, best: Callable[..., float] = min
) -> dict[str, float]:
    """The best figure of each over `rounds`, in which all take turns, so that other work on the machine spoils little."""
    found: dict[str, float] = {}
    for _ in range(rounds):
        for name, measure in contenders.items():
            value = measure()
            found[name] = best(found[name], value) if name in found else value
    return found


def facts(device: torch.device) -> dict[str, Any]:
    """The machine and the libraries."""
    from importlib.metadata import version

    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    names = ("torch", "segmentation_models_pytorch", "albumentations", "opencv-python-headless")
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu(), "cores": cores, "gpu": gpu, "load": load, "python": platform.python_version(),
        "threads": torch.get_num_threads(), **{name: version(name) for name in names},
    }  # fmt: skip


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def markdown(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The machine in one line and all rows in one table."""
    where = ", ".join(
        [str(about["gpu"] or about["cpu"]), f"{about['cores']} cores", f"load {about['load']} before"]
        + [f"{name} {about[name]}" for name in ("python", "torch", "segmentation_models_pytorch", "albumentations")]
    )
    lines = ["| part | case | what | figure | segengine is | target |", "| --- | --- | --- | ---: | ---: | --- |"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} times"
        target = row.target if row.met is None else f"{row.target}: {'met' if row.met else '**missed**'}"
        lines.append(f"| {row.part} | {row.case} | {row.who} | {figure(row.value)} {row.unit} | {ratio} | {target} |")
    return f"{where}\n\n" + "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The same as JSON."""
    return json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
