"""Each standard error against its definition, in loops over pairs of pairs; the identities between them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from strategies import KINDS, dummies, pair_table, run_table, seeds

from engine.estimate.estimate import Estimate
from engine.estimate.terms import column_terms
from engine.infer.errors import Covariance, covariances
from engine.infer.intervals import intervals
from engine.notes import Note

EXACT = {"rtol": 1e-11, "atol": 1e-13}  # differences of sums of some hundred products

Pair = tuple[int, int]


def fit_of(pairs: list[Pair], psi: np.ndarray, **changes: Any) -> Estimate:
    """A fit whose pair influences are ``psi`` [pair, K]; the rest of it is arbitrary but fixed."""
    n_units, k = 1 + max(max(pair) for pair in pairs), psi.shape[1]
    first, second = np.zeros((2, n_units, k))
    for (i, j), own in zip(pairs, psi, strict=True):
        first[i] += own
        second[j] += own
    fields: dict[str, Any] = {
        "terms": column_terms(f"x{n}" for n in range(k)),
        "values": np.linspace(-1, 2, k),
        "city_first": first,
        "city_second": second,
        "without_city": np.random.default_rng(0).normal(size=(n_units, k)),
        **dict.fromkeys(("pair_meat", "reciprocal_meat"), np.full((k, k), np.nan)),
        "residual_path": np.zeros(k + 1),
        "weight_path": np.zeros((k + 1, k)),
        "n_obs": 10 * len(pairs),
        "n_pairs": len(pairs),
        "n_units": len({unit for pair in pairs for unit in pair}),
        "n_first": len({i for i, _ in pairs}),
        "n_second": len({j for _, j in pairs}),
        "n_parameters": k + 10,
        "n_parameters_city": k + 10,
        "r2": 0.5,
        "r2_within": 0.1,
    }
    return Estimate(**{**fields, **changes})


def sums(pairs: list[Pair], psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products of each pair with itself, and with its reverse where there is one."""
    place = {pair: n for n, pair in enumerate(pairs)}
    own = sum(np.outer(one, one) for one in psi)
    back = [np.outer(psi[n], psi[place[j, i]]) for (i, j), n in place.items() if (j, i) in place]
    return own, sum(back, np.zeros_like(own))


def with_meat(fit: Estimate, pairs: list[Pair], psi: np.ndarray) -> Estimate:
    pair_meat, reciprocal_meat = sums(pairs, psi)
    return replace(fit, pair_meat=pair_meat, reciprocal_meat=reciprocal_meat)


def of(fit: Estimate, pairs: list[Pair], psi: np.ndarray) -> dict[str, Covariance]:
    return {covariance.kind: covariance for covariance in covariances(with_meat(fit, pairs, psi), KINDS)}


def over_pairs(pairs: list[Pair], psi: np.ndarray, linked: Any) -> np.ndarray:
    """Sum of psi_p psi_q' over ordered pairs (p, q) that ``linked`` says are dependent."""
    both = product(zip(pairs, psi, strict=True), repeat=2)
    return sum(np.outer(one, other) for (p, one), (q, other) in both if linked(p, q))


def random_pairs(seed: int, *, directed: bool, n: int = 9) -> tuple[list[Pair], np.ndarray]:
    """Some of the pairs of nine units (some one way only), and their influences on two coefficients."""
    rng = np.random.default_rng(seed)
    everything = list(permutations(range(n), 2) if directed else combinations(range(n), 2))
    pairs = [pair for pair in everything if rng.random() < 0.8]
    unit = rng.normal(size=(n, 2))
    return pairs, np.array([unit[i] + unit[j] for i, j in pairs]) + rng.normal(size=(len(pairs), 2))


# -- definitions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
@given(seed=seeds)
def test_pair_two_way_and_dyadic_in_loops(directed: bool, seed: int) -> None:
    pairs, psi = random_pairs(seed, directed=directed)
    fit = fit_of(pairs, psi)
    found = of(fit, pairs, psi)
    parameters = (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    fewest = min(fit.n_first, fit.n_second)
    meats = {
        "pair": (over_pairs(pairs, psi, lambda p, q: p == q), fit.n_pairs),
        "city": (over_pairs(pairs, psi, lambda p, q: p[0] == q[0] or p[1] == q[1]), fewest),
        "dyadic": (over_pairs(pairs, psi, lambda p, q: bool(set(p) & set(q))), fit.n_units),
    }
    for kind, (meat, clusters) in meats.items():
        assert found[kind].dof == clusters - 1
        if (np.diag(meat) > 0).all():  # else it is repaired, which has tests of its own
            np.testing.assert_allclose(
                found[kind].matrix, meat * clusters / (clusters - 1) * parameters, **EXACT
            )
            assert found[kind].notes == ()
        else:
            assert found[kind].notes[0].code in ("variance_negative", "variance_not_positive")


def test_the_loops_above_mostly_meet_positive_matrices() -> None:
    """The property test is not an empty one: of 40 worlds nearly all have positive variances."""
    clean = 0
    for seed in range(40):
        pairs, psi = random_pairs(seed, directed=False)
        clean += all(one.notes == () for one in of(fit_of(pairs, psi), pairs, psi).values())
    assert clean >= 30


@given(seeds)
def test_jackknife_in_loops(seed: int) -> None:
    pairs, psi = random_pairs(seed, directed=False)
    without = np.random.default_rng(seed).normal(size=(9, 2))
    fit = fit_of(pairs, psi, without_city=without)
    expected = np.zeros((2, 2))
    for unit in range(9):
        for a, b in product(range(2), repeat=2):
            expected[a, b] += (without[unit, a] - fit.values[a]) * (without[unit, b] - fit.values[b])
    n = fit.n_units
    found = of(fit, pairs, psi)["jackknife"]
    np.testing.assert_allclose(found.matrix, expected * (n - 1) / n, **EXACT)
    assert (found.dof, found.notes) == (n - 1, ())


def test_jackknife_says_which_coefficients_it_loses() -> None:
    """Two samples do not identify x1: its variance and covariance are unknown, that of x0 is not."""
    pairs, psi = random_pairs(1, directed=False)
    without = np.ones((9, 2))
    without[[2, 5], 1] = np.nan
    fit = fit_of(pairs, psi, without_city=without)
    found = of(fit, pairs, psi)["jackknife"]
    assert found.notes == (Note.of("leave_out_unidentified", count=2, terms=["x1"]),)
    expected = 9 * (1 - fit.values[0]) ** 2 * (fit.n_units - 1) / fit.n_units
    np.testing.assert_allclose(found.matrix, [[expected, np.nan], [np.nan, np.nan]], rtol=1e-14)


def test_pair_clusters_against_statsmodels() -> None:
    """A whole regression: statsmodels counts the pair dummies as parameters, which are nested in the clusters here."""
    frame = pair_table(4)
    estimates = run_table(frame).estimates
    found = estimates[estimates["errors"] == "pair"]
    pair = frame.groupby(["one", "other"]).ngroup().to_numpy()
    year = dummies(frame["year"].to_numpy())
    design = np.hstack([frame[["x", "w"]], dummies(pair), year[:, 1:]])
    fit = sm.OLS(frame["y"].to_numpy(), design).fit(cov_type="cluster", cov_kwds={"groups": pair})
    n, k = len(frame), 2 + year.shape[1]
    factor = np.sqrt((n - design.shape[1]) / (n - k))
    np.testing.assert_allclose(found["estimate"], fit.params[:2], rtol=1e-11)  # least squares on 45 columns
    np.testing.assert_allclose(found["std_error"], fit.bse[:2] * factor, rtol=1e-11)


# -- identities (methods, 5.1) -----------------------------------------------------------------------------


@given(seeds)
def test_dyadic_is_two_way_and_the_products_across_positions(seed: int) -> None:
    pairs, psi = random_pairs(seed, directed=False)
    fit = fit_of(pairs, psi)
    two_way = over_pairs(pairs, psi, lambda p, q: p[0] == q[0] or p[1] == q[1])
    dyadic = over_pairs(pairs, psi, lambda p, q: bool(set(p) & set(q)))
    across = fit.city_first.T @ fit.city_second
    np.testing.assert_allclose(dyadic, two_way + across + across.T, **EXACT)


def test_over_all_orders_of_the_cities_two_way_sees_two_thirds() -> None:
    """Of the covariance between pairs that share a city; the share is exact over the 24 orders of four cities."""
    pairs, psi = list(combinations(range(4), 2)), np.array([[1.0], [2.0], [0.5], [3.0], [1.5], [2.5]])
    own = float(sums(pairs, psi)[0][0, 0])
    fit = fit_of(pairs, psi)
    parameters, clusters = (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters), 3 / 2
    found = []
    for order in permutations(range(4)):
        renamed = [tuple(sorted((order[i], order[j]))) for i, j in pairs]
        two_way = of(fit_of(renamed, psi), renamed, psi)["city"].matrix[0, 0]
        found.append(two_way / parameters / clusters - own)
    dyadic = of(fit, pairs, psi)["dyadic"].matrix[0, 0] / parameters / (4 / 3) - own
    np.testing.assert_allclose(np.mean(found), 2 / 3 * dyadic, rtol=1e-13)
    assert np.ptp(found) > 0.1 * dyadic  # a single order is arbitrary


def test_independent_pairs_have_one_error_by_definition() -> None:
    """Where no two pairs share a city, pair, two-way and dyadic meats are one and the same."""
    pairs, psi = [(0, 1), (2, 3), (4, 5)], np.array([[1.0], [-2.0], [0.5]])
    fit = fit_of(pairs, psi)
    found = of(fit, pairs, psi)
    parameters = (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    for kind, clusters in (("pair", 3), ("city", 3), ("dyadic", 6)):
        expected = 5.25 * clusters / (clusters - 1) * parameters
        np.testing.assert_allclose(found[kind].matrix, [[expected]], rtol=1e-14)


# -- what is not positive ----------------------------------------------------------------------------------


FOUR = list(combinations(range(4), 2))


def test_a_negative_two_way_variance_clips_negative_eigenvalues_and_leaves_the_other_variance() -> None:
    """The meat is [[-16, -5], [-5, 18]]: eigenvalues 1 -+ sqrt 314, of which the upper one stays; so does the 18."""
    psi = np.array([[1.0, -2.0], [3.0, 3.0], [-3.0, -2.0], [-2.0, -2.0], [1.0, -1.0], [0.0, -2.0]])
    fit = fit_of(FOUR, psi)
    found = of(fit, FOUR, psi)["city"]
    top = 1 + np.sqrt(314)
    vector = np.array([-5.0, top + 16]) / np.hypot(5, top + 16)
    factor = 3 / 2 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    back = np.diag([1.0, np.sqrt(18 / (top * vector[1] ** 2))])
    expected = factor * top * back @ np.outer(vector, vector) @ back
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-13)
    assert found.notes == (Note.of("variance_negative", terms=["x0"]),)


def test_an_indefinite_covariance_of_positive_variances_is_kept() -> None:
    """The dyadic meat is [[24, 25], [25, 22]]: no error shown depends on its determinant."""
    psi = np.array([[0.0, 0.0], [2.0, 3.0], [-3.0, -2.0], [2.0, 3.0], [-2.0, -1.0], [3.0, -1.0]])
    fit = fit_of(FOUR, psi)
    found = of(fit, FOUR, psi)["dyadic"]
    factor = 4 / 3 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    np.testing.assert_allclose(found.matrix, factor * np.array([[24.0, 25.0], [25.0, 22.0]]), rtol=1e-14)
    assert found.notes == ()


def test_a_negative_dyadic_variance_shows_the_city_sums_of_its_term_alone() -> None:
    """The meat is diag(-13, 23), the city sums diag(6, 46)."""
    psi = np.array([[2.0, -2.0], [-3.0, -1.0], [-1.0, 2.0], [0.0, -3.0], [-1.0, 1.0], [2.0, 2.0]])
    fit = fit_of(FOUR, psi)
    found = of(fit, FOUR, psi)["dyadic"]
    factor = 4 / 3 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    np.testing.assert_allclose(found.matrix, factor * np.diag([6.0, 23.0]), rtol=1e-14)
    assert found.notes == (Note.of("variance_not_positive", terms=["x0"]),)


@pytest.mark.parametrize("left", [0.0, 2e-6])
def test_city_sums_stand_in_for_a_dyadic_variance_that_is_not_positive(left: float) -> None:
    """A star: the centre's sum is a first-order condition, so city sums equal what is subtracted, up to rounding.

    The variance is left^2: zero, or 2e-13 of the city sums.
    """
    pairs = [(0, other) for other in range(1, 5)]
    psi = np.array([[1.0], [-2.0], [3.0], [-2.0 + left]])
    fit = fit_of(pairs, psi, n_first=2)
    found = of(fit, pairs, psi)["dyadic"]
    factor = 5 / 4 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters)
    np.testing.assert_allclose(found.matrix, [[((psi**2).sum() + left**2) * factor]], rtol=1e-14)
    assert found.notes == (Note.of("variance_not_positive", terms=["x0"]),)


def test_two_way_needs_two_clusters_each_way() -> None:
    pairs = [(0, other) for other in range(1, 5)]
    psi = np.array([[1.0], [-2.0], [3.0], [1.0]])
    fit = fit_of(pairs, psi)
    found = of(fit, pairs, psi)["city"]
    np.testing.assert_array_equal(found.matrix, [[np.nan]])
    assert found.notes == (Note("one_city_in_every_pair"),)
    assert np.isnan([getattr(intervals(fit, found, 0.95), name) for name in ("p_value", "low", "high")]).all()


# -- intervals ---------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.floats(0.51, 0.999))
def test_intervals_are_students(dof: int, confidence: float) -> None:
    pairs, psi = random_pairs(0, directed=False)
    fit = fit_of(pairs, psi)
    found = intervals(fit, Covariance("pair", np.array([[0.25, 0.1], [0.1, 4.0]]), dof), confidence)
    se = np.array([0.5, 2.0])
    low, high = student.interval(confidence, dof, fit.values, se)
    np.testing.assert_allclose(found.statistic, fit.values / se, rtol=1e-15)
    np.testing.assert_allclose(found.p_value, 2 * student.sf(abs(fit.values / se), dof), rtol=1e-12)
    margins = [
        [fit.values - of_low, of_high - fit.values]
        for of_low, of_high in ((found.low, found.high), (low, high))
    ]
    np.testing.assert_allclose(
        *margins, rtol=1e-9
    )  # scipy's ppf is a search; an end near zero has fewer digits
