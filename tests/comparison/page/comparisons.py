"""Small made-up experiments to compare, with names that a page must escape, and a headless browser to open it in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segengine.comparison.contents import Contents, contents_of
from segengine.comparison.judge import judge
from segengine.comparison.render.page import comparison_page
from segengine.comparison.statistics.differences import Choices
from segengine.comparison.summary import Comparison, compare_folders
from segengine.runs import names
from segengine.runs.tables import append_metrics
from tests.comparison.conftest import Make, maker

EVIL = "<script>document.title='broken'</script>"
CLASSES = ("background", f"liver {EVIL}", "spleen \"&' |$_#")
COLOURS = ((0, 0, 0), (230, 159, 0), (86, 180, 233))
QUICK = Choices(resamples=200)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip


def experiment(make: Make, root: Path, variants: dict[str, float], seeds: int = 3, **more: Any) -> list[Path]:
    """Finished runs of the variants with their qualities, each with learning curves; their folders."""
    truth = np.random.default_rng(1).integers(50, 900, (40, len(CLASSES)))
    labels = [{"index": k, "name": name, "raw": 63 * k, "colour": COLOURS[k]} for k, name in enumerate(CLASSES)]
    folders = []
    for place, (variant, quality) in enumerate(variants.items()):
        for seed in range(seeds):
            facts: dict[str, Any] = {
                "images": 40, "test": tuple(range(10, 40)), "truth": truth, "classes": CLASSES, "labels": labels,
                "title": f"Organs {EVIL}", "parameters": (place + 1) * 1_500_000, "macs": (place + 1) * 7**11,
                "train_seconds": 100.0 * (place + 1) + seed, "root": root,
            }  # fmt: skip
            folder = make(f"v{place}-{len(variants)}", seed, quality=quality + 0.004 * seed, **(facts | more))
            folder.update(variant=variant)
            for epoch in (1, 2, 3):
                mean = {"dice": quality - 0.3 / epoch, "iou": quality - 0.4 / epoch}
                row = {"epoch": epoch, "train_loss": 1 / epoch + 0.01 * seed, "validation": {"mean": mean}}
                append_metrics(folder / names.METRICS, row)
            folders.append(folder.path)
    return folders


def comparison(root: Path) -> Comparison:
    """The only comparison under a folder of runs."""
    (found,) = compare_folders([], root)
    assert isinstance(found, Comparison), found
    return found


def contents(root: Path) -> Contents:
    return contents_of(judge(comparison(root), "dice", QUICK))


THREE = {f"vgg11 {EVIL}": 0.70, "resnet18": 0.86, "mobilenet": 0.861}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """A comparison of three variants with three seeds each, the best two alike."""
    folder = tmp_path_factory.mktemp("three")
    experiment(maker(folder), folder / "runs", THREE)
    return contents(folder / "runs")


@pytest.fixture(scope="module")
def page(three: Contents) -> str:
    return comparison_page([three])


class Browser:
    """Headless Chromium, a fresh profile each time."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.calls = 0

    def dom(self, html: str, *flags: str, width: int = 1280) -> str:
        """The document after its scripts have run."""
        self.calls += 1
        page = self.folder / f"page-{self.calls}.html"
        page.write_text(html, encoding="utf-8")
        profile = self.folder / f"profile-{self.calls}"
        command = [self.program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},2400", *flags]
        done = subprocess.run(
            [*command, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Chromium, or a skip."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return Browser(program, tmp_path)
