import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from segengine.cli.overview import Overview, grid
from segengine.errors import DataError, SegengineError
from segengine.events import Doing, EpochScored, Note, RunEnded, RunStarted, StepDone
from segengine.specs.load import load_experiment
from segengine.study.board import Board, duration_text
from segengine.study.plan import Outcome, RunPlan, plans
from segengine.study.wire import EventWriter, JobResult, event_of, line_of
from tests.training.small import SPEC

SCORES = {"mean": {"dice": 0.8125}}
ROW = {"epoch": 5, "train_loss": 0.5, "validation": {"mean": {"dice": 0.75}}}


@pytest.fixture
def planned(tmp_path: Path) -> list[RunPlan]:
    (tmp_path / "data").mkdir()
    spec = SPEC + "seeds: [0, 7]\nvariants:\n  vgg: {}\n  res: {}\n"
    (tmp_path / "blobs.yaml").write_text(spec)
    return plans(load_experiment(tmp_path / "blobs.yaml"), Path("runs"))


def step(share: float) -> StepDone:
    return StepDone(
        epoch=5, step=50, steps_per_epoch=10, loss=0.25, learning_rate=0.1, images=8, share=share, gradient_norm=1.0
    )


def started() -> RunStarted:
    return RunStarted(Path("runs/x"), {"model": "vgg 11 + unet"}, 10, 10, 0)


def finished(plan: RunPlan) -> Outcome:
    return Outcome(plan, "finished", "", {"scores": {"test": SCORES}})


def shown(item: Any, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False, highlight=False).print(item)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_time_left_follows_the_pace_since_a_run_went_on(planned: list[RunPlan]) -> None:
    now = 100.0
    board = Board(planned, clock=lambda: now)
    assert board.seconds_left() is None
    first, second, third, fourth = planned
    board.update(first, started())
    board.update(first, step(0.5))  # it was half done before
    now = 110.0
    board.update(first, step(0.6))
    assert board.rows[first.name].seconds_left(now) == pytest.approx(40)
    assert time_left(board) == (pytest.approx(40 + 50), False)
    now = 150.0
    board.end(finished(first))
    assert time_left(board) == (pytest.approx(50), False)
    assert str(board.seconds_left()) == "more than 50 s left"
    board.update(second, started())
    board.update(third, started())  # two at a time
    assert time_left(board) == (pytest.approx(50 / 2), False)
    for plan in (second, third, fourth):
        board.end(finished(plan))
    assert time_left(board) == (0, True)
    assert [duration_text(seconds) for seconds in (40, 720, 12_000)] == ["40 s", "12 min", "3 h 20 min"]


def test_waiting_runs_are_expected_to_take_as_long_as_their_own_variant(planned: list[RunPlan]) -> None:
    now = 0.0
    board = Board(planned, clock=lambda: now)
    slow = [plan for plan in planned if plan.variant == planned[0].variant]
    fast = [plan for plan in planned if plan.variant != planned[0].variant]
    assert len(slow) == len(fast) == 2
    for plan, seconds in ((slow[0], 90.0), (fast[0], 10.0)):
        board.update(plan, started())
        now += seconds
        board.end(finished(plan))
    assert time_left(board) == (pytest.approx(90 + 10), True)
    assert str(board.seconds_left()) == "about 2 min left"
    board.update(slow[1], started())
    now += 90
    board.end(finished(slow[1]))
    assert time_left(board) == (pytest.approx(10), True)


def time_left(board: Board) -> tuple[float, bool]:
    left = board.seconds_left()
    assert left is not None
    return left.seconds, left.complete


def test_the_table_has_a_line_for_each_variant_and_a_column_for_each_seed(planned: list[RunPlan]) -> None:
    board = Board(planned)
    first, second, third, _ = planned
    board.end(finished(first))
    board.end(Outcome(second, "failed", "it fell", None))
    board.update(third, started())
    board.update(third, step(0.25))
    board.update(third, EpochScored(ROW, best=True))
    assert shown(grid(list(board.rows.values()))).splitlines() == [
        "variant  seed 0  seed 7",
        "vgg      0.812   25% 0.750",
        "res      failed  waiting",
    ]


def test_folds_have_lines_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec = SPEC.replace("augmentations:", "  split: {folds: 2}\naugmentations:")
    (tmp_path / "blobs.yaml").write_text(spec)
    board = Board(plans(load_experiment(tmp_path / "blobs.yaml"), Path("runs")))
    assert shown(grid(list(board.rows.values()))).splitlines() == [
        "variant  fold  seed 0", "default  0     waiting", "default  1     waiting",
    ]  # fmt: skip


def test_without_a_terminal_there_are_plain_lines(planned: list[RunPlan]) -> None:
    file = io.StringIO()
    overview = Overview(planned, Console(file=file, width=80, highlight=False))
    first, second, *_ = planned
    overview(Note("one class is rare"))
    overview.run_event(first, started())
    overview.run_event(first, EpochScored(ROW, best=True))
    overview.run_ended(finished(first))
    overview.run_ended(Outcome(second, "failed", "its process was killed by SIGKILL", None))
    overview.close()
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines == [
        "note one class is rare",
        "vgg-seed0: vgg 11 + unet",
        "vgg-seed0: epoch 5/10  loss 0.5000  validation Dice 0.750  best",
        f"finished {first.folder}  Dice 0.812",
        lines[4],
        f"failed {second.folder}: its process was killed by SIGKILL",
        lines[6],
        "variant  seed 0  seed 7",
        "vgg      0.812   waiting",
        "res      failed  waiting",
        "failed res-seed0: its process was killed by SIGKILL",
    ]
    assert lines[4].startswith("1 of 4 runs finished")
    assert lines[6].startswith("1 of 4 runs finished, 1 failed")


def test_on_a_terminal_the_table_is_live_and_stands_whole_at_the_end(planned: list[RunPlan]) -> None:
    file = io.StringIO()
    overview = Overview(planned, Console(file=file, width=80, force_terminal=True, highlight=False))
    overview.drawn = -1e9
    overview.run_event(planned[0], started())
    overview.drawn = -1e9
    overview.run_event(planned[0], step(0.25))
    live = file.getvalue()
    assert "25%" in live
    assert "loss 0.2500" in live
    for plan in planned:
        overview.run_ended(finished(plan))
    overview.close()
    assert file.getvalue().count("finished") >= 4
    assert "0.812" in file.getvalue()[len(live) :].splitlines()[-1]


@pytest.mark.parametrize(
    "event",
    [
        Doing("decoding", 2, 9), Note("a [note] with\na line"), started(), step(0.5), EpochScored(ROW, best=False),
        JobResult("failed", "why"),
        RunEnded(Path("runs/x"), "finished", "", "test", SCORES),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_an_event_arrives_as_it_was_sent(event: Any) -> None:
    line = line_of(event)
    assert "\n" not in line
    assert event_of(line) == event


@pytest.mark.parametrize("line", ["", "no JSON", "[]", '{"event": "Popen"}', '{"event": "Note"}', '{"event": []}'])
def test_what_is_no_event_is_none(line: str) -> None:
    assert event_of(line) is None


def test_of_steps_now_and_then_one_is_told_and_of_progress_the_last() -> None:
    lines: list[str] = []
    writer = EventWriter(lines.append)
    for share in range(100):
        writer(step(share / 100))
    for done in range(1, 6):
        writer(Doing("decoding", done, 5))
    writer(object())
    assert [type(event_of(line)).__name__ for line in lines] == ["StepDone", "Doing"]
    assert event_of(lines[1]).done == 5


def test_a_refusal_keeps_its_kind() -> None:
    error = JobResult("failed", "no mask", "DataError").error()
    assert (type(error), error.exit_code, str(error)) == (DataError, 2, "no mask")
    assert type(JobResult("failed", "why", "system").error()) is SegengineError
