"""cost.json: what a run's network costs to use, as it was measured on a machine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from segengine.errors import RunError, unexpected
from segengine.files import read_json, write_json
from segengine.runs import names
from segengine.runs.folder import RunFolder


class _Block(BaseModel):
    """Frozen; keys that this version doesn't know are kept, so that a newer writer's files can be read."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), allow_inf_nan=False)


class Latency(_Block):
    """Milliseconds from images on the device to class indices there, over `repeats` passes of `batch` images."""

    batch: int
    repeats: int
    median_ms: float
    low_ms: float  # 5 % of the passes are faster
    high_ms: float  # 5 % of the passes are slower


class Throughput(_Block):
    """Images a second in passes of `batch` images; the median of `repeats` passes."""

    batch: int
    repeats: int
    images_per_second: float


class Memory(_Block):
    """Most memory at once in bytes, weights included: CUDA's allocations, or what the process grew by (resident)."""

    kind: Literal["cuda", "resident"]
    peak_bytes: int
    batch: int | None = None


class Rounds(_Block):
    """How steady the machine was: the median pass of one image in each round, in ms, and what that says.

    `spread` is the slowest round over the fastest; `other_cores` how many cores other processes used meanwhile, None where
    the system doesn't say it; `attempts` how often all rounds were made; `busy`: the machine was too busy every time.
    """

    median_ms: tuple[float, ...]
    spread: float
    other_cores: float | None = None
    attempts: int = 1
    busy: bool = False


class CostRecord(_Block):
    """cost.json. `size` is height and width in pixels; `threads` are those of torch on a CPU, None on a GPU.

    `by` says whether the run measured at its end, with the machine as it was, or `segengine cost` did. `network_of` is the
    run whose network was measured: seeds of one variant share theirs.
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
    """Write cost.json, whole or not at all."""
    write_json(folder / names.COST, cost.model_dump(mode="json"))


def read_cost(folder: RunFolder) -> CostRecord | None:
    """cost.json, or None where nothing was measured.

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
