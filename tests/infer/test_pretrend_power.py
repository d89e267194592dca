"""Trends that tests before adoption find, against simulation, SciPy and formulas of one dimension."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from engine.infer.honest.moment_inequalities import Coefficients
from engine.infer.honest.restrictions import EventTimes
from engine.infer.pretrend_power import detectable_trends, in_box

YEARS = EventTimes((-4, -3, -2, 0, 1), -1)


def estimates(seed: int = 2) -> Coefficients:
    random = np.random.default_rng(seed)
    root = random.standard_normal((5, 8)) * 0.1
    return Coefficients(np.zeros(5), root @ root.T, YEARS.after, np.full(2, 0.5))


@pytest.mark.parametrize("seed", range(3))
def test_boxes_have_the_probability_and_the_mean_of_draws(seed: int) -> None:
    random = np.random.default_rng(seed)
    root = random.standard_normal((4, 6))
    mean, matrix = random.standard_normal(4), root @ root.T
    low, high = -1.5 * np.ones(4), np.array([2.0, 3.0, 1.5, 4.0])
    probability, inside = in_box(mean, matrix, low, high)
    expected = stats.multivariate_normal(mean, matrix, seed=0).cdf(high, lower_limit=low)
    assert probability == pytest.approx(float(expected), abs=2e-4)
    draws = random.multivariate_normal(mean, matrix, 400_000)
    kept = draws[((draws >= low) & (draws <= high)).all(axis=1)]
    error = kept.std(axis=0) / np.sqrt(len(kept))
    assert (np.abs(kept.mean(axis=0) - inside) < 4 * error + 1e-3).all()


def test_slopes_are_found_as_often_as_said_and_bias_the_effect_as_said() -> None:
    """By 400,000 draws of the estimates with each of the slopes."""
    coefficients, random = estimates(), np.random.default_rng(4)
    distance = np.array(YEARS.times) - YEARS.reference
    before, matrix = ~YEARS.after, coefficients.matrix
    inverse = np.linalg.inv(matrix[np.ix_(before, before)])
    for trend in detectable_trends(coefficients, YEARS, confidence=0.95, dof=1e7, inflation=1.0):
        draws = random.multivariate_normal(trend.slope * distance, matrix, 400_000)
        leads = draws[:, before]
        if trend.test == "single":
            found = (np.abs(leads) > 1.959964 * np.sqrt(np.diag(matrix))[before]).any(axis=1)
        else:
            found = np.einsum("ni,ij,nj->n", leads, inverse, leads) > stats.chi2.ppf(0.95, 3)
        assert found.mean() == pytest.approx(trend.power, abs=4e-3)
        effect = draws[:, YEARS.after].mean(axis=1)
        assert effect.mean() == pytest.approx(trend.bias, abs=3e-3)
        if trend.test == "single":
            passed = effect[~found]
            assert passed.mean() == pytest.approx(
                trend.bias_if_passed, abs=4 * passed.std() / np.sqrt(len(passed)) + 1e-3
            )


def test_one_year_before_adoption_is_a_normal_variable() -> None:
    years = EventTimes((-2, 0), -1)
    coefficients = Coefficients(np.zeros(2), np.array([[0.04, 0.01], [0.01, 0.09]]), years.after, np.ones(1))
    half, four_fifths = detectable_trends(coefficients, years, confidence=0.95, dof=30.0, inflation=1.0)

    def missed(slope: float) -> float:
        return float(stats.norm.cdf(1.959964 + slope / 0.2) - stats.norm.cdf(-1.959964 + slope / 0.2))

    for trend in (half, four_fifths):
        expected = optimize.brentq(lambda slope, power=trend.power: 1 - missed(slope) - power, 0, 5)
        assert trend.slope == pytest.approx(expected, rel=1e-5)
        truncated = stats.truncnorm(
            -1.959964 + expected / 0.2, 1.959964 + expected / 0.2, loc=-expected, scale=0.2
        )
        moved = 0.01 / 0.04 * (truncated.mean() + expected)
        assert trend.bias_if_passed == pytest.approx(expected + moved, rel=1e-3)


def test_joint_tests_use_the_errors_of_the_estimates() -> None:
    """Inflated errors are those of single tests; the denominator of F knows its degrees of freedom itself."""
    plain = estimates()
    inflated = Coefficients(plain.values, 1.3 * plain.matrix, plain.after, plain.weights)
    slopes = [
        [trend.slope for trend in detectable_trends(each, YEARS, confidence=0.95, dof=20.0, inflation=size)]
        for each, size in ((plain, 1.0), (inflated, 1.3))
    ]
    np.testing.assert_allclose(slopes[1][2:], slopes[0][2:], rtol=1e-8)
    np.testing.assert_allclose(slopes[1][:2], np.sqrt(1.3) * np.array(slopes[0][:2]), rtol=1e-6)
