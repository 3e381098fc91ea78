"""Verdicts on simulated comparisons whose truth is known: rarely wrong, with intervals as wide as they should be."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

_PATH = Path(__file__).parents[2] / "docs" / "statistics_simulation.py"
_CHANCE = 0.001
"""How often a bound may be broken, were the true share just what is allowed."""


def _load():
    spec = importlib.util.spec_from_file_location("statistics_simulation", _PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SIM = _load()
TRAINING = [SIM.Case(3, 0.0), SIM.Case(3, 0.4, kind="per_image"), SIM.Case(5, 0.1, grouped=True)]
MODELS = [SIM.Case(1, units=7, held=(7, 7, 6), grouped=True), SIM.Case(1, held=(40, 28, 6), false_positives=0.001)]


@pytest.mark.parametrize(
    ("case", "repeats"), [*((case, 500) for case in TRAINING), *((case, 250) for case in MODELS)], ids=repr
)
def test_at_most_five_percent_of_verdicts_are_wrong_and_intervals_cover_in_93_to_97_percent(case, repeats):
    found = SIM.simulate(case, repeats, resamples=500)
    assert found.decided.mean() <= binom.ppf(1 - _CHANCE, repeats, 0.05) / repeats
    covered = found.covered[found.tested]
    low, high = (binom.ppf(at, len(covered), share) for at, share in ((_CHANCE, 0.93), (1 - _CHANCE, 0.97)))
    assert low <= covered.sum() <= high


@pytest.mark.parametrize("few", [1, 2, 3])
def test_a_class_in_fewer_than_six_images_is_never_tested(few):
    found = SIM.simulate(SIM.Case(1, held=(40, 28, few)), 20, resamples=100)
    assert not found.tested.any()
    assert not found.decided.any()


def test_all_repeats_at_a_time_are_the_comparisons_that_the_command_makes():
    case = SIM.Case(3, 0.1, units=20)
    rules = SIM.Rules(0.05, 0.005, 100, 0)
    one, together = (batch(case, SIM.generators(case, 1)[0], 0.0, rules) for batch in (SIM._batch, SIM._training))
    held = one[:, 0] * together[:, 0] == 1
    assert held.any()
    np.testing.assert_allclose(one[held], together[held], rtol=1e-9)


def test_an_interval_that_forgets_the_seeds_would_fail_the_same_simulation(monkeypatch):
    whole = SIM.estimate
    monkeypatch.setattr(
        SIM, "estimate", lambda a, b, **more: SIM.replace(found := whole(a, b, **more), seeds=0 * found.seeds)
    )
    assert SIM.simulate(SIM.Case(3, 0.4), 500).covered.mean() < 0.85


def test_a_case_has_random_numbers_of_its_own_and_the_first_repeats_are_the_same_however_many_follow():
    case = SIM.Case(3, 0.1, units=20)
    some, longer = (SIM.simulate(case, repeats) for repeats in (300, 500))
    assert np.array_equal(some.variances, longer.variances[:300])
    other = SIM.replace(case, sd_seed=0.0)
    assert SIM.generators(case, 1)[0].random() != SIM.generators(other, 1)[0].random()
