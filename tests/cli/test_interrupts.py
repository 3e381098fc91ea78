"""Ctrl-C at any moment of a command's start ends it soon, with one line and exit code 130."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.small import write_problem

SEED = int(os.environ.get("SEGENGINE_TEST_SEED", "0"))
COMMANDS = (["inspect", "blobs.yaml"], ["validate", "blobs.yaml"], ["doctor"], ["run", "blobs.yaml", "--fresh"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [int(os.environ.get("SEGENGINE_TEST_INTERRUPTS", "6"))])
def test_an_interrupt_at_a_random_moment_of_the_start_is_neither_lost_nor_a_traceback(
    tmp_path: Path, number: int
) -> None:
    write_problem(tmp_path)
    draw = random.Random(SEED)
    for _ in range(number):
        command = draw.choice(COMMANDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "segengine", *command], cwd=tmp_path, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(draw.uniform(0.2, 4.0))
        over = process.poll() is not None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
        assert "Traceback" not in err, (command, err)
        # -SIGINT: before Python has any handler, the system ends the process, which is neither lost nor a traceback.
        assert over or process.returncode in (0, 130, -signal.SIGINT), (command, process.returncode, err)


def test_an_interrupt_in_an_import_ends_the_process_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import time\nprint('importing', flush=True)\ntry:\n    time.sleep(60)\n"
                                             "except KeyboardInterrupt:\n    pass\n")  # fmt: skip
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "from segengine.__main__ import handle_from_the_start\nimport segengine.cli.main\n"
        "handle_from_the_start()\nimport slow_module\nprint('lost')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")


def test_threads_that_read_files_import_nothing(tmp_path: Path) -> None:
    """Each format is read in a thread that began after `import_readers`; an import in a thread can swallow Ctrl-C."""
    code = (
        "import sys\nfrom pathlib import Path\nimport numpy as np\nfrom segengine.data.files import formats\n"
        "from segengine.data.files.decoding import decode\nfrom segengine.data.files.parallel import in_threads\n"
        "paths = sorted(Path('.').glob('x.*'))\nformats.import_readers(paths)\nbefore = set(sys.modules)\n"
        "in_threads(decode, paths, 'files')\nprint(len(paths), sorted(set(sys.modules) - before))\n"
    )
    picture = Image.fromarray(np.zeros((8, 8), np.uint8))
    for suffix in ("png", "jpg", "tif", "bmp", "gif", "webp"):
        picture.save(tmp_path / f"x.{suffix}")
    np.save(tmp_path / "x.npy", np.zeros((8, 8), np.uint8))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("7 []\n", "")
