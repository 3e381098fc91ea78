"""Figures of docs/statistics.md: each comes from the committed results, and some results are drawn again."""

import json
from pathlib import Path

import numpy as np
import pytest

from segengine.comparison.judge import judge
from segengine.comparison.summary import compare_folders
from tests.comparison.test_statistics_simulation import SIM

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "statistics.md").read_text(encoding="utf-8")
_ALL = [json.loads(line) for line in (DOCS / "statistics_simulation.jsonl").read_text(encoding="utf-8").splitlines()]
ROWS = [row for row in _ALL if "more_seeds" not in row]
ADVICE = [row for row in _ALL if "more_seeds" in row]
ERROR = np.sqrt(0.05 * 0.95 / 4000)


def case(row):
    return SIM.Case(
        **{name: tuple(row[name]) if name == "held" else row[name] for name in SIM.Case.__dataclass_fields__}
    )


def test_the_table_of_the_page_is_the_committed_result():
    shown = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 8]
    assert shown[2:] == [SIM.described(row) for row in ROWS]
    assert all(row["repeats"] == 4000 for row in ROWS)


def test_each_case_of_the_simulation_has_its_row_in_order():
    cases = SIM.all_cases()
    assert len(_ALL) == len(cases)
    assert all(SIM.is_row_of(case, row) for case, row in zip(cases, _ALL, strict=True))


def test_who_follows_the_advice_finds_the_gap_in_70_to_90_percent():
    grid = [row for row in ADVICE if row["more_seeds"]]
    assert {(row["seeds"], row["sd_seed"], row["units"]) for row in grid} == {
        (seeds, sd, units) for seeds in (2, 3, 4, 5) for sd in (0.05, 0.1, 0.2, 0.4) for units in (20, 60, 200)
    }
    for row in ADVICE:
        assert 0.7 <= row["power"] <= 0.9
        assert row["none"] < 0.005
    lines = SIM.advice_lines(ADVICE)
    assert len(lines) == 16
    assert "\n".join(lines) in PAGE
    (low, high), (few, many), (least, most) = (
        (min(values), max(values))
        for values in (
            [100 * row["power"] for row in grid],
            [row["median"] for row in grid],
            [100 * row["power"] for row in ADVICE if row["more_units"]],
        )
    )
    assert (
        f"The gap is found in {low:.0f} to {high:.0f} % of cases; {few:.0f} to {many:.0f} seeds are advised where 5 suffice."
        in PAGE
    )
    assert f"three times as many images suffice, in {least:.0f} to {most:.0f} %." in PAGE


def test_every_row_keeps_5_percent_within_its_monte_carlo_error_and_coverage_from_93_to_97_percent():
    paired = [row for row in ROWS if row["paired"]]
    wide = [row for row in ROWS if row["ties"] and row["seeds"] > 1]
    rows = [row for row in ROWS if row not in paired and row not in wide]
    null = [row["decided"] for row in [*rows, *wide] if not row["truth"]]
    covered = [row["covered"] for row in rows if row["covered"] is not None]
    assert f"wrong in up to {100 * max(row['decided'] for row in paired):.1f} %" in PAGE
    assert f"coverage up to {100 * max(row['covered'] for row in wide):.1f} %" in PAGE
    assert max(null) <= 0.05 + 2 * ERROR
    assert 0.93 <= min(covered) <= max(covered) <= 0.97 + 2 * np.sqrt(0.97 * 0.03 / 4000)
    above = sum(share > 0.05 for share in null)
    words = (
        f"Wrong verdicts: at most {100 * max(null):.2f} %, in {above} of {len(null)} rows above 5 %, by at most "
        f"{max(0, (max(null) - 0.05) / ERROR):.1f} standard errors; coverage {100 * min(covered):.1f} to {100 * max(covered):.1f} %."
    )
    assert words in PAGE


def test_the_gaps_that_can_be_seen_are_computed():
    for units in (10, 20, 40, 80, 160, 320):
        assert f"| {units} | {' | '.join(f'{SIM.smallest_gap(units, seeds):.1f}' for seeds in (1, 3, 5))} |" in PAGE


@pytest.mark.parametrize("at", [at for at, row in enumerate(ROWS) if row["seeds"] == 3 and not row["truth"]][:1])
def test_a_committed_row_is_drawn_again_to_the_digit(at):
    row = ROWS[at]
    found = SIM.measured(case(row), 4000)
    for name, value in row.items():
        expected = tuple(value) if name == "held" else value
        assert found[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else expected), name


def test_the_sentence_that_is_annotated_is_one_that_compare_says(make, root):
    for name, quality in (("vgg11", 0.80), ("resnet18", 0.812)):
        for seed in range(3):
            make(name, seed, quality=quality + 0.002 * seed, images=60, test=tuple(range(12, 60)))
    (found,) = compare_folders([root], root)
    said = judge(found, "dice").said.verdict[0]
    assert f"    {said}" in PAGE
