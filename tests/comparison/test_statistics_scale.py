"""Statistics of many variants and of many exchanges: bounded memory, the same numbers as pair by pair."""

import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from segengine.comparison.statistics.differences import Choices, judge_sample
from segengine.comparison.statistics.sample import Sample

_PROBE = """
import json, sys
from pathlib import Path
from tests.comparison.test_statistics_scale import many
from segengine.comparison.statistics.differences import Choices, judge_sample
variants, units, resamples = map(int, sys.argv[1:])
found = judge_sample(many(variants, units), Choices(resamples=resamples))
status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory before exec
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps({"peak_mb": peak, "pairs": len(found.rows), "advised": sum(row.needed is not None for row in found.rows)}))
"""


def many(variants: int, units: int, seeds: int = 1, classes: int = 4) -> Sample:
    """Made-up counts of variants of like quality."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((units, classes)) < 0.8, rng.integers(20, 4000, (units, classes)), 0).astype(float)
    quality = rng.normal(0.8, 0.01, variants)
    right = [
        np.floor(truth * np.clip(rng.normal(q, 0.1, (seeds, *truth.shape)) + rng.normal(0, 0.01, (seeds, 1, 1)), 0, 1))
        for q in quality
    ]
    names = tuple(f"v{i:03}" for i in range(variants))
    return Sample(
        names, tuple(map(str, range(classes))), tuple(range(classes)), tuple(2 * each for each in right),
        tuple(each + truth for each in right), truth > 0,
    )  # fmt: skip


def peak(variants: int, units: int, resamples: int) -> dict[str, float]:
    words = [sys.executable, "-c", _PROBE, *map(str, (variants, units, resamples))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_memory_does_not_grow_with_the_number_of_exchanges():
    assert peak(2, 600, 60_000)["peak_mb"] < 250  # at once the signs alone would be 288 MB


@pytest.mark.slow
@pytest.mark.long
def test_a_million_exchanges_of_600_images_stay_under_500_mb():
    assert peak(3, 600, 1_000_000)["peak_mb"] < 500


def test_all_pairs_of_100_variants_are_judged_and_advised_in_little_memory():
    found = peak(100, 1000, 100)
    assert found["pairs"] == 4950 * 5
    assert found["advised"] > 100
    assert found["peak_mb"] < 350  # each pair's influence of 1,000 images would be 158 MB more


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_difference_of_a_pair_is_the_same_among_many_variants(seeds):
    whole = many(5, 40, seeds)
    together = {(row.first, row.second, row.score): row for row in judge_sample(whole, Choices(resamples=300)).rows}
    for i, j in combinations(range(5), 2):
        pair = Sample(
            (whole.variants[i], whole.variants[j]), whole.classes, whole.averaged,
            (whole.numerators[i], whole.numerators[j]), (whole.denominators[i], whole.denominators[j]), whole.present,
        )  # fmt: skip
        for row in judge_sample(pair, Choices(resamples=300)).rows:
            other = together[row.first, row.second, row.score]
            numbers = [
                [getattr(each, name) for name in ("difference", "sd_units", "sd_seeds", "df", "p")]
                for each in (row, other)
            ]
            np.testing.assert_allclose(*numbers, rtol=1e-9)
            assert other.high - other.low >= row.high - row.low - 1e-12
