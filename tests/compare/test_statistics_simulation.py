"""Verdicts on simulated comparisons whose truth is known: rarely wrong, and right where there is a gap."""

import importlib.util
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[2] / "docs" / "statistics_simulation.py"


@pytest.fixture(scope="module")
def simulation():
    import sys

    spec = importlib.util.spec_from_file_location("statistics_simulation", _PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("seeds", "sd_seed", "grouped", "kind"),
    [
        (1, 0.0, False, "per_image"),
        (1, 0.0, True, "pooled"),
        (3, 0.0, False, "pooled"),
        (3, 0.4, True, "per_image"),
        (5, 0.4, False, "pooled"),
    ],
)
def test_without_a_difference_hardly_any_verdict_names_one(simulation, seeds, sd_seed, grouped, kind):
    outcome = simulation.simulate(simulation.Case(seeds, sd_seed, grouped=grouped, kind=kind), 200, resamples=500)
    assert outcome.truth == 0
    assert outcome.decided <= 0.09
    assert outcome.covered >= 0.90


def test_an_interval_that_forgets_the_seeds_would_fail_the_same_simulation(simulation, monkeypatch):
    whole = simulation.estimate

    def forgetful(first, second):
        found = whole(first, second)
        return simulation.replace(found, seeds=0 * found.seeds)

    monkeypatch.setattr(simulation, "estimate", forgetful)
    assert simulation.simulate(simulation.Case(3, 0.4), 100).covered < 0.85


def test_a_gap_of_two_points_is_found_with_700_images(simulation):
    outcome = simulation.simulate(simulation.Case(1, units=700, kind="per_image", gap=0.17), 100, resamples=500)
    assert 0.018 < outcome.truth < 0.022
    assert outcome.found >= 0.7
