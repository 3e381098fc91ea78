"""docs/plugins.md is executed: its files are created, its commands run, and their output compared with the page.

`SEGENGINE_UPDATE_DOCS=1 pytest tests/testing/test_plugin_docs.py` writes the output into the page.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"(?:^`(?P<path>[^`\n]+)`\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PIP = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--upgrade"]


def plain(text: str) -> str:
    """The text without machine-dependent parts: durations, and spaces at the ends of lines."""
    return re.sub(r"[ \t]+$", "", re.sub(r"in \d+\.\d+s( \([\d:]+\))?", "in 2.10s", text), flags=re.MULTILINE)


class Shell:
    """Runs commands in a folder; `pip install -e X` installs into a separate folder and prepends X to the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / ".site"
        self.paths = [self.site]

    def __call__(self, command: str) -> str:
        installed = re.fullmatch(r"pip install -q -e (\S+)", command)
        if installed:
            source = self.folder / installed[1]
            self.paths.insert(0, source)
            command = " ".join([sys.executable, "-m pip", *PIP, "--target", str(self.site), str(source)])
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(map(str, self.paths)),
                "COLUMNS": "100",
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return plain(done.stdout)


def executed(text: str, shell: Shell) -> Iterator[tuple[re.Match[str], str]]:
    """Each console block with its actual output."""
    for block in BLOCK.finditer(text):
        if block["path"]:
            path = shell.folder / block["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["body"])
        elif block["kind"] == "console":
            commands = [line[2:] for line in block["body"].splitlines() if line.startswith("$ ")]
            yield block, "".join(f"$ {command}\n{shell(command)}" for command in commands)


@pytest.mark.slow
def test_the_page_shows_what_its_commands_print(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    results = list(executed(text, Shell(tmp_path)))
    assert len(results) >= 7
    if os.environ.get("SEGENGINE_UPDATE_DOCS"):
        for block, body in reversed(results):
            text = text[: block.start("body")] + body + text[block.end("body") :]
        PAGE.write_text(text, encoding="utf-8")
    for block, body in results:
        assert os.environ.get("SEGENGINE_UPDATE_DOCS") or block["body"] == body
