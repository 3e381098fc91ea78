"""Differences of variants: intervals, tests, verdicts and what is said, against plain loops and known cases."""

import numpy as np
import pytest
from scipy import stats

from segengine.comparison.methods import statistics as methods
from segengine.comparison.models import Model, Models
from segengine.comparison.pairs import needs, sentence
from segengine.comparison.samples import differences
from segengine.comparison.sentences import order
from segengine.comparison.statistics.differences import Choices, Differences
from segengine.comparison.statistics.intervals import Estimate, Jackknife, estimate, jackknife, unit_variance
from segengine.comparison.statistics.permutation import (
    MINIMUM_UNITS,
    Null,
    exact_count,
    exchanged,
    holm,
    p_value,
    signs,
)
from segengine.comparison.statistics.power import Needed, Sources, more, needed, power
from segengine.comparison.statistics.ranking import fair_ranks, ranking, tau_b
from segengine.comparison.statistics.ratios import places, ratios
from segengine.comparison.summary import ClassFacts, Comparison
from segengine.metrics.scores import evaluate_stacked


def counts(rng, images, level, presence=(1.0, 0.9, 0.7)):
    truth = np.where(rng.random((images, len(presence))) < presence, rng.integers(50, 900, (images, len(presence))), 0)
    share = 1 / (1 + np.exp(-(level + 0.6 * rng.standard_normal(truth.shape))))
    right = np.floor(truth * share).astype(np.int64)
    return np.stack([right, truth, np.floor(right / np.maximum(share, 0.01)).astype(np.int64)], axis=1)


def comparison(levels, *, images=40, seeds=1, groups=None, sd_seed=0.0, absent=()):
    rng, units = np.random.default_rng(3), []
    for name, level in levels.items():
        for seed in range(seeds if isinstance(seeds, int) else seeds[name]):
            noise = np.random.default_rng(rng.integers(1 << 30))
            table = counts(noise, images, level + sd_seed * noise.standard_normal())
            table[:, :, list(absent)] = 0
            units.append(Model(name, seed, (), table))
    ids = tuple(f"i{i}" for i in range(images))
    facts = tuple(ClassFacts(name, k > 0, images, 1) for k, name in enumerate(("background", "liver", "spleen")))
    return Comparison("t", "test", facts, (), None, (), (), (), Models(ids, groups or ids, tuple(units)))


@pytest.mark.parametrize("metric", ["dice", "iou"])
@pytest.mark.parametrize("kind", ["pooled", "per_image"])
def test_ratios_give_the_scores_of_the_tables_whatever_the_groups(metric, kind):
    table = counts(np.random.default_rng(0), 30, 1.0)
    scores = evaluate_stacked(table)
    expected = (scores.pooled if kind == "pooled" else scores.per_image)[metric]
    for groups in (range(30), np.arange(30) // 4):
        numerators, denominators = ratios(table, places([str(g) for g in groups]), metric, kind)
        assert len(numerators) == len(set(groups))
        assert numerators.sum(0) / denominators.sum(0) == pytest.approx(expected)


def test_the_jackknife_is_leaving_out_each_unit_in_a_plain_loop():
    numerators, denominators = ratios(counts(np.random.default_rng(0), 12, 1.0), np.arange(12), "dice", "pooled")
    found = jackknife(numerators, denominators, [1, 2])
    left_out = []
    for unit in range(12):
        rest = [g for g in range(12) if g != unit]
        ratio = numerators[rest].sum(0) / denominators[rest].sum(0)
        left_out.append([*ratio, ratio[[1, 2]].mean()])
    expected = np.mean(left_out, axis=0) - np.array(left_out)
    assert found.influence == pytest.approx(expected)
    variance, df = unit_variance(found.influence)
    assert variance == pytest.approx(11 / 12 * (expected**2).sum(0))
    assert (df <= 11).all()


def test_one_seed_of_plain_scores_is_the_paired_t_interval_where_no_unit_dominates():
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.4, 0.9, (2, 50, 1))
    first, second = (jackknife(each, np.ones_like(each), [0]) for each in scores)
    found = estimate(*(Jackknife(each.scores[None], each.influence[None]) for each in (first, second)))
    low, high = found.interval(0.95)
    expected = stats.ttest_rel(scores[0, :, 0], scores[1, :, 0])
    assert found.error[0] == pytest.approx(np.std(scores[0] - scores[1], ddof=1) / np.sqrt(50))
    assert (low[0], high[0]) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=2e-3)
    assert found.p()[0] == pytest.approx(expected.pvalue, rel=0.05)


def test_seeds_alone_are_welchs_t_test():
    rng = np.random.default_rng(4)
    first, second = (
        Jackknife(0.8 + s * rng.standard_normal((n, 1)), np.zeros((n, 9, 1))) for s, n in ((0.02, 3), (0.05, 4))
    )
    found = estimate(first, second)
    expected = stats.ttest_ind(first.scores[:, 0], second.scores[:, 0], equal_var=False)
    assert found.p()[0] == pytest.approx(expected.pvalue)
    assert found.df[0] == pytest.approx(expected.df)


@pytest.mark.parametrize("chance", [2, 3, 5])
def test_seeds_and_units_together_are_the_mixed_model_of_statsmodels(chance):
    """Units crossed with variants, seeds nested in variants, by REML; equal where no component is estimated as negative.

    Scores are in tenths: the optimizer stops early where variances are small.
    """
    from pandas import DataFrame
    from statsmodels.formula.api import mixedlm

    rng, units, seeds = np.random.default_rng(chance), 14, 4
    scores = (
        0.7 + rng.normal(0, 0.1, units) + rng.normal(0, 0.06, (2, 1, units)) + rng.normal(0, 0.04, (2, seeds, units))
    )
    scores = scores + rng.normal(0, 0.06, (2, seeds, 1))
    found = estimate(*(jackknife(each[..., None], np.ones((seeds, units, 1)), [0]) for each in scores))
    variant, seed, unit = (each.ravel() for each in np.indices(scores.shape))
    data = {"score": 10 * scores.ravel(), "second": variant, "unit": unit, "of_unit": 100 * variant + unit,
            "seed": 100 * variant + seed, "all": 0 * unit}  # fmt: skip
    parts = {name: f"0 + C({name})" for name in ("unit", "of_unit", "seed")}
    fitted = mixedlm("score ~ second", DataFrame(data), groups="all", vc_formula=parts).fit(method="lbfgs")
    assert fitted.converged
    assert found.difference[-1] == pytest.approx(-fitted.params["second"] / 10, rel=1e-6)
    assert found.error[-1] == pytest.approx(fitted.bse["second"] / 10, rel=1e-4)


def test_seeds_that_all_score_alike_add_no_variance():
    units = np.random.default_rng(0).standard_normal((1, 20, 1)) / 400
    units -= units.mean(1, keepdims=True)
    one = Jackknife(np.full((1, 1), 0.7), units)
    three = Jackknife(np.full((3, 1), 0.7), np.repeat(units, 3, axis=0))
    other = np.zeros((1, 20, 1))
    alone = estimate(one, Jackknife(np.full((1, 1), 0.6), other))
    several = estimate(three, Jackknife(np.full((3, 1), 0.6), np.repeat(other, 3, axis=0)))
    assert several.error == pytest.approx(alone.error)
    assert several.df == pytest.approx(alone.df)


def test_exchanges_are_exact_for_few_units_and_equal_a_plain_loop():
    rng = np.random.default_rng(5)
    first, second = (ratios(counts(rng, 8, 1.0), np.arange(8), "dice", "pooled") for _ in range(2))
    (flips,) = signs(8, 2000, 0)
    assert (exact_count(8, 2000), flips.shape) == (128, (128, 8))
    found = exchanged(
        tuple(a.sum(0) + b.sum(0) for a, b in zip(first, second, strict=True)),
        tuple(flips @ (a - b) for a, b in zip(first, second, strict=True)),
    )
    for row, got in zip(flips, found, strict=True):
        swap = row[:, None] < 0
        one = [np.where(swap, b, a).sum(0) for a, b in zip(first, second, strict=True)]
        other = [np.where(swap, a, b).sum(0) for a, b in zip(first, second, strict=True)]
        assert got == pytest.approx(one[0] / one[1] - other[0] / other[1])


def test_exchanges_of_plain_scores_are_scipys_paired_permutation_test():
    rng = np.random.default_rng(5)
    first, second = rng.uniform(0.5, 0.9, (2, 9, 1))
    (flips,) = signs(9, 2000, 0)
    null = exchanged((first.sum(0) + second.sum(0), np.full(1, 18.0)), (flips @ (first - second), np.zeros((256, 1))))
    seen = first.mean() - second.mean()
    expected = stats.permutation_test(
        (first[:, 0], second[:, 0]), lambda a, b: a.mean() - b.mean(), permutation_type="samples", n_resamples=np.inf
    )
    assert Null(np.sort(np.abs(null[:, 0])), exact=True).p(np.array([seen]))[0] == pytest.approx(expected.pvalue)


def test_random_exchanges_give_the_upper_end_of_scipys_interval_for_their_share():
    for reached in (0, 3, 80, 2000):
        expected = stats.binomtest(reached, 2000).proportion_ci(0.95, "exact").high
        assert p_value(np.array([reached]), 2000, exact=False)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("count", "exact"), [(64, True), (2000, False)])
def test_a_statistic_is_above_the_critical_value_exactly_where_its_p_is_at_most_the_level(count, exact):
    null = Null(np.sort(np.random.default_rng(0).chisquare(2, count)), exact)
    for level in (0.05, 0.1):
        critical = null.critical(level)
        for statistic in (*null.maxima, *np.linspace(0, 20, 101)):
            assert (null.p(np.array([statistic]))[0] <= level) == (statistic > critical)


def test_six_units_are_the_fewest_that_can_show_anything():
    assert 2 / 2**MINIMUM_UNITS < 0.05 < 2 / 2 ** (MINIMUM_UNITS - 1)


def test_holm_is_holms_and_leaves_out_what_is_untested():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    assert holm(p) == pytest.approx(np.array([0.03, np.nan, 0.06, 0.06]), nan_ok=True)


def test_adjusted_p_are_those_of_statsmodels_by_holm():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random((5, 4)) ** 3
    assert holm(p).ravel() == pytest.approx(multipletests(p.ravel(), method="holm")[1])


def test_power_of_units_alone_is_that_of_a_paired_t_test():
    from statsmodels.stats.power import TTestPower

    one = np.ones(1)
    sources = Sources(0.01**2 * one, 49.0 * one, 50, seed=0 * one, interaction=0 * one)
    for units in (60, 100, 200):
        expected = TTestPower().power(0.02 / (0.01 * np.sqrt(50)), units, 0.05)
        assert power(sources, 0.02 * one, 0.05 * one, units, 0) == pytest.approx(expected, abs=0.005)
    (found,) = more(sources, 0.02 * one, 0.05 * one)
    assert found.seeds is None
    at, before = (power(sources, 0.02 * one, 0.05 * one, 50 + found.units - less, 0) for less in (0, 1))
    assert at >= 0.8 > before


def seeds_alone(spreads):
    """Differences whose variance is only that of 3 seeds each, with these standard errors of each variant."""
    each = np.array(spreads) ** 2
    counts = np.full(len(each), 3.0)
    return Sources(0 * each, 0 * each + 49.0, 50, 3 * each, 0 * each, (counts, counts))


def test_no_number_of_images_cures_seeds_that_differ_and_impossible_numbers_are_none():
    from statsmodels.stats.power import TTestIndPower

    found, hopeless = more(seeds_alone([0.01, 0.01]), np.array([0.02, 1e-6]), np.full(2, 0.05))
    assert found.units is None
    assert found.seeds == np.ceil(TTestIndPower().solve_power(0.02 / (0.01 * np.sqrt(3)), alpha=0.05, power=0.8)) - 3
    assert (hopeless, hopeless.realistic) == (Needed(None, None, None), False)


@pytest.mark.parametrize("seen", [0.0, 0.001, 0.003, 0.0049, 0.008])
def test_what_is_undecided_never_needs_just_a_few_more_images(seen):
    """Also where a difference of the margin would nearly have been found: with this one it wasn't."""
    one, units, margin = np.ones(2), 50, 0.005
    advised = 0
    for error in np.linspace(0.0005, 0.02, 100):
        found = Estimate(seen * one, error**2 * one, 0 * one, 49 * one, np.zeros((0, 2)))
        width = found.half_width(0.05)[:1]
        (advice,) = needed([found], units, margin, width)
        if seen > width[0] or found.tail(np.array([margin - seen]))[0] <= 0.05 or advice.units is None:
            continue
        advised += 1
        assert advice.units >= units / 3
        sources = Sources(error**2 * one[:1], 49 * one[:1], units, 0 * one[:1], 0 * one[:1])
        reached = [
            power(sources, max(distance, 0) * one[:1], level * one[:1], units + advice.units, 0)[0]
            for distance, level in ((seen, 0.05), (margin - seen, 0.1))
        ]
        assert max(reached) >= 0.8 - 1e-9
    assert advised > 10


def test_where_seeds_share_their_chance_more_images_are_not_the_advice():
    """The same noise in both variants by seed: the difference is nearly certain but for the degrees of freedom."""
    undecided = 0
    for chance in range(20):
        rng, units = np.random.default_rng(chance), 10
        noise = rng.normal(0, 0.03, (3, units)) + rng.normal(0, 0.01, (3, 1))
        scores = np.stack([0.8 + noise, 0.78 + noise + rng.normal(0, 0.002, noise.shape)])
        found = estimate(*(jackknife(each[..., None], np.ones((3, units, 1)), [0]) for each in scores))
        width = found.half_width(0.05 / 3)[-1:]
        if abs(found.difference[-1]) <= width[0]:
            undecided += 1
            (advice,) = needed([found], units, 0.005, width)
            assert advice.units is None or advice.units > units / 3
            assert advice.seeds is None or advice.seeds >= 2
    assert undecided > 5


def test_advice_about_many_differences_is_that_about_each():
    rng = np.random.default_rng(0)
    spreads, target, level = 0.02 * rng.random(30), 0.03 * rng.random(30), np.full(30, 0.01)
    target[0] = 0.0
    together = more(seeds_alone(spreads), target, level)
    assert together == [more(seeds_alone(spreads[[i]]), target[[i]], level[[i]])[0] for i in range(30)]
    assert len({each.seeds for each in together}) > 5


def test_a_clear_gap_between_models_is_better_and_never_spoken_of_as_backbones():
    found = differences(comparison({"resnet": 2.0, "vgg": 1.0}), "dice", "pooled")
    (row,) = found.means
    assert (row.verdict, row.about, row.sd_seeds) == ("better", "models", 0.0)
    assert 0 < row.low < row.difference < row.high
    said = sentence(found, row)
    assert said.startswith("of these two trained models, resnet is better than vgg: +")
    assert "backbone" not in said + methods(found) + " ".join(order(found))
    assert found.ranking.best[0] > 0.95
    reverse = differences(comparison({"vgg": 1.0, "resnet": 2.0}), "dice", "pooled")
    assert reverse.means[0].verdict == "worse"


def test_two_copies_of_one_model_are_practically_equal():
    base = comparison({"a": 1.5})
    twin = Model("b", 0, (), base.models.models[0].stacked)
    both = Models(base.models.ids, base.models.groups, (*base.models.models, twin))
    found = differences(Comparison("t", "test", base.classes, (), None, (), (), (), both), "iou", "per_image")
    (row,) = found.means
    assert (row.difference, row.low, row.high, row.p, row.verdict) == (0.0, 0.0, 0.0, 1.0, "practically equal")


def test_what_can_not_be_told_says_what_it_would_take():
    found = differences(comparison({"a": 1.5, "b": 1.45}, images=12), "dice", "per_image")
    (row,) = found.means
    assert row.verdict == "not distinguishable"
    assert "; needs about " in sentence(found, row)
    assert "seeds" not in sentence(found, row)
    wide = differences(comparison({"a": 1.5, "b": 1.45}, images=12), "dice", "per_image", Choices(margin=0.5))
    assert wide.means[0].verdict == "practically equal"


def test_too_few_units_are_refused_with_the_number_that_is_needed():
    groups = tuple(f"p{i // 8}" for i in range(40))
    found = differences(comparison({"a": 2.0, "b": 1.0}, groups=groups), "dice", "pooled")
    (row,) = found.means
    assert (row.verdict, row.low, row.p, found.ranking) == ("not tested", None, None, None)
    assert sentence(found, row).endswith("5 groups; a test needs at least 6")


def test_several_seeds_show_both_variances_and_widen_the_interval():
    apart = differences(comparison({"a": 1.6, "b": 1.5}, seeds=3, sd_seed=0.8), "dice", "pooled").means[0]
    alone = differences(comparison({"a": 1.6, "b": 1.5}, seeds=3), "dice", "pooled").means[0]
    assert apart.about == "variants"
    assert apart.sd_seeds > apart.sd_units > 0
    assert apart.df < 8
    assert apart.high - apart.low > 2 * (alone.high - alone.low)


def test_one_seed_of_one_variant_makes_it_about_models():
    found = differences(comparison({"a": 2.0, "b": 1.0}, seeds={"a": 3, "b": 1}), "dice", "pooled")
    assert found.means[0].about == "models"
    assert sentence(found, found.means[0]).startswith("of these 4 trained models, a is better than b")


def test_a_class_that_no_model_has_is_left_out_and_the_rest_is_compared():
    found = differences(comparison({"a": 2.0, "b": 1.0}, absent=[2]), "dice", "pooled")
    assert found.undefined == ("spleen",)
    assert [row.verdict for row in found.rows] == ["better", "better", "not tested"]
    assert found.rows[2].difference is None
    assert found.rows[0].difference == pytest.approx(found.rows[1].difference)


def test_the_order_is_as_firm_as_the_gaps():
    rng = np.random.default_rng(0)
    models = []
    for score in (0.9, 0.5, 0.495):
        influence = 0.002 * rng.standard_normal((1, 50, 1))
        models.append(Jackknife(np.full((1, 1), score), influence - influence.mean(1, keepdims=True)))
    found = ranking(models, np.full(3, 0.04), 1000, 0)
    assert found.best == (1.0, 0.0, 0.0)
    assert found.ranks[0] == (1, 1)
    assert found.ranks[1] == found.ranks[2] == (2, 3)
    assert 2 / 3 < found.stability < 1


def test_ties_share_ranks_and_firsts_whatever_their_order():
    same = Jackknife(np.full((1, 1), 0.7), np.zeros((1, 9, 1)))
    worse = Jackknife(np.full((1, 1), 0.5), np.zeros((1, 9, 1)))
    for models in ([same, same, worse], [worse, same, same]):
        found = ranking(models, np.zeros(3), 200, 0)
        assert found.best == tuple(0.0 if each is worse else 0.5 for each in models)
        assert found.mean_rank == tuple(3.0 if each is worse else 1.5 for each in models)
        assert found.ranks == tuple((3, 3) if each is worse else (1, 2) for each in models)
        assert found.stability == 1.0


def test_tau_b_and_ranks_are_scipys():
    rng = np.random.default_rng(1)
    values, other = rng.integers(0, 4, (20, 6)), rng.integers(0, 4, 6)
    expected = [stats.kendalltau(row, other).statistic for row in values]
    assert tau_b(values.astype(float), other.astype(float)) == pytest.approx(expected)
    assert fair_ranks(values)[2] == pytest.approx(stats.rankdata(values, axis=1))


def test_the_same_counts_give_the_same_numbers():
    runs = [differences(comparison({"a": 1.6, "b": 1.5}), "dice", "pooled") for _ in range(2)]
    assert runs[0] == runs[1]


def test_one_more_group_is_said_in_the_singular():
    found = Differences("dice", "pooled", Choices(), True, 120, 40, False, (), (), None)
    assert needs(found, Needed(1, None, None)) == "needs about 3 more images (about 1 group)"
    assert (
        needs(found, Needed(2, 1, None))
        == "needs about 6 more images (about 2 groups) or about 1 more seed per variant"
    )
    assert needs(found, Needed(None, None, (40, 64))).endswith("(about 40 groups) and about 64 more seeds per variant")


def test_hundreds_of_seeds_are_nobodys_plan():
    found = Differences("dice", "pooled", Choices(), True, 120, 40, False, (), (), None)
    said = "needs more than 100 more seeds per variant: seeds differ too much for such a difference; train longer"
    assert needs(found, Needed(None, None, (40, 647))) == said
    assert needs(found, Needed(None, 647, None)) == said
    assert needs(found, Needed(2, 647, None)) == "needs about 6 more images (about 2 groups)"
    assert needs(found, Needed(None, None, None)) == "no realistic number of additional images would settle it"
