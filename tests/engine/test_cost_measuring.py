"""What passes take and how much memory: by a clock that only the network moves, and by memory taken on purpose."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from segengine.engine.memory import PeakMemory, tensor_bytes
from segengine.engine.precision import pick_precision
from segengine.engine.prediction import Predictor
from segengine.engine.timing import NetworkClock, OtherLoad, Passes, is_busy, spread_of, timed
from tests.engine.tiny import CPU


class Sleeping(nn.Module):
    """Takes 1/4 s plus 1/8 s for each image, by its own clock; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.now += 0.25 + 0.125 * len(images)
        self.seen.append(tuple(images.shape))
        return images[:, :1].float().repeat(1, 2, 1, 1)


def clocked() -> tuple[Sleeping, NetworkClock]:
    network = Sleeping()
    predictor = Predictor(network, CPU, pick_precision("fp32", CPU))
    return network, NetworkClock(predictor, channels=3, size=(4, 6), clock=lambda: network.now)


def test_a_pass_takes_what_the_network_takes() -> None:
    network, clock = clocked()
    assert clock.seconds(1, Passes(3, 3)) == [0.375] * 3
    assert clock.seconds(8, Passes(2, 2)) == [1.25] * 2
    assert network.seen == [(1, 3, 4, 6)] * 3 + [(8, 3, 4, 6)] * 2


def test_warming_up_is_not_timed() -> None:
    network, clock = clocked()
    clock.warm_up(2, passes=4)
    assert clock.seconds(2, Passes(1, 1)) == [0.5]
    assert len(network.seen) == 5


@pytest.mark.parametrize(
    ("passes", "made"), [(Passes(2, 10, 0.1), 2), (Passes(2, 10, 2.0), 6), (Passes(2, 4, 100.0), 4), (Passes(7, 7), 7)]
)
def test_passes_end_with_the_time_or_their_number(passes: Passes, made: int) -> None:
    _, clock = clocked()
    assert len(clock.seconds(1, passes)) == made


def test_waiting_for_the_device_belongs_to_a_pass() -> None:
    now = 0.0

    def wait() -> None:
        nonlocal now
        now += 2.0

    assert timed(lambda: None, Passes(3, 3), wait=wait, clock=lambda: now) == [2.0] * 3


def test_measuring_leaves_training_s_generator_and_mode_as_they_are() -> None:
    network, clock = clocked()
    network.train()
    before = torch.get_rng_state()
    clock.warm_up(1)
    clock.seconds(1, Passes(1, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert network.training


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak of a process")
def test_the_peak_is_what_was_taken_and_freed_meanwhile_and_starts_anew() -> None:
    mib = 2**20
    kept = torch.ones(32 * mib, dtype=torch.uint8)
    memory = PeakMemory(CPU, held=tensor_bytes({"kept": {"tensor": kept}}))
    lowest = memory.peak()
    torch.ones(96 * mib, dtype=torch.uint8)  # freed at once
    found = memory.peak()
    assert lowest is not None
    assert found is not None
    assert (found.kind, lowest.kind) == ("resident", "resident")
    assert 32 * mib <= lowest.peak_bytes < 64 * mib
    assert 120 * mib <= found.peak_bytes < 160 * mib
    again = PeakMemory(CPU).peak()
    assert again is not None
    assert again.peak_bytes < 32 * mib


def test_a_round_far_from_the_others_or_other_processes_on_the_cores_are_a_busy_machine() -> None:
    even = [[0.010, 0.011], [0.012, 0.010, 0.011]]
    assert spread_of(even) == pytest.approx(0.011 / 0.0105)
    assert spread_of([*even, [0.035, 0.031]]) == pytest.approx(0.033 / 0.0105)
    assert not is_busy(spread_of(even), None, threads=2, cores=2)
    assert is_busy(spread_of([*even, [0.035, 0.031]]), None, threads=None, cores=64)
    assert is_busy(1.0, other_cores=0.6, threads=2, cores=2)
    assert not is_busy(1.0, other_cores=0.4, threads=2, cores=2)
    assert not is_busy(1.0, other_cores=6.0, threads=8, cores=16)
    assert is_busy(1.0, other_cores=15.5, threads=8, cores=16)


def test_the_load_of_others_is_all_processor_time_but_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat, clock, own = tmp_path / "stat", [100.0], [5.0]
    hertz = os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr("segengine.engine.timing.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("segengine.engine.timing.time.process_time", lambda: own[0])
    load = OtherLoad(stat)
    user = 7.0
    for ours, everybody in ((2.0, 3.0), (2.0, 2.5)):
        stat.write_text(f"cpu  {round(user * hertz)} 0 {hertz} 999999 5 0 0 0 0 0\ncpu0 1 2 3\n")
        with load:
            clock[0] += 1.0
            own[0] += ours
            user += everybody
            stat.write_text(f"cpu  {round(user * hertz)} 0 {hertz} 999999 5 0 0 0 0 0\n")
        user += 50  # between rounds nothing counts
    assert load.cores == pytest.approx(0.75)
    unknown = OtherLoad(tmp_path / "missing")
    with unknown:
        clock[0] += 1.0
    assert unknown.cores is None
