"""Verdicts from plain arrays at the edges: rare classes, ties, nothing at all, undefined lengths, families of tests."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.comparison.statistics.differences import Choices, judge_sample
from segengine.comparison.statistics.ratios import ratios
from segengine.comparison.statistics.sample import Sample, sample_of_values, undefined_rates, with_worst
from segengine.errors import ComparisonError

CLASSES = ("liver", "kidney", "spleen")


def sample(scores, held, **more):
    """Per-image scores [V, S, G, K] of classes that are in the units `held` [G, K]."""
    scores = np.asarray(scores, dtype=float)
    held = np.broadcast_to(held, scores.shape[2:])
    numerators = tuple(np.where(held, each, 0.0) for each in scores)
    denominators = tuple(np.broadcast_to(held.astype(float), each.shape).copy() for each in scores)
    names = tuple("abcdefghij"[: len(scores)])
    averaged = tuple(range(scores.shape[-1]))
    return Sample(names, CLASSES[: len(averaged)], averaged, numerators, denominators, np.asarray(held), **more)


def test_a_mean_has_as_many_units_as_its_scarcest_class_and_names_it():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.8, 0.9, (2, 1, 30, 3))
    held = np.ones((30, 3), dtype=bool)
    for few in (1, 2, 3, 5):
        held[:, 2] = np.arange(30) < few
        scores[0, 0, :, 2], scores[1, 0, :, 2] = 0.95, 0.05
        mean, *classes = judge_sample(sample(scores, held)).rows
        assert (mean.verdict, mean.reason, mean.scarce, mean.units) == ("not tested", "scarce class", "spleen", few)
        assert (mean.low, mean.p, mean.p_adjusted) == (None, None, None)
        assert [row.reason for row in classes] == ["", "", "too few units"]
    held[:, 2] = np.arange(30) < 6
    mean = judge_sample(sample(scores, held)).rows[0]
    assert (mean.verdict, mean.scarce, mean.units) == ("better", "spleen", 6)


def test_false_positives_do_not_make_a_class_less_scarce():
    counts = np.zeros((2, 30, 3, 2), dtype=np.int64)
    counts[:, :, :, 0] = 100
    counts[0, :12, 2, 1] = 5
    counts[:, 0, :, 1] = 50
    sums = [ratios(each, np.arange(30), "dice", "pooled") for each in counts]
    present = counts[0][:, 1] > 0
    found = Sample(
        ("a", "b"), CLASSES[:2], (0, 1), tuple(a[None] for a, _ in sums), tuple(b[None] for _, b in sums), present
    )
    mean = judge_sample(found).rows[0]
    assert (mean.verdict, mean.scarce, mean.units) == ("not tested", "kidney", 1)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("level", [0.0, 0.7, 1.0])
def test_variants_that_score_alike_are_practically_equal_and_share_all_ranks(seeds, level):
    found = judge_sample(sample(np.full((3, seeds, 12, 2), level), True))
    for row in found.rows:
        assert (row.difference, row.low, row.high, row.p, row.p_adjusted, row.verdict) == (
            0,
            0,
            0,
            1,
            1,
            "practically equal",
        )
        assert row.needed is None
    assert found.ranking.best == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found.ranking.ranks == ((1, 3),) * 3


def test_an_all_zero_variant_is_worse_than_every_other():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.5, 0.9, (3, 1, 12, 2))
    scores[1] = 0.0
    verdicts = {
        (row.first, row.second): row.verdict for row in judge_sample(sample(scores, True)).rows if row.score is None
    }
    assert verdicts["a", "b"] == "better"
    assert verdicts["b", "c"] == "worse"


def test_a_certain_difference_within_the_margin_is_better_and_said_to_be_small():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.9, (1, 1, 40, 1))
    scores = np.concatenate([base + 0.001 + 1e-4 * rng.standard_normal(base.shape), base])
    (row, _) = judge_sample(sample(scores, True)).rows
    assert (row.verdict, row.within_margin) == ("better", True)
    (row, _) = judge_sample(sample(scores, True), Choices(margin=0.0001)).rows
    assert (row.verdict, row.within_margin) == ("better", False)


CASES = st.fixed_dictionaries({
    "seed": st.integers(0, 2**32 - 1), "variants": st.integers(2, 4), "units": st.integers(4, 24),
    "seeds": st.sampled_from([1, 2, 3, 5]), "noise": st.sampled_from([0.0, 0.01, 0.2]),
    "gap": st.sampled_from([0.0, 0.02, 0.2]), "ties": st.booleans(), "sign": st.sampled_from([1, -1]),
})  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_an_interval_excludes_0_exactly_where_the_verdict_is_better_or_worse(case):
    names = ("seed", "variants", "units", "seeds", "noise", "gap", "ties", "sign")
    seed, variants, units, seeds, noise, gap, ties, sign = (case[name] for name in names)
    rng = np.random.default_rng(seed)
    scores = (
        0.6
        + gap * np.arange(variants)[:, None, None, None] / variants
        + noise * rng.standard_normal((variants, seeds, units, 2))
    )
    scores = np.clip(np.round(scores, 1) if ties else scores, 0, 1)
    held = rng.random((units, 2)) < 0.8
    found = judge_sample(sample(scores, held, sign=sign), Choices(resamples=300))
    for row in found.rows:
        if row.low is None:
            assert (row.verdict, row.high, row.p, row.p_adjusted) == ("not tested", None, None, None)
            continue
        excludes = row.low > 0 or row.high < 0
        assert excludes == (row.verdict in {"better", "worse"}) == (row.p_adjusted <= 0.05)
        assert row.low <= row.difference <= row.high
        assert -1 <= row.low <= row.high <= 1
        assert not math.isnan(row.single_low + row.single_high)
        if excludes:
            assert (row.verdict == "better") == (row.difference * sign > 0)
        if row.needed is not None and row.needed.units is not None and not row.within_margin:
            assert row.needed.units > 1
    if found.ranking is not None:
        means = [row for row in found.rows if row.score is None]
        for row in means:
            if row.verdict in {"better", "worse"}:
                one, other = (found.ranking.mean_rank["abcd".index(name)] for name in (row.first, row.second))
                assert (one < other) == (row.verdict == "better")
                assert found.ranking.best["abcd".index(row.second if row.verdict == "better" else row.first)] <= 0.1
        assert sum(found.ranking.best) == pytest.approx(1)
        for place, share in enumerate(found.ranking.best):
            if share >= 0.995:
                name = "abcd"[place]
                assert all(row.verdict in {"better", "worse"} for row in means if name in {row.first, row.second})


def test_undefined_lengths_cost_only_the_pairs_of_the_variant_that_has_them():
    rng = np.random.default_rng(0)
    values = rng.uniform(2, 4, (3, 1, 20, 1))
    values[1] += 3
    lost = np.zeros(values.shape, dtype=bool)
    lost[2] = True
    values[lost] = np.nan
    rows = judge_sample(
        sample_of_values(
            list(values), list(lost), np.arange(20), variants=tuple("abc"), classes=("liver",), averaged=(0,)
        )
    ).rows
    by = {(row.first, row.second): row for row in rows if row.score is None}
    assert by["a", "b"].verdict == "better"
    assert (by["a", "c"].verdict, by["a", "c"].reason, by["a", "c"].difference) == ("not tested", "undefined", None)


def test_some_undefined_lengths_are_left_out_of_their_pairs_alone():
    rng = np.random.default_rng(0)
    values = rng.uniform(2, 4, (3, 1, 20, 1))
    lost = np.zeros(values.shape, dtype=bool)
    lost[2, 0, :4] = True
    values[lost] = np.nan
    rows = judge_sample(
        sample_of_values(
            list(values), list(lost), np.arange(20), variants=tuple("abc"), classes=("liver",), averaged=(0,)
        )
    ).rows
    by = {(row.first, row.second): row for row in rows if row.score is None}
    assert (by["a", "b"].units, by["a", "c"].units) == (20, 16)
    assert by["a", "c"].difference == pytest.approx(float(values[0, 0, 4:].mean() - values[2, 0, 4:].mean()))


def test_the_worst_value_stands_in_where_only_one_side_has_the_class():
    values = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    found = with_worst(values, np.array([[True, False], [False, False]]), np.array([50.0, 60.0]))
    assert found == pytest.approx(np.array([[50.0, 1.0], [np.nan, 2.0]]), nan_ok=True)


def test_rates_of_undefined_images_are_compared_like_scores():
    held, place = np.ones((20, 1), dtype=bool), np.arange(20)
    sums = [undefined_rates(np.arange(20) < count, place) for count in (12, 1)]
    found = judge_sample(
        Sample(
            ("a", "b"),
            ("liver",),
            (0,),
            tuple(a[None] for a, _ in sums),
            tuple(b[None] for _, b in sums),
            held,
            sign=-1,
        )
    ).rows[0]
    assert (found.difference, found.verdict) == (pytest.approx(11 / 20), "worse")


def test_each_group_counts_once_in_the_mean_over_groups():
    counts = np.array([[[8], [10], [10]], [[0], [10], [10]], [[10], [10], [10]]])
    place = np.array([0, 0, 1])
    a, b = ratios(counts, place, "dice", "per_group")
    assert (a[:, 0] / b[:, 0]) == pytest.approx([0.4, 1.0])
    assert a.sum() / b.sum() == pytest.approx(0.7)


def test_two_seeds_judge_models_three_judge_training_and_folds_limit_the_claim():
    scores = np.random.default_rng(0).uniform(0.5, 0.9, (2, 3, 12, 1))
    assert [row.claim for row in judge_sample(sample(scores, True)).rows] == ["training"] * 2
    assert judge_sample(sample(scores, True, folds=True)).rows[0].claim == "training within folds"
    assert judge_sample(sample(scores[:, :2], True)).rows[0].about == "models"
    assert judge_sample(sample(scores[:, :, :9], True)).rows[0].about == "models"


def test_paired_seeds_take_off_what_the_variants_share():
    rng = np.random.default_rng(0)
    shared = 0.1 * rng.standard_normal((1, 4, 1, 1))
    scores = 0.7 + shared + 0.005 * rng.standard_normal((2, 4, 12, 1))
    alone, together = (judge_sample(sample(scores, True, paired=frozenset(p))).rows[0] for p in ((), [(0, 1)]))
    assert together.high - together.low < 0.3 * (alone.high - alone.low)


def test_an_interval_wider_than_what_is_possible_says_too_few_seeds():
    scores = np.zeros((3, 3, 12, 1))
    scores[0, 1:], scores[1, 0], scores[2, 1:] = 1.0, 1.0, 1.0
    scores = np.clip(scores + 0.01 * np.random.default_rng(0).standard_normal(scores.shape), 0, 1)
    row = judge_sample(sample(scores, True)).rows[0]
    assert (row.low, row.high, row.reason, row.verdict) == (-1, 1, "too few seeds", "not distinguishable")


@pytest.mark.parametrize("margin", [math.nan, math.inf, -0.1])
def test_a_margin_that_is_no_number_is_refused(margin):
    with pytest.raises(ComparisonError, match="margin"):
        Choices(margin=margin)
