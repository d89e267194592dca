"""The fit against least squares on explicit pair and year dummies, refitted without each city."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
import scipy.linalg
import statsmodels.api as sm
from hypothesis import given
from strategies import Dyads, compiled, dummies, dyads, long_rows, residualised, seeds

from engine.errors import InputError
from engine.estimate.estimate import Estimate
from engine.estimate.fit import Stage, fit, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Regression, Term
from engine.pairs.map_reduce import CellBlock, MomentPass, ScorePass, city_moments, merge_moments, score_sums
from engine.pairs.table_design import TableDesign

X, W = Term("x"), Term("w")
NAMES = (X, W)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}  # least squares on some 30 dummies keeps eleven digits


def stage_of(data: Dyads) -> tuple[MomentPass, Stage]:
    design = TableDesign(data.i, data.j, data.values, data.n_units, directed=False)
    setting = MomentPass(design, design.complete)
    moments = reduce(merge_moments, (city_moments(setting, task) for task in design.tasks()))
    none = np.zeros((1, 1, design.n_years, 0))
    return setting, stage(normal_equations(moments, design.classes, terms=NAMES, table=none))


def fitted(data: Dyads, terms: tuple[Term, ...] = NAMES) -> Estimate:
    return fit(stage_of(data)[1], Regression(terms))


def blocks(seed: int) -> Dyads:
    """Pairs with city 0 to 3 are seen in the first three years, the others in the last three: two components."""
    data = dyads(seed, n_units=8, n_years=6, missing=0.1)
    values = np.array(data.values)
    low, high = np.maximum(data.i, data.j) <= 3, np.minimum(data.i, data.j) >= 4
    values[low, 3:], values[high, :3], values[~low & ~high] = np.nan, np.nan, np.nan
    return Dyads(data.i, data.j, values, data.n_units)


def holes(seed: int) -> Dyads:
    """Two years, the first among them, in which nothing is observed."""
    data = dyads(seed, n_years=7)
    values = np.array(data.values)
    values[:, [0, 4]] = np.nan
    return Dyads(data.i, data.j, values, data.n_units)


def lone_year(seed: int) -> Dyads:
    """The last year is seen in the pairs of city 2 only, so that no sample without it has that year."""
    data = dyads(seed)
    values = np.array(data.values)
    values[(data.i != 2) & (data.j != 2), -1] = np.nan
    return Dyads(data.i, data.j, values, data.n_units)


WORLDS = {
    "balanced": lambda seed: dyads(seed, missing=0.0),
    "missing": dyads,
    "blocks": blocks,
    "empty years": holes,
    "lone year": lone_year,
}
worlds = pytest.mark.parametrize("world", WORLDS)


def of_full_rank(columns: np.ndarray) -> np.ndarray:
    """As many columns as span the same: an oracle should not hang on how a library treats a deficient rank."""
    _, triangle, order = scipy.linalg.qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return columns[:, np.sort(order[: np.sum(sizes > 1e-10 * sizes[0])])]


@worlds
@compiled
@given(seed=seeds)
def test_against_least_squares_on_dummies(world: str, seed: int) -> None:
    data = WORLDS[world](seed)
    found = fitted(data)
    pair, year, x, y = long_rows(data)
    effects = of_full_rank(np.hstack([dummies(pair), dummies(year)]))
    full, bare = sm.OLS(y, np.hstack([x, effects])).fit(), sm.OLS(y, effects).fit()
    np.testing.assert_allclose(found.values, full.params[:2], **CLOSE)
    np.testing.assert_allclose(found.r2, 1 - full.ssr / full.centered_tss, **CLOSE)
    np.testing.assert_allclose(found.r2_within, 1 - full.ssr / bare.ssr, **CLOSE)
    n_years = data.values.shape[1]
    np.testing.assert_allclose(found.weight_path[n_years:-1], full.normalized_cov_params[:2, :2], **CLOSE)
    counts = (found.n_obs, found.n_pairs, found.n_parameters)
    assert counts == (len(y), len(np.unique(pair)), 2 + len(np.unique(year)))


@worlds
@compiled
@given(seed=seeds)
def test_influences_are_bread_times_scores(world: str, seed: int) -> None:
    data = WORLDS[world](seed)
    setting, shared = stage_of(data)
    found = fit(shared, Regression(NAMES))
    pair, year, x, y = long_rows(data)
    left, outcome = residualised(pair, year, x), residualised(pair, year, y[:, None])[:, 0]
    rows = left * (outcome - left @ found.values)[:, None]
    psi = np.zeros((len(data.i), 2))
    np.add.at(psi, pair, rows @ np.linalg.inv(left.T @ left))
    for side, position in ((found.city_first, data.i), (found.city_second, data.j)):
        expected = np.zeros((data.n_units, 2))
        np.add.at(expected, position, psi)
        np.testing.assert_allclose(side, expected, rtol=1e-9, atol=1e-12)  # scores cancel over the pairs
    order = np.r_[0 : len(found.residual_path)]  # no terms: the kernel's order is the fit's
    block = CellBlock(
        np.zeros((1, 1, data.values.shape[1], 0)), found.residual_path[order, None], found.weight_path
    )
    own = sum(score_sums(ScorePass(setting, block), task).pair_meat[0] for task in setting.design.tasks())
    np.testing.assert_allclose(own, psi.T @ psi, rtol=1e-9, atol=1e-13)


@worlds
@compiled
@given(seed=seeds)
def test_leave_one_out_is_a_refit_without_the_city(world: str, seed: int) -> None:
    data = WORLDS[world](seed)
    found = fitted(data).without_city
    for unit in range(data.n_units):
        rest = data.without(unit)
        pair, year, x, y = long_rows(rest)
        left = residualised(pair, year, np.column_stack([x, y]))
        expected = np.linalg.lstsq(left[:, :2], left[:, 2], rcond=None)[0]
        np.testing.assert_allclose(found[unit], expected, rtol=1e-9, atol=1e-11)


def test_a_cell_with_fewer_regressors_is_the_same_from_a_common_stage() -> None:
    data = dyads(11)
    alone = Dyads(data.i, data.j, data.values[:, :, [1, 1, 2]], data.n_units)
    alone.values[data.observed == 0] = np.nan  # the same rows
    found, expected = fitted(data, (W,)), fitted(alone, (X,))
    for name in ("values", "city_first", "city_second", "without_city", "r2", "r2_within"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **CLOSE)
    assert found.n_parameters == expected.n_parameters


def test_order_of_the_regressors() -> None:
    data = dyads(12)
    one, other = fitted(data), fitted(data, NAMES[::-1])
    np.testing.assert_allclose(other.values, one.values[::-1], **CLOSE)
    years_only = np.s_[: data.values.shape[1]]
    np.testing.assert_allclose(other.weight_path[years_only], one.weight_path[years_only, ::-1], **CLOSE)
    np.testing.assert_allclose(other.city_second, one.city_second[:, ::-1], **CLOSE)


def test_counts_of_cities_by_position() -> None:
    """Cities 0 and 6 lose every pair; then 5 of 7 remain, four of which stand first and four second."""
    data = dyads(13, missing=0.0)
    values = np.array(data.values)
    values[np.isin(data.i, (0, 6)) | np.isin(data.j, (0, 6)), 1:] = np.nan  # one year is no year
    found = fitted(Dyads(data.i, data.j, values, data.n_units))
    assert (found.n_units, found.n_first, found.n_second, found.n_pairs, found.n_obs) == (5, 4, 4, 10, 50)


def test_a_city_that_identifies_a_coefficient_alone() -> None:
    """w varies in the pairs of city 2 only: without them there is no coefficient of w, and that of x stands alone."""
    data = dyads(14, missing=0.0)
    values = np.array(data.values)
    values[(data.i != 2) & (data.j != 2), :, 1] = 0.0
    data = Dyads(data.i, data.j, values, data.n_units)
    found = fitted(data).without_city
    np.testing.assert_array_equal(np.isnan(found), np.outer(np.arange(7) == 2, [False, True]))
    rest = data.without(2)
    pair, year, x, y = long_rows(rest)
    left = residualised(pair, year, np.column_stack([x[:, 0], y]))
    np.testing.assert_allclose(found[2, 0], left[:, 0] @ left[:, 1] / (left[:, 0] @ left[:, 0]), rtol=1e-9)


@compiled
@given(seeds)
def test_a_star_without_its_centre_has_no_coefficient(seed: int) -> None:
    """All pairs hold city 0; what subtraction leaves of them is rounding, and no sample."""
    data = dyads(seed)
    star = data.i == 0
    found = fitted(Dyads(data.i[star], data.j[star], data.values[star], data.n_units)).without_city
    np.testing.assert_array_equal(np.isnan(found), np.outer(np.arange(7) == 0, [True, True]))


@pytest.mark.parametrize("missing", [0.0, 0.3])
@compiled
@given(seed=seeds)
def test_a_constant_of_each_pair_is_refused_however_it_rounds(missing: float, seed: int) -> None:
    """Log distance, say: its mean over the years rounds, and what is left must not pass for variation."""
    data = dyads(seed, missing=missing)
    distance = np.random.default_rng(seed).uniform(5, 9, len(data.i))
    values = np.array(data.values)
    values[:, :, 1] = np.where(np.isfinite(values[:, :, 1]), distance[:, None], np.nan)
    with pytest.raises(InputError, match="'w' has no variation left once pair and year effects are removed"):
        fitted(Dyads(data.i, data.j, values, data.n_units))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda x, t: np.ones_like(x) * x[:, :1], "'w' has no variation left"),
        (lambda x, t: np.ones_like(x) * t, "'w' has no variation left"),
        (lambda x, t: x[:, :1] + 3 * t, "'w' has no variation left"),
        (lambda x, t: 2 * x + x[:, :1] - t, "'w' is collinear with x once pair and year effects are removed"),
    ],
    ids=["constant in a pair", "a function of the year", "both", "x up to effects"],
)
def test_what_the_effects_explain_is_refused_by_name(column: object, message: str) -> None:
    data = dyads(15, missing=0.0)
    x = data.values[:, :, 0]
    values = np.stack([x, column(x, np.arange(5.0) ** 2), data.values[:, :, 2]], axis=2)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        fitted(Dyads(data.i, data.j, values, data.n_units))


def test_a_sample_of_single_years_is_refused() -> None:
    data = dyads(16)
    values = np.array(data.values)
    values[:, 1:] = np.nan
    with pytest.raises(InputError, match="no pair with at least two observed years is left"):
        fitted(Dyads(data.i, data.j, values, data.n_units))
