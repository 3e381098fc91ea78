"""What a plugin prints is no part of a JSON document, whenever and however it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_plugins import Site

NOISY = '''
import atexit, ctypes, os, subprocess, sys
from typing import Literal
from segengine.plugin import Loss

print("printed at import")
sys.__stdout__.write("to the original stream")
os.write(1, b"to the file descriptor\\n")
subprocess.run([sys.executable, "-c", "print('by a subprocess')"], check=True)
ctypes.CDLL(None).printf(b"by a C library, still in its buffer at the end")
atexit.register(print, "at the end")
atexit.register(os.write, 1, b"at the very end\\n")


class Noisy(Loss):
    """Prints."""
    name: Literal["noisy"] = "noisy"

    def build(self, *, num_classes, ignore_index, class_pixels):
        raise NotImplementedError
'''


@pytest.mark.parametrize(
    "arguments",
    [("plugins", "list", "--kind", "losses", "--parameters", "--json"), ("schema", "-o", "-")],
)
def test_what_a_plugin_prints_is_no_part_of_the_document(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    Site(tmp_path).add("noisy", {"losses": {"noisy": "noisy:Noisy"}}, NOISY)
    done = subprocess.run(
        [sys.executable, "-m", "segengine", *arguments], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "noisy" in str(json.loads(done.stdout))
    for said in (
        "at import",
        "original stream",
        "file descriptor",
        "subprocess",
        "C library",
        "at the end",
        "very end",
    ):
        assert said in done.stderr
