"""What the documentation shows: its YAML blocks, its commands, its links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
_BLOCK = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is the first of its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A call of segengine that a page shows, without the word `segengine`."""

    place: str
    text: str

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def name(self) -> str:
        words = [word for word in self.arguments if not word.startswith("-")]
        return " ".join(words[:2] if words[:1] == ["plugins"] else words[:1])


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start("text")) + 1, match["language"], match["text"])
        for match in _BLOCK.finditer(text)
        if not languages or match["language"] in languages
    ]


def prose(page: Path) -> str:
    """A page without its blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _BLOCK.sub("", page.read_text(encoding="utf-8")), flags=re.DOTALL)


def commands() -> Iterator[Command]:
    """Calls in blocks (with or without a prompt, also through torchrun), and those in running text that have arguments."""
    for page in PAGES:
        for block in blocks(page, "console", "text", "", "bash", "sh"):
            for line in block.text.replace("\\\n", " ").splitlines():
                found = re.match(r"^\s*(?:\$ )?(?:\.venv/bin/|torchrun .* -m )?segengine (?P<rest>[a-z].*)$", line)
                if found:
                    yield Command(block.id, found["rest"])
        for match in re.finditer(r"`segengine ([a-z][^`]*)`", prose(page)):
            yield Command(page.relative_to(ROOT).as_posix(), " ".join(match[1].split()))


def links(page: Path) -> list[str]:
    """Targets of links and pictures that are files of the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose(page))
    return [a or b for a, b in targets if not re.match(r"^[a-z]+:", a or b)]


def headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", text)).strip().lower().replace(" ", "-") for text in found}
