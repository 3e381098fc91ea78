"""The messages and numbers that the documentation quotes are those of the program."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest

from segengine.metrics.confusion import ImageCounts
from segengine.metrics.scores import evaluate_counts
from tests.docs.pages import ROOT, blocks
from tests.docs.photos import MISTAKES, SPEC, what_is_said, write_photos

DATA = ROOT / "docs" / "data.md"
METRICS = ROOT / "docs" / "metrics.md"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_data_md_quotes_is_what_is_said(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos, spec = Path("photos"), Path("my.yaml")
    write_photos(photos)
    spec.write_text(SPEC)
    MISTAKES[mistake](photos, spec)
    said = what_is_said(spec).replace(f"{tmp_path.resolve()}/", "").splitlines()
    quoted = [block.text.strip() for block in blocks(DATA, "text")]
    assert set(said) & set(quoted), said


def test_all_quoted_messages_are_made_by_one_of_the_mistakes() -> None:
    quoted = [block.text for block in blocks(DATA, "text") if "\n" not in block.text.strip()]
    assert len(quoted) == len(MISTAKES)


def test_gray_values_are_written_as_data_md_shows(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    (tmp_path / "my.yaml").write_text(SPEC)
    what_is_said(tmp_path / "my.yaml")
    written = (tmp_path / "photos" / "gray-values.txt").read_text()
    assert written in [block.text for block in blocks(DATA, "text")]


def rows(header: str) -> list[list[str]]:
    """The rows of the Markdown table that begins with `header`."""
    table = METRICS.read_text(encoding="utf-8").split(f"| {header} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_example_of_metrics_md_is_scored_as_it_says() -> None:
    counts = ImageCounts(2)
    each = []
    for image, truth, predicted, right, dice in rows("image"):
        t, p, tp = int(truth), int(predicted), int(right)
        counts.add(int(image), np.array([[5000, p - tp], [t - tp, tp]], dtype=np.int64))
        each.append(float("nan") if dice == "-" else float(dice))
    scores = evaluate_counts(counts)
    for index, shown in zip(counts.indices, each, strict=True):
        own = evaluate_counts(ImageCounts.of({index: counts[index]}, 2)).pooled["dice"][1]
        assert own == pytest.approx(shown, abs=5e-4, nan_ok=True)
    filled = [np.nan_to_num(each, nan=value).mean() for value in (1.0, 0.0)]
    expected = [scores.pooled["dice"][1], scores.per_image["dice"][1], *filled]
    assert [float(row[1]) for row in rows("reading")] == pytest.approx(expected, abs=1e-3)


def test_every_shown_exit_code_is_one_that_the_program_ends_with() -> None:
    from segengine import errors

    stopped = {128 + signal.SIGINT, 128 + signal.SIGTERM}
    ends = {0, *stopped, *(cls.exit_code for cls in vars(errors).values() if isinstance(cls, type))}
    for page in ("cli.md", "runs.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        shown = {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)}
        assert shown == ends
