"""Critical values of several coefficients together, against exact ones and draws, and the bands of event studies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from strategies import run_panel

from engine.infer.simultaneous import sidak_critical_values, simultaneous_critical_values

ACCURACY = 2e-3


def simultaneous_critical_value(matrix: np.ndarray[Any, Any], dof: float, confidence: float) -> float:
    """Where degrees of freedom do not differ, so that the values do not."""
    values = simultaneous_critical_values(matrix, np.full(len(matrix), float(dof)), confidence)
    np.testing.assert_array_equal(values, values[0])
    return float(values[0])


@pytest.mark.parametrize("k", [2, 4, 10])
def test_independent_coefficients_have_sidaks_value(k: int) -> None:
    value = simultaneous_critical_value(np.diag(np.arange(1.0, k + 1)), 1e7, 0.95)
    assert value == pytest.approx(stats.norm.ppf((1 + 0.95 ** (1 / k)) / 2), rel=ACCURACY)


@pytest.mark.parametrize("dof", [1.5, 8.5, 40.0])
@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.6])
def test_two_coefficients_have_the_value_of_an_integral(correlation: float, dof: float) -> None:
    """P(|t_1| <= c, |t_2| <= c) is a mean over the angle of two normals of F's distribution function."""
    matrix = np.array([[4.0, 2 * correlation], [2 * correlation, 1.0]])
    value = simultaneous_critical_value(matrix, dof, 0.9)
    spread = np.sqrt(1 - correlation**2)

    def inside(angle: float) -> float:
        largest = max(abs(np.cos(angle)), abs(correlation * np.cos(angle) + spread * np.sin(angle)))
        return float(stats.f.cdf(value**2 / (2 * largest**2), 2, dof))

    kinks = np.arctan2(np.array([1, -1]) - correlation, spread)
    kinks = np.sort(np.concatenate([kinks % np.pi, [0.0, np.pi]]))
    parts = [integrate.quad(inside, low, high)[0] for low, high in pairwise(kinks)]
    assert sum(parts) / np.pi == pytest.approx(0.9, abs=1e-3)


def test_many_coefficients_have_the_quantile_of_draws() -> None:
    rng = np.random.default_rng(0)
    for k, dof in ((5, 8.5), (13, 12.0)):
        factor = rng.normal(size=(k, k + 2))
        matrix = factor @ factor.T
        root = np.linalg.cholesky(matrix / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix))))
        t = rng.normal(size=(200_000, k)) @ root.T / np.sqrt(rng.chisquare(dof, 200_000) / dof)[:, None]
        value = simultaneous_critical_value(matrix, dof, 0.95)
        assert (np.abs(t).max(axis=1) <= value).mean() == pytest.approx(0.95, abs=0.0015)


def test_limits() -> None:
    single = stats.t.ppf(0.975, 10)
    assert simultaneous_critical_value(np.array([[3.0]]), 10, 0.95) == pytest.approx(single)
    assert simultaneous_critical_value(np.ones((3, 3)), 10, 0.95) == pytest.approx(single)  # they move as one
    assert np.isnan(simultaneous_critical_value(np.diag([1.0, 0.0]), 10, 0.95))
    assert np.isnan(simultaneous_critical_value(np.diag([1.0, np.nan]), 10, 0.95))
    signs = np.array([[1.0, -0.3], [-0.3, 1.0]])
    positive = simultaneous_critical_value(abs(signs), 9, 0.95)
    assert simultaneous_critical_value(signs, 9, 0.95) == pytest.approx(positive, rel=ACCURACY)


def test_a_matrix_with_negative_eigenvalues_has_a_value_between_those_of_one_and_of_any() -> None:
    """As dyadic sums may be; correlations of more than one among them."""
    rng = np.random.default_rng(2)
    for k in (2, 3, 8):
        for _ in range(50):
            matrix = rng.normal(size=(k, k))
            matrix = matrix + matrix.T
            np.fill_diagonal(matrix, rng.uniform(0.1, 1, k))
            value = simultaneous_critical_value(matrix, 9.0, 0.95)
            (sidak, *_) = sidak_critical_values(np.full(k, 9.0), 0.95)
            assert stats.t.isf(0.025, 9) * (1 - 1e-9) <= value <= sidak * (1 + ACCURACY)


def test_degrees_of_freedom_of_one_coefficient_do_not_widen_the_others() -> None:
    """Six coefficients, one of which has next to none: the level is that of the others, its own value is wide."""
    matrix = 0.3 + 0.7 * np.eye(6)
    alike = simultaneous_critical_values(matrix, np.full(6, 20.0), 0.95)
    mixed = simultaneous_critical_values(matrix, np.array([20.0] * 5 + [1.0]), 0.95)
    np.testing.assert_array_equal(mixed[:5], alike[:5])
    assert mixed[5] == pytest.approx(stats.t.isf(stats.t.sf(alike[0], 20), 1), rel=1e-9)
    assert mixed[5] > 10 * mixed[0]


def test_units_of_the_coefficients_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    factor, units = rng.normal(size=(6, 9)), 10.0 ** rng.integers(-8, 8, 6)
    matrix = factor @ factor.T
    scaled = matrix * np.outer(units, units)
    assert simultaneous_critical_value(scaled, 7, 0.95) == pytest.approx(
        simultaneous_critical_value(matrix, 7, 0.95), rel=1e-9
    )


@pytest.mark.parametrize("estimator", ["event_study", "sun_abraham", "extended_twfe"])
def test_bands_of_an_event_study_are_made_of_its_covariance(estimator: str) -> None:
    kinds = ["pair", "dyadic_cr2", "jackknife"]
    results = run_panel(worlds.panel(), model={"estimator": estimator, "window": [-2, 2], "errors": kinds})
    events, covariance = results.event_study, results.frames["covariance"]
    for kind in kinds:
        rows = events[(events["errors"] == kind) & (events["std_error"] > 0)]
        square = covariance[covariance["errors"] == kind].pivot(
            index="term", columns="other", values="covariance"
        )
        matrix = square.loc[rows["term"], rows["term"]].to_numpy()
        of_kind = results.estimates[(results.estimates["errors"] == kind)].set_index("term")
        dof = of_kind.loc[rows["term"], "dof"].to_numpy(float)
        critical = simultaneous_critical_values(matrix, dof, 0.95)
        for end, sign in (("low", -1), ("high", 1)):
            expected = rows["estimate"] + sign * critical * rows["std_error"]
            pd.testing.assert_series_equal(rows[f"band_{end}"], expected, check_names=False, rtol=1e-9)
            assert (sign * rows[f"band_{end}"] > sign * rows[f"conf_{end}"]).all()
    base = events[events["std_error"] == 0]
    assert (base[["band_low", "band_high"]] == 0).all(axis=None)


def test_a_replaced_variance_leaves_the_band_that_needs_no_correlations() -> None:
    """One of the event years has city sums for a variance: no matrix is behind the errors then."""
    without = 0
    for seed in range(12):
        model = {"estimator": "event_study", "window": [-2, 1], "errors": ["pair", "dyadic"]}
        results = run_panel(worlds.panel(seed, n_cities=8), model=model)
        replaced = [
            text for text in results.manifest["warnings"] if "policy[" in text and "not positive" in text
        ]
        rows = results.event_study[results.event_study["std_error"] > 0]
        dyadic = rows[rows["errors"] == "dyadic"]
        margin = (dyadic["band_high"] - dyadic["estimate"]) / dyadic["std_error"]
        (dof,) = results.estimates.loc[results.estimates["errors"] == "dyadic", "dof"].unique()
        sidak = stats.t.ppf((1 + 0.95 ** (1 / len(dyadic))) / 2, dof)
        if replaced:
            np.testing.assert_allclose(margin, sidak, rtol=1e-12)
        else:
            assert margin.max() < sidak * (1 + 1e-9)
        without += bool(replaced)
    assert without


def test_sidaks_value_covers_any_correlations() -> None:
    rng = np.random.default_rng(7)
    for k, dof in ((2, 3.0), (6, 9.5), (12, 40.0)):
        (sidak, *_) = sidak_critical_values(np.full(k, dof), 0.95)
        for _ in range(20):
            factor = rng.normal(size=(k, rng.integers(1, k + 2)))
            matrix = factor @ factor.T + 1e-6 * np.eye(k)
            assert simultaneous_critical_value(matrix, dof, 0.95) <= sidak * (1 + ACCURACY)
