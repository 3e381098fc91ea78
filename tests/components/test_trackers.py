from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from segengine.errors import RegistryError
from segengine.events import EpochScored, Note, RunEnded, RunStarted, StepDone
from segengine.training.listeners import Listeners
from segengine.training.trackers import components as trackers
from segengine.training.trackers.components import MlFlow, TensorBoard

pytestmark = pytest.mark.filterwarnings("ignore")  # the trackers' libraries warn of their own affairs


def scores(dice: float | None) -> dict[str, Any]:
    values = dict.fromkeys(("precision", "recall", "iou", "dice", "dice_per_image", "iou_per_image"), dice)
    return {"loss": None, "images": 2, "mean": {**values, "over": ["liver"]}, "classes": {"liver": values}}


def row(epoch: int, dice: float | None) -> dict[str, Any]:
    facts = {"train_loss": 1 / epoch, "learning_rate": 0.1, "seconds": 1.0, "images_per_second": 8.0}
    return {"epoch": epoch, "step": 4 * epoch, **facts, "validation": scores(dice)}


def step(number: int) -> StepDone:
    return StepDone(1, number, 4, 1 / number, 0.1, 2)


def tell(listener: Any, folder: Path, steps: range, epochs: list[tuple[int, float | None]], end: Any = None) -> None:
    listener(RunStarted(folder, {"model": "vgg 11 + unet"}, 2, 4, steps.start - 1))
    for number in steps:
        listener(step(number))
    for epoch, dice in epochs:
        listener(EpochScored(row(epoch, dice), best=True))
    if end is not None:
        listener(end)


def test_tensorboard_shows_the_curves_of_a_run_that_was_killed_and_went_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra segengine[tensorboard] isn't installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = TensorBoard(every=2).build(folder=tmp_path)
    tell(killed, tmp_path, range(1, 8), [(1, 0.25)])
    killed.writer.close()  # as the end of the process does; no RunEnded
    time.sleep(1.1)  # names of event files have whole seconds
    again = TensorBoard(every=2).build(folder=tmp_path)
    tell(again, tmp_path, range(5, 9), [(2, None)], RunEnded(tmp_path, "finished", "", "test", scores(0.5)))

    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = {name: [(point.step, point.value) for point in found.Scalars(name)] for name in found.Tags()["scalars"]}
    assert [at for at, _ in points["train/loss"]] == [1, 2, 4, 6, 8]  # step 6 once
    assert points["train/loss"][-1] == (8, 0.125)
    assert points["validation/mean_dice"] == [(4, 0.25)]
    assert points["validation/dice/liver"] == [(4, 0.25)]
    assert points["train/epoch_loss"] == [(4, 1.0), (8, 0.5)]
    assert points["test/mean_iou"] == [(8, 0.5)]
    assert "run/text_summary" in found.Tags()["tensors"]


def test_an_extra_that_is_missing_is_named_before_anything_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(RegistryError) as caught:
        TensorBoard().preflight()
    assert str(caught.value) == (
        "trackers: tensorboard needs a package that isn't installed; pip install 'segengine[tensorboard]'"
    )
    with pytest.raises(RegistryError, match=r"pip install 'segengine\[mlflow\]'"):
        MlFlow().preflight()


def test_a_tracker_that_cannot_be_built_is_reported_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    heard: list[Any] = []
    listeners = Listeners(heard.append)
    listeners.add_tracker(MlFlow(), tmp_path)
    listeners(step(1))
    assert heard == [
        Note(
            "the tracker mlflow can't be used and is disabled for this run: RegistryError: trackers: mlflow needs a package "
            "that isn't installed; pip install 'segengine[mlflow]'"
        ),
        step(1),
    ]


def test_a_tracker_that_fails_later_is_reported_once_and_dropped(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra segengine[tensorboard] isn't installed")
    (tmp_path / "tensorboard").write_text("a file where the folder must be")
    heard: list[Any] = []
    listeners = Listeners(heard.append)
    listeners.add_tracker(TensorBoard(), tmp_path)
    tell(listeners, tmp_path, range(1, 4), [(1, 0.5)])
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert len(notes) == 1
    assert notes[0].startswith("a listener failed and is disabled for this run: TensorBoardListener: ")
    assert [event.step for event in heard if isinstance(event, StepDone)] == [1, 2, 3]


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("gone")])
def test_not_even_a_tracker_that_would_end_the_program_stops_a_run(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, **__: Any) -> Any:
        raise error

    heard: list[Any] = []
    listeners = Listeners(heard.append, leave)
    listeners(step(1))
    monkeypatch.setattr(TensorBoard, "build", leave)
    listeners.add_tracker(TensorBoard(), tmp_path)
    listeners(step(2))
    assert [type(event) for event in heard] == [StepDone, Note, Note, StepDone]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server with a data base of SQLite."""
    pytest.importorskip("mlflow", reason="the extra segengine[mlflow] isn't installed")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}",
        "--default-artifact-root", str(tmp_path / "artifacts"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("the server of MLflow doesn't answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_mlflow_server_has_one_run_with_all_numbers_after_an_interruption(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "abdomen" / "vgg11-seed0"
    folder.mkdir(parents=True)
    first = MlFlow(uri=server, every=2).build(folder=folder)
    tell(first, folder, range(1, 5), [(1, 0.25)], RunEnded(folder, "interrupted", "continue with the same command"))
    client = first.client
    place = client.get_experiment_by_name("abdomen")
    [run] = client.search_runs([place.experiment_id])
    assert run.info.status == "KILLED"

    second = MlFlow(uri=server, every=2).build(folder=folder)
    tell(second, folder, range(5, 9), [(2, None)], RunEnded(folder, "finished", "", "test", scores(0.5)))
    [run] = client.search_runs([place.experiment_id])
    assert (run.info.run_name, run.info.status) == ("vgg11-seed0", "FINISHED")
    assert run.data.params["model"] == "vgg 11 + unet"
    assert run.data.metrics["test/mean_dice"] == 0.5
    loss = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in loss) == [
        (1, 1.0),
        (2, 0.5),
        (4, 0.25),
        (6, 1 / 6),
        (8, 0.125),
    ]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "validation/dice/liver")] == [4]


def test_a_server_that_is_not_there_costs_seconds_and_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="the extra segengine[mlflow] isn't installed")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    heard: list[Any] = []
    listeners = Listeners(heard.append)
    listeners.add_tracker(MlFlow(uri="http://127.0.0.1:9"), tmp_path)
    tell(listeners, tmp_path, range(1, 3), [(1, 0.5)])
    [note] = [event.text for event in heard if isinstance(event, Note)]
    assert note.startswith("a listener failed and is disabled for this run: MlFlowListener: ")
    assert [event.step for event in heard if isinstance(event, StepDone)] == [1, 2]
