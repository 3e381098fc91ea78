"""cost.json: measured latency, throughput and memory of a run's network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from segengine.errors import RunError, unexpected
from segengine.files import read_json, write_json
from segengine.runs import names
from segengine.runs.folder import RunFolder


class _Block(BaseModel):
    """Frozen; unknown keys are kept, so that files of newer versions can be read."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), allow_inf_nan=False)


class Latency(_Block):
    """Milliseconds from images on the device to class indices on the device, over `repeats` passes of `batch` images."""

    batch: int
    repeats: int
    median_ms: float
    low_ms: float  # 5 % of the passes are faster
    high_ms: float  # 5 % of the passes are slower


class Throughput(_Block):
    """Images per second with passes of `batch` images; median of `repeats` passes."""

    batch: int
    repeats: int
    images_per_second: float


class Memory(_Block):
    """Peak memory in bytes including weights: CUDA allocations, or growth of resident memory."""

    kind: Literal["cuda", "resident"]
    peak_bytes: int
    batch: int | None = None


class Rounds(_Block):
    """Stability of the measurement: the median pass with one image in each round, in ms, and derived values.

    `spread` is the ratio of the slowest to the fastest round; `other_cores` the number of cores used by other processes, None
    if unknown; `attempts` the number of repetitions of all rounds; `busy`: the machine was busy in every attempt.
    """

    median_ms: tuple[float, ...]
    spread: float
    other_cores: float | None = None
    attempts: int = 1
    busy: bool = False


class CostRecord(_Block):
    """cost.json. `size` is height and width in pixels; `threads` are those of torch on a CPU, None on a GPU.

    `by` is `run` for the measurement at the end of a run, `cost` for `segengine cost`. `network_of` is the run whose network
    was measured: seeds of one variant share it.
    """

    format: Literal[1] = 1
    measured: str
    by: Literal["run", "cost"]
    network_of: str
    device: str
    threads: int | None
    torch: str
    precision: str
    channels: int
    size: tuple[int, int]
    latency: Latency
    throughput: Throughput | None = None
    memory: Memory | None = None
    rounds: Rounds | None = None


def write_cost(folder: RunFolder, cost: CostRecord) -> None:
    """Write cost.json atomically."""
    write_json(folder / names.COST, cost.model_dump(mode="json"))


def read_cost(folder: RunFolder) -> CostRecord | None:
    """Read cost.json; None if nothing was measured.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / names.COST
    try:
        return CostRecord.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"
    except (OSError, ValueError) as error:
        reason = unexpected(error)
    raise RunError(f"{path}: not readable ({reason}); measure again with `segengine cost {folder.path}`")
