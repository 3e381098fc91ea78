"""Cost measurement of trained networks: one process per network, in alternating rounds so that drift affects all equally."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from segengine.building.cost_record import BATCH, Timings, cost_record
from segengine.engine.machine_errors import explained
from segengine.engine.memory import Peak, PeakMemory, tensor_bytes
from segengine.engine.timing import NetworkClock, Passes
from segengine.errors import RunError, SegengineError, SpecError, unexpected
from segengine.events import Doing, Listener, Note
from segengine.inference.load import load_trained
from segengine.runs import names
from segengine.runs.costs import CostRecord, write_cost
from segengine.runs.find import find_runs
from segengine.runs.folder import RunFolder

ROUNDS = 5
ATTEMPTS = 2
"""Maximum number of repetitions of all rounds on a busy machine."""
_BATCHED_SHARE = 5  # single-image passes per batched pass


@dataclass(frozen=True)
class CostRequest:
    """Settings of the measurement: `size` (height, width; None: that of each run's first test image), batch size, number of passes."""

    device: str = "auto"
    size: tuple[int, int] | None = None
    batch: int = BATCH
    repeats: int = 50


@dataclass(frozen=True)
class Measured:
    """A run and its new cost.json."""

    folder: RunFolder
    cost: CostRecord


@dataclass(frozen=True)
class Network:
    """Runs that share one network, which is measured with the weights of the first."""

    folders: tuple[RunFolder, ...]
    size: tuple[int, int]

    @property
    def name(self) -> str:
        return self.folders[0].name


def networks_of(paths: Sequence[Path], size: tuple[int, int] | None, listener: Listener) -> list[Network]:
    """The different networks of the finished runs in `paths` (runs, or folders of runs).

    Raises:
        SpecError: a path contains no finished run.
    """
    groups: dict[str, list[RunFolder]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for path in paths:
        finished = 0
        for folder in find_runs(path):
            run = folder.read()
            if run.get("status") != "finished" or not (folder / names.WEIGHTS).exists():
                listener(Note(f"{folder.path}: not measured: its status is {run.get('status')}"))
                continue
            finished += 1
            wanted = size or tuple(run["macs_size"])
            key = json.dumps([folder.spec().get("model"), run["data"]["channels"], len(run["labels"]), wanted])
            sizes[key] = wanted
            if folder not in groups.setdefault(key, []):
                groups[key].append(folder)
        if not finished:
            raise SpecError(f"{path}: contains no finished run; train one with `segengine run SPEC`")
    return [Network(tuple(folders), sizes[key]) for key, folders in groups.items()]


def measure_costs(paths: Sequence[Path], request: CostRequest, listener: Listener) -> list[Measured]:
    """Measure every network and write cost.json into each of its runs.

    Raises:
        SpecError: a path contains no finished run.
        RunError: a measurement failed; nothing is written.
    """
    networks = networks_of(paths, request.size, listener)
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(network, request)) for network in networks]
        for done, worker in enumerate(workers):
            listener(Doing("loading networks", done, len(workers)))
            worker.receive()
        listener(Doing("loading networks", len(workers), len(workers)))
        costs = _steadiest(workers, listener)
    found = [Measured(folder, cost) for net, cost in zip(networks, costs, strict=True) for folder in net.folders]
    for measured in found:
        write_cost(measured.folder, measured.cost)
    return found


def _steadiest(workers: Sequence[_Worker], listener: Listener) -> list[CostRecord]:
    """The costs of all networks; repeated if the machine was busy, keeping the more stable attempt."""
    attempts: list[list[CostRecord]] = []
    while not attempts or (_busy(attempts[-1]) and len(attempts) < ATTEMPTS):
        if attempts:
            listener(Note("the machine is busy with other processes; measuring again"))
        for worker in workers if attempts else ():
            worker.request("restart")
        for place, worker in enumerate(_turns(workers)):
            listener(Doing("measuring, rounds by networks", place, ROUNDS * len(workers)))
            worker.request("round")
        listener(Doing("measuring, rounds by networks", ROUNDS * len(workers), ROUNDS * len(workers)))
        attempts.append([CostRecord.model_validate(worker.request("cost")) for worker in workers])
    return min(attempts, key=lambda costs: (len(_busy(costs)), max(c.rounds.spread for c in costs if c.rounds)))


def _busy(costs: Sequence[CostRecord]) -> list[CostRecord]:
    return [cost for cost in costs if cost.rounds and cost.rounds.busy]


def _turns(workers: Sequence[_Worker]) -> Iterator[_Worker]:
    """All workers in each round, in alternating order."""
    for number in range(ROUNDS):
        yield from workers if number % 2 == 0 else reversed(workers)


@dataclass
class _Worker:
    network: Network
    pipe: Connection

    def receive(self) -> Any:
        try:
            answer, problem = self.pipe.recv()
        except EOFError:
            problem = "its process died, usually out of memory; use a smaller --batch or --size"
        if problem:
            raise RunError(f"{self.network.folders[0].path}: cost measurement failed: {problem}")
        return answer

    def request(self, command: str) -> Any:
        """Send the command `round`, `cost` or `restart` and return its result."""
        self.pipe.send(command)
        return self.receive()


@contextmanager
def _worker(network: Network, request: CostRequest) -> Iterator[_Worker]:
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    arguments = (child_end, network.folders[0].path, network.name, network.size, request)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    child_end.close()
    try:
        yield _Worker(network, parent_end)
    finally:
        parent_end.close()
        process.join(timeout=10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Connection, path: Path, name: str, size: tuple[int, int], request: CostRequest) -> None:
    """Process of one network: replies (result, problem) to each command until the pipe is closed."""
    session: _Session | None = None

    def answer(work: Callable[[], Any]) -> None:
        try:
            pipe.send((work(), ""))
        except Exception as error:
            known = error if isinstance(error, SegengineError) else explained(error)
            pipe.send((None, str(known) if known else unexpected(error)))

    def load() -> None:
        nonlocal session
        session = _Session(path, name, size, request)

    answer(load)
    try:
        while session is not None:
            answer({"round": session.round, "cost": session.cost, "restart": session.restart}[pipe.recv()])
    except (EOFError, KeyboardInterrupt):
        pass


class _Session:
    """One loaded and warmed-up network with its peak memory; collects the timings of rounds."""

    def __init__(self, path: Path, name: str, size: tuple[int, int], request: CostRequest) -> None:
        self.name, self.size, self.batch = name, size, request.batch
        passes, batches = -(-request.repeats // ROUNDS), -(-request.repeats // (ROUNDS * _BATCHED_SHARE))
        self.single_passes, self.batched_passes = Passes(passes, passes), Passes(batches, batches)
        trained = load_trained(path, request.device, postprocess=False)
        self.predictor, self.channels = trained.predictor, int(trained.run["data"]["channels"])
        self.clock = NetworkClock(self.predictor, channels=self.channels, size=size)
        memory = PeakMemory(self.predictor.device, held=tensor_bytes(self.predictor.model.state_dict()))
        self.clock.warm_up(self.batch)
        self.peak: Peak | None = memory.peak()
        self.clock.warm_up(1)
        self.timings, self.attempts = Timings(), 1

    def restart(self) -> None:
        self.timings, self.attempts = Timings(), self.attempts + 1

    def round(self) -> None:
        self.timings.round(self.clock, self.single_passes, self.batch, self.batched_passes)

    def cost(self) -> dict[str, Any]:
        record = cost_record(
            self.predictor, self.timings, by="cost", network_of=self.name, channels=self.channels, size=self.size,
            batch=self.batch, peak=self.peak, attempts=self.attempts, busy=self.timings.busy(self.clock),
        )  # fmt: skip
        return record.model_dump(mode="json")
