"""Verdicts on simulated comparisons whose truth is known: rarely wrong, with intervals as wide as they should be, and
right where there is a gap. docs/statistics.md has the same cases with more repeats.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

_PATH = Path(__file__).parents[2] / "docs" / "statistics_simulation.py"
_REPEATS = 500
_CHANCE = 0.01
"""How often a bound may be broken, by all its cases together, were the true share just what is allowed."""


def _load():
    spec = importlib.util.spec_from_file_location("statistics_simulation", _PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_SIMULATION = _load()
_NULL = _SIMULATION.null_cases(1, 3, 5)


@pytest.fixture
def simulation():
    return _SIMULATION


@pytest.fixture(scope="module")
def null():
    return {case: _SIMULATION.simulate(case, _REPEATS, resamples=500) for case in _NULL}


def _most(share: float, repeats: int, cases: int = 1) -> float:
    """The largest share of `repeats` that a true `share` gives but for chance."""
    return binom.ppf(1 - _CHANCE / cases, repeats, share) / repeats


def _least(share: float, repeats: int, cases: int = 1) -> float:
    return binom.ppf(_CHANCE / cases, repeats, share) / repeats


@pytest.mark.parametrize("case", _NULL, ids=repr)
def test_without_a_difference_at_most_five_percent_of_verdicts_name_one(null, case):
    assert null[case].truth == 0
    assert null[case].decided.mean() <= _most(0.05, _REPEATS, len(_NULL))


@pytest.mark.parametrize("case", _NULL, ids=repr)
def test_intervals_cover_the_truth_in_93_to_97_percent(null, case):
    covered = null[case].covered.mean()
    assert _least(0.93, _REPEATS, 2 * len(_NULL)) <= covered <= _most(0.97, _REPEATS, 2 * len(_NULL))


def test_over_all_cases_wrong_verdicts_and_coverage_are_within_what_is_promised(null):
    decided, covered = (
        np.concatenate([getattr(each, what) for each in null.values()]) for what in ("decided", "covered")
    )
    assert decided.mean() <= 0.05
    assert 0.95 <= covered.mean() <= 0.97


def test_an_interval_that_forgets_the_seeds_would_fail_the_same_simulation(simulation, monkeypatch):
    whole = simulation.estimate

    def forgetful(first, second):
        found = whole(first, second)
        return simulation.replace(found, seeds=0 * found.seeds)

    monkeypatch.setattr(simulation, "estimate", forgetful)
    assert simulation.simulate(simulation.Case(3, 0.4), _REPEATS).covered.mean() < _least(
        0.93, _REPEATS, 2 * len(_NULL)
    )


def test_an_interval_wider_by_a_third_would_fail_the_same_simulation(simulation, monkeypatch):
    whole = simulation.estimate

    def timid(first, second):
        found = whole(first, second)
        return simulation.replace(found, units=found.units * 16 / 9, seeds=found.seeds * 16 / 9)

    monkeypatch.setattr(simulation, "estimate", timid)
    case = simulation.Case(5, 0.1, grouped=True)
    assert simulation.simulate(case, _REPEATS).covered.mean() > _most(0.97, _REPEATS, 2 * len(_NULL))


@pytest.mark.parametrize("case", _SIMULATION.gap_cases()[::3], ids=repr)
def test_a_gap_of_two_points_is_found_in_four_of_five_cases(simulation, case):
    outcome = simulation.simulate(case, 250, resamples=500)
    assert 0.019 < outcome.truth < 0.023
    assert outcome.found.mean() >= _least(0.8, 250, 2)


def test_a_case_has_random_numbers_of_its_own_and_the_first_repeats_are_the_same_however_many_follow(simulation):
    case = simulation.Case(3, 0.1, units=10)
    some, more = (simulation.simulate(case, repeats) for repeats in (300, 500))
    assert np.array_equal(some.variances, more.variances[:300])
    assert len(np.unique(more.variances[:, 0])) == 500
    other = simulation.replace(case, sd_seed=0.0)
    assert case.generators(1)[0].random() != other.generators(1)[0].random()
