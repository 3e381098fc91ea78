"""Holm's adjusted p beside those of statsmodels."""

import numpy as np
from statsmodels.stats.multitest import multipletests

from segengine.comparison.statistics.permutation import holm


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 40):
        p = np.round(rng.random(count) ** 3, 2)
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
