"""Intervals of single scores, and of differences whose parts nearly cancel."""

import numpy as np
import pytest

from segengine.comparison.statistics.intervals import Jackknife, estimate, unit_variance
from segengine.comparison.statistics.score_intervals import score_intervals
from segengine.comparison.summary import compare_folders


def _compared(root):
    (found,) = compare_folders([], root)
    return found


def test_one_seed_gives_the_t_interval_of_its_jackknife(make, tmp_path):
    from scipy.stats import t

    truth = np.random.default_rng(3).integers(50, 900, (24, 3))
    make("a", quality=0.8, images=24, test=tuple(range(4, 24)), truth=truth)
    found = _compared(tmp_path / "runs")
    (own,) = score_intervals(found, "dice", "pooled", 0.95)
    place = np.unique(found.models.groups, return_inverse=True)[1]
    right, true, predicted = (
        np.array([found.models.models[0].stacked[place == g, r, 1].sum() for g in range(10)]) for r in range(3)
    )
    whole = 2 * right.sum() / (true + predicted).sum()
    without = np.array(
        [2 * (right.sum() - right[g]) / ((true + predicted).sum() - (true + predicted)[g]) for g in range(10)]
    )
    centred = without - without.mean()
    kurtosis = 10 * (centred**4).sum() / (centred**2).sum() ** 2
    df = min(9.0, 20 / (kurtosis - 1))
    half = t.ppf(0.975, df) * np.sqrt(9 / 10 * (centred**2).sum())
    assert own.classes[1] == pytest.approx((whole - half, whole + half))


def test_an_interval_stays_within_what_a_score_can_be(make, tmp_path):
    truth = np.full((24, 3), 100)
    truth[4:, 1] = np.geomspace(1, 5000, 20).astype(int)
    make("a", quality=0.995, images=24, test=tuple(range(4, 24)), truth=truth)
    (own,) = score_intervals(_compared(tmp_path / "runs"), "dice", "pooled", 0.95)
    ends = [end for interval in (own.mean, *own.classes) if interval for end in interval]
    assert ends
    assert min(ends) >= 0
    assert max(ends) <= 1


def test_seeds_widen_the_interval_and_few_groups_leave_none(make, tmp_path):
    for seed, quality in enumerate((0.7, 0.8, 0.9)):
        make("a", seed, quality=quality, images=24, test=tuple(range(4, 24)), root=tmp_path / "several")
    make("a", 0, quality=0.8, images=24, test=tuple(range(4, 24)), root=tmp_path / "single")
    make("a", 0, root=tmp_path / "few")
    several, single, few = (
        score_intervals(_compared(tmp_path / name), "dice", "pooled", 0.95)[0] for name in ("several", "single", "few")
    )
    assert several.mean is not None
    assert single.mean is not None
    assert several.mean[1] - several.mean[0] > 3 * (single.mean[1] - single.mean[0])
    assert (few.mean, set(few.classes)) == (None, {None})


def test_variants_whose_seeds_share_their_noise_still_have_a_standard_error():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, (3, 20, 1))
    models = []
    for scale in (1.0, 1.001):
        influence = scale * shared
        models.append(
            Jackknife(
                np.full((3, 1), 0.8) + 0.001 * rng.normal(size=(3, 1)), influence - influence.mean(1, keepdims=True)
            )
        )
    found = estimate(*models)
    units, _ = unit_variance((models[0].influence - models[1].influence).mean(axis=0))
    assert found.units + found.seeds >= (1 - 1e-9) * units / 2
    assert np.isfinite(found.interval(0.95)).all()
