import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.training.children import Blow, context, run, start
from tests.training.small import SPEC, VARIANTS, Study, write_problem
from tests.training.test_killed_run import EQUAL, PLAIN, RENAME, SAVE, SYNC, folder_of, said, scores

KILLS = int(os.environ.get("SEGENGINE_KILLS", "6"))
"""How many in all; three strike each run. 60 take some minutes: run them on purpose."""
OFTEN = (*PLAIN, "-s", "training.checkpoint_every={steps: 1}")
TRIALS = -(-KILLS // 3)


def kill(chance: random.Random, folder: Path, seconds: float, *, saving: bool) -> int:
    """One SIGKILL: while a checkpoint is written where `saving`, else while any file is or at any moment of the run.

    Returns how the process ended: 0 where the run was over before.
    """
    if saving or chance.random() < 0.5:
        place = SAVE if saving else chance.choice([SAVE, RENAME, SYNC])
        return run(*OFTEN, folder=folder, blow=Blow(place, chance.randint(1, 6), after=chance.random() < 0.5))
    child = start(*OFTEN, folder=folder)
    time.sleep(chance.uniform(0, seconds))
    child.kill()
    child.join(30)
    return int(child.exitcode)


def half_written(folder: Path) -> bool:
    """Whether a checkpoint was being written when the process died."""
    checkpoints = folder_of(folder) / "checkpoints"
    between = (checkpoints / "previous.pt").exists() and not (checkpoints / "last.pt").exists()
    return between or any(checkpoints.glob(".*.pt.*.part"))


def assert_ended_as_undisturbed(folder: Path, study: Study) -> None:
    for name in EQUAL:
        if name != "spec.yaml":
            assert (folder_of(folder) / name).read_bytes() == (study.run / name).read_bytes(), name
    assert scores(folder_of(folder)) == scores(study.run)
    assert not list(folder.rglob("*.part"))


@pytest.fixture(scope="module")
def seconds(study: Study, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the run takes here when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_problem(folder, SPEC + VARIANTS)
    first = context().Process(target=int)  # the server with all imports is there after it
    first.start()
    first.join()
    began = time.monotonic()
    assert run(*OFTEN, folder=folder) == 0, said(folder)
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
def test_kills_at_random_moments_change_no_bit_of_what_a_run_ends_with(
    trial: int, study: Study, seconds: float, tmp_path: Path
) -> None:
    write_problem(tmp_path, SPEC + VARIANTS)
    chance, struck, torn = random.Random(trial), 0, 0
    while struck < min(3, KILLS - 3 * trial):
        code = kill(chance, tmp_path, seconds, saving=not struck)
        if code == 0:  # too late for this run; the next kill strikes another
            assert_ended_as_undisturbed(tmp_path, study)
            shutil.rmtree(tmp_path / "runs")
            continue
        assert code == -signal.SIGKILL, said(tmp_path)
        struck += 1
        torn += half_written(tmp_path)
    assert torn, "none of the kills struck while a checkpoint was written"
    assert run(*OFTEN, folder=tmp_path) == 0, said(tmp_path)
    assert_ended_as_undisturbed(tmp_path, study)
