import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.workflow.children import Blow, run, start
from tests.workflow.small import SPEC, VARIANTS, Study, write_problem
from tests.workflow.test_killed_run import EQUAL, PLAIN, RENAME, SAVE, SYNC, folder_of, said, scores

KILLS = int(os.environ.get("SEGENGINE_KILLS", "6"))
"""How many in all; three strike each run. 60 take some minutes: run them on purpose."""
OFTEN = (*PLAIN, "-s", "training.checkpoint_every={steps: 1}")
TRIALS = -(-KILLS // 3)


def kill(chance: random.Random, folder: Path, seconds: float) -> int:
    """One SIGKILL: at any moment of the run, or within the writing of a file; returns how the process ended."""
    if chance.random() < 0.5:
        blow = Blow(chance.choice([SAVE, RENAME, SYNC]), chance.randint(1, 6), after=chance.random() < 0.5)
        return run(*OFTEN, folder=folder, blow=blow)
    child = start(*OFTEN, folder=folder)
    time.sleep(chance.uniform(0, seconds))
    child.kill()
    child.join(30)
    return int(child.exitcode)


@pytest.fixture(scope="module")
def seconds(study: Study, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the run takes here when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_problem(folder, SPEC + VARIANTS)
    began = time.monotonic()
    assert run(*OFTEN, folder=folder) == 0, said(folder)
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
def test_kills_at_random_moments_change_no_bit_of_what_a_run_ends_with(
    trial: int, study: Study, seconds: float, tmp_path: Path
) -> None:
    write_problem(tmp_path, SPEC + VARIANTS)
    chance = random.Random(trial)
    for _ in range(min(3, KILLS - 3 * trial)):
        assert kill(chance, tmp_path, seconds) in (-signal.SIGKILL, 0), said(tmp_path)
    assert run(*OFTEN, folder=tmp_path) == 0, said(tmp_path)
    for name in EQUAL:
        if name != "spec.yaml":
            assert (folder_of(tmp_path) / name).read_bytes() == (study.run / name).read_bytes(), name
    assert scores(folder_of(tmp_path)) == scores(study.run)
    assert not list(tmp_path.rglob("*.part"))
