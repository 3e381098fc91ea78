"""Joint tests and intervals of all pairs: critical values by exchanges of units, and by t if seeds are included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segengine.comparison.statistics.intervals import Estimate, Floats
from segengine.comparison.statistics.permutation import Null, exact_count, exchanged, p_value, signs
from segengine.comparison.statistics.sample import Sample

_CELLS = 8_000_000
"""Maximum number of values of a temporary array: 64 MB."""


@dataclass(frozen=True, eq=False)
class Half:
    """Tests of P pairs and C columns (the classes and, last, the mean), float64 [P, C], NaN where not tested.

    `width`: half-width of the simultaneous interval, `equal`: half-width for the two one-sided tests (confidence 1 - 2 alpha);
    p values: `p` unadjusted, `adjusted`, and `p_equal` of the two one-sided tests. `exact`: all exchanges were computed.
    """

    width: Floats
    equal: Floats
    p: Floats
    adjusted: Floats
    p_equal: Floats
    exact: bool


@dataclass(frozen=True)
class Rules:
    """Level of each family of tests, margin of equality, number of random exchanges and their random seed."""

    level: float
    margin: float
    resamples: int
    seed: int


@dataclass(frozen=True, eq=False)
class Stacked:
    """Estimates of all pairs, [P, C]: difference, variance from units alone, and `scale` of the exchange statistic.

    scale^2 = (difference^2 + (G - 1) units) / G is the mean square of exchanged differences for scores linear in units.
    """

    difference: Floats
    units: Floats
    scale: Floats
    count: int

    @classmethod
    def of(cls, estimates: Sequence[Estimate], units: int) -> Stacked:
        difference = np.stack([each.difference for each in estimates])
        own = np.stack([each.units if each.parts is None else each.parts.units for each in estimates])
        return cls(difference, own, np.sqrt((difference**2 + (units - 1) * own) / units), units)

    def statistic(self, difference: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.scale > 0, np.abs(difference) / self.scale, 0.0)

    def width(self, critical: float) -> Floats:
        """Half-widths of intervals that exclude 0 if and only if the statistic exceeds `critical`.

        A statistic u of G units corresponds to t = u sqrt((G - 1) / (G - u^2)) standard errors of the difference.
        """
        if not critical**2 < self.count:
            return np.asarray(np.maximum(critical * self.scale, np.abs(self.difference)))
        return np.asarray(critical * np.sqrt((self.count - 1) / (self.count - critical**2)) * np.sqrt(self.units))

    def statistic_of(self, distance: Floats) -> Floats:
        """The statistic with half-width `distance`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(distance > 0, distance / np.sqrt(self.units), 0.0)
            return np.asarray(np.where(np.isinf(t), 1.0, t / np.sqrt(self.count - 1 + t * t)) * np.sqrt(self.count))


def family(
    sample: Sample, columns: Sequence[int], estimates: Sequence[Estimate], tested: NDArray[np.bool_], rules: Rules,
    *, training: NDArray[np.bool_],
) -> Half:  # fmt: skip
    """Half-widths and p values of all pairs, in two families: the means, and all pairs and classes.

    Of the m tests of a family, those about trained models are adjusted by the maximum statistic under joint exchanges
    (Westfall & Young 1993), those about training (`training` bool [P, C]) by t tests with the variance from seeds at
    level / m each (Bonferroni). If there are both kinds, the level is divided in proportion to their numbers.
    """
    exact = exact_count(sample.units, rules.resamples)
    out = {name: np.full(tested.shape, np.nan) for name in ("width", "equal", "p", "adjusted", "p_equal")}
    stacked = Stacked.of(estimates, sample.units) if len(estimates) else None
    models = tested & ~training
    if stacked is not None and models.any():
        maxima, reached = _exchanges(sample, columns, stacked, estimates, models, rules=rules)
        out["p"] = p_value(reached, exact or rules.resamples, exact=exact is not None)
        for part, null in zip((slice(-1, None), slice(None, -1)), maxima, strict=True):
            if models[:, part].any():
                portion = models[:, part].sum() / tested[:, part].sum()
                found = _by_exchange(
                    _part(stacked, part), Null(np.sort(null), exact is not None), float(portion), rules
                )
                for name, each in found.items():
                    out[name][:, part] = each
    if stacked is not None and (tested & training).any():
        of = Estimate.stacked(estimates)
        for part in (slice(-1, None), slice(None, -1)):
            for name, bound in _by_t(of, int(tested[:, part].sum()), rules).items():
                out[name][:, part] = np.where(training[:, part], bound[:, part], out[name][:, part])
    return Half(**{name: np.where(tested, each, np.nan) for name, each in out.items()}, exact=exact is not None)


def _by_exchange(of: Stacked, law: Null, portion: float, rules: Rules) -> dict[str, Floats]:
    """Half-widths and p values [P, ...] of tests about models, which are the fraction `portion` of their family."""
    inside = rules.margin - np.abs(of.difference)
    p_equal = np.where(inside > 0, law.p(of.statistic_of(np.maximum(inside, 0))) / 2, 1.0)
    return {
        "adjusted": np.minimum(1.0, law.p(of.statistic(of.difference)) / portion),
        "p_equal": np.minimum(1.0, p_equal / portion),
        "width": of.width(law.critical(rules.level * portion)), "equal": of.width(law.critical(2 * rules.level * portion)),
    }  # fmt: skip


def _part(stacked: Stacked, part: slice) -> Stacked:
    return Stacked(stacked.difference[:, part], stacked.units[:, part], stacked.scale[:, part], stacked.count)


def _by_t(found: Estimate, several: int, rules: Rules) -> dict[str, Floats]:
    """Half-widths and p values [P, C] of t tests, Bonferroni-adjusted for `several` tests."""
    several = max(several, 1)
    p, inside = found.p(), rules.margin - np.abs(found.difference)
    outside = np.where(inside > 0, several * found.tail(np.maximum(inside, 0)), 1.0)
    return {
        "p": p, "adjusted": np.minimum(1.0, several * p), "p_equal": np.minimum(1.0, outside),
        "width": found.half_width(rules.level / several), "equal": found.half_width(2 * rules.level / several),
    }  # fmt: skip


def _exchanges(
    sample: Sample, columns: Sequence[int], stacked: Stacked, estimates: Sequence[Estimate], tested: NDArray[np.bool_],
    *, rules: Rules,
) -> tuple[tuple[Floats, Floats], NDArray[np.int64]]:  # fmt: skip
    """Maximum statistic of each exchange, float64 [R], of the means and of the classes; how often each statistic is reached [P, C]."""
    pairs = list(combinations(range(len(sample.variants)), 2))
    least = np.abs(stacked.difference) * (1 - 1e-9) - 1e-15
    inverse = np.where(tested & (stacked.scale > 0), 1 / np.where(stacked.scale > 0, stacked.scale, 1.0), 0.0)
    reached = np.zeros(tested.shape, dtype=np.int64)
    largest: tuple[list[Floats], list[Floats]] = ([], [])
    sums = _Sums.of(sample, columns)
    for flips in _chunks(sample, len(columns), rules):
        most = np.zeros((2, len(flips)))
        exchange = sums.exchange(flips)
        for place, (i, j) in enumerate(pairs):
            if not tested[place].any():
                continue
            found = np.abs(exchange.differences(sample, columns, (i, j), estimates[place]))
            reached[place] += np.count_nonzero(found >= least[place][:, None], axis=1)
            found *= inverse[place][:, None]
            np.fmax(most[0], found[-1], out=most[0])
            if tested[place, :-1].any():
                np.fmax(most[1], np.fmax.reduce(found[:-1], axis=0), out=most[1])
        for each, row in zip(largest, most, strict=True):
            each.append(row)
    return (np.concatenate(largest[0]), np.concatenate(largest[1])), reached


def _chunks(sample: Sample, classes: int, rules: Rules) -> Iterator[Floats]:
    rows = max(16, _CELLS // max(1, int(sample.counts.sum()) * classes))
    for flips in signs(sample.units, rules.resamples, rules.seed):
        for start in range(0, len(flips), rows):
            yield flips[start : start + rows]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Numerators and denominators of all models, float64 [M, K, G], M the seeds of all variants; and each variant's first model."""

    numerators: Floats
    denominators: Floats
    starts: tuple[int, ...]

    @classmethod
    def of(cls, sample: Sample, columns: Sequence[int]) -> _Sums:
        chosen, counts = list(columns), sample.counts.tolist()
        numerators, denominators = (
            np.ascontiguousarray(np.concatenate([each[..., chosen] for each in part]).transpose(0, 2, 1))
            for part in (sample.numerators, sample.denominators)
        )
        return cls(numerators, denominators, tuple(sum(counts[:i]) for i in range(len(counts))))

    def exchange(self, flips: Floats) -> _Exchange:
        """Sums over units after the exchanges `flips` [R, G]."""
        shape = (*self.numerators.shape[:2], len(flips))
        numerators, denominators = (
            (each.reshape(-1, flips.shape[1]) @ flips.T).reshape(shape) for each in (self.numerators, self.denominators)
        )
        return _Exchange(self, flips, numerators, denominators)

    @cached_property
    def totals(self) -> tuple[Floats, Floats]:
        """Sums over units, float64 [M, K, 1]."""
        return self.numerators.sum(axis=2, keepdims=True), self.denominators.sum(axis=2, keepdims=True)


@dataclass(frozen=True, eq=False)
class _Exchange:
    """Signs `flips` float64 [R, G], and signed sums over units of all models, float64 [M, K, R]."""

    sums: _Sums
    flips: Floats
    numerators: Floats
    denominators: Floats

    def differences(self, sample: Sample, columns: Sequence[int], pair: tuple[int, int], found: Estimate) -> Floats:
        """Differences of a pair after each exchange, float64 [C, R]: of the classes and, last, of the mean.

        If the numbers of seeds differ, seeds can't be exchanged one by one; the signs of pseudo-values are changed instead.
        """
        (i, j), flips = pair, self.flips
        count = int(sample.counts[i])
        if count != sample.counts[j]:
            return np.asarray((flips @ (found.pseudo / len(found.pseudo))).T)
        if sample.masked(i, j):
            (a, b), (c, d) = ([x[..., list(columns)].swapaxes(1, 2) for x in each] for each in sample.pair(i, j))
            totals = [(a + c).sum(axis=2, keepdims=True), (b + d).sum(axis=2, keepdims=True)]
            swapped = [(a - c) @ flips.T, (b - d) @ flips.T]
        else:
            first, second = (slice(self.sums.starts[v], self.sums.starts[v] + count) for v in pair)
            totals = [each[first] + each[second] for each in self.sums.totals]
            swapped = [each[first] - each[second] for each in (self.numerators, self.denominators)]
        classes = np.zeros((len(columns), len(flips)))
        for s in range(count):
            classes += exchanged((totals[0][s], totals[1][s]), (swapped[0][s], swapped[1][s]))
        classes /= count
        return np.concatenate([classes, classes.mean(axis=0, keepdims=True)])
