"""Step-down p-values against pyfixest's, statsmodels' and their definition; their size in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from pyfixest.estimation.post_estimation.multcomp import _get_rwolf_pval
from statsmodels.stats.multitest import multipletests

from engine.infer.step_down import holm_p, step_down_p
from engine.infer.summary import permutation_p


def ratios(seed: int, n_draws: int = 99) -> tuple[np.ndarray, np.ndarray]:
    """Dependent t ratios, some of them far from zero, and draws of them."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 9))
    mix = rng.normal(size=(m, m))
    return rng.normal(size=m) @ mix + rng.integers(0, 2, m) * 4, rng.normal(size=(n_draws, m)) @ mix


@pytest.mark.parametrize("seed", range(20))
def test_against_pyfixest(seed: int) -> None:
    observed, draws = ratios(seed)
    np.testing.assert_allclose(step_down_p(observed, draws), _get_rwolf_pval(observed, draws), rtol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_holm_against_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 2, size=1 + seed % 7)
    np.testing.assert_allclose(holm_p(p), multipletests(p, method="holm")[1], rtol=1e-14)


def test_one_coefficient_has_its_own_p_value() -> None:
    observed, draws = np.array([1.3]), np.random.default_rng(0).normal(size=(199, 1))
    assert step_down_p(observed, draws)[0] == permutation_p(1.3, draws[:, 0]).value
    assert step_down_p(observed, draws, exact=True)[0] == permutation_p(1.3, draws[:, 0], exact=True).value


def test_draws_that_lack_a_coefficient_do_not_count() -> None:
    observed, draws = ratios(3)
    with_gaps = np.concatenate([draws, np.where(np.arange(draws.shape[1]) == 0, np.nan, draws)])
    np.testing.assert_array_equal(step_down_p(observed, with_gaps), step_down_p(observed, draws))
    assert np.isnan(step_down_p(observed, np.full((5, len(observed)), np.nan))).all()
    assert np.isnan(step_down_p(np.append(observed, np.nan), np.ones((5, len(observed) + 1)))).all()


def test_no_coefficient_is_adjusted_to_less_than_its_own_p_value() -> None:
    """The second coefficient is missing where the first is extreme."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(199, 2)) * [1.0, 0.1]
    draws[np.abs(draws[:, 0]) > 1.8, 1] = np.nan
    observed = np.array([2.2, 0.01])
    single = np.array([permutation_p(observed[k], draws[:, k]).value for k in range(2)])
    assert step_down_p(observed, draws)[0] < single[0]
    assert (step_down_p(observed, draws, single) >= single).all()


def test_false_rejections_are_bounded_and_power_exceeds_holm() -> None:
    """Eight highly dependent coefficients of which two are far from zero: 5% of the families reject a true null."""
    rng = np.random.default_rng(7)
    n_families, n_draws, m = 2000, 199, 8
    shift = np.where(np.arange(m) < 2, 3.0, 0.0)
    false, powers = 0, np.zeros(2)
    for _ in range(n_families):
        common = rng.normal(size=(n_draws + 1, 1))
        t = np.sqrt(0.8) * common + np.sqrt(0.2) * rng.normal(size=(n_draws + 1, m))
        observed, draws = t[0] + shift, t[1:]
        single = np.array([permutation_p(observed[k], draws[:, k]).value for k in range(m)])
        adjusted, holm = step_down_p(observed, draws), holm_p(single)
        false += (adjusted[2:] <= 0.05).any()
        powers += [(adjusted[:2] <= 0.05).mean(), (holm[:2] <= 0.05).mean()]
    assert 0.035 < false / n_families < 0.06
    assert powers[0] > 1.1 * powers[1]
