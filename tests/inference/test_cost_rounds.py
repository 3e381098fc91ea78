"""`segengine cost` measures again where the machine was busy, and keeps the steadier attempt."""

from __future__ import annotations

from typing import Any

import pytest

from segengine.events import Note
from segengine.inference.cost_rounds import ROUNDS, _steadiest
from segengine.runs.costs import CostRecord, Latency, Rounds


class Scripted:
    """A worker whose attempts have the given spreads; above 1.5 the machine was busy."""

    def __init__(self, *spreads: float) -> None:
        self.spreads, self.attempt, self.asked = spreads, 0, []

    def request(self, what: str) -> Any:
        self.asked.append(what)
        self.attempt += what == "restart"
        spread = self.spreads[self.attempt]
        rounds = Rounds(median_ms=(10.0, 10.0 * spread), spread=spread, attempts=self.attempt + 1, busy=spread > 1.5)
        return CostRecord(
            measured="", by="cost", network_of="a", device="CPU", threads=2, torch="2", precision="fp32", channels=1, size=(8, 8),
            latency=Latency(batch=1, repeats=5, median_ms=10.0, low_ms=9.0, high_ms=11.0), rounds=rounds,
        ).model_dump(mode="json")  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "kept", "busy"),
    [
        ((1.1, 9.0), (1.2, 9.0), (1.1, 1.2), 0),
        ((1.1, 1.1), (2.0, 1.3), (1.1, 1.3), 0),
        ((1.7, 3.0), (2.0, 2.5), (1.7, 2.0), 2),
    ],
)
def test_all_rounds_are_made_again_on_a_busy_machine(first, second, kept, busy) -> None:
    said: list[Any] = []
    workers = [Scripted(*first), Scripted(*second)]
    found = _steadiest(workers, said.append)  # type: ignore[arg-type]
    assert tuple(cost.rounds.spread for cost in found if cost.rounds) == kept
    assert sum(cost.rounds.busy for cost in found if cost.rounds) == busy
    attempts = 1 + (max(first[0], second[0]) > 1.5)
    for worker in workers:
        assert worker.asked.count("round") == ROUNDS * attempts
    assert [event.text for event in said if isinstance(event, Note)] == [
        "the machine is busy with other processes; measuring again"
    ] * (attempts - 1)
