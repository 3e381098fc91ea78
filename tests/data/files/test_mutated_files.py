import os
from collections import Counter

import numpy as np
import pytest

from tests.data.files.mutations import draw, verdict

SEEDS = os.environ.get("SEGENGINE_FUZZ_SEEDS", "")
"""Seeds of more cases, such as `SEGENGINE_FUZZ_SEEDS=0,1,2`: 500 each."""


def tried(seed, number, folder):
    rng = np.random.default_rng(seed)
    return Counter(verdict(draw(rng), folder / f"file{i}") for i in range(number))


def test_damaged_files_are_read_as_a_reference_reads_them_or_refused_by_name(tmp_path):
    found = tried(20261128, 80, tmp_path)
    assert set(found) == {"equal", "refused"}
    assert min(found.values()) > 20


@pytest.mark.slow
@pytest.mark.skipif(not SEEDS, reason="SEGENGINE_FUZZ_SEEDS names no seeds")
def test_five_hundred_damaged_files_per_seed(tmp_path):
    for seed in SEEDS.split(","):
        assert set(tried(int(seed), 500, tmp_path)) == {"equal", "refused"}, seed
