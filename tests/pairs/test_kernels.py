"""The tile kernels: the index against its definition, the moments against literal sums, one compilation a shape."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from itertools import combinations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import compiled, dyads, pair_statistics, seeds

from engine.pairs import influence_kernels, kernels
from engine.pairs.centre import standardise
from engine.pairs.gravity import PairSample
from engine.pairs.map_reduce import (
    CellBlock,
    MomentPass,
    ScorePass,
    city_moments,
    merge_moments,
    score_sums,
)
from engine.pairs.moments import CityMoments, Layout
from engine.pairs.outcomes.synchronization import synchronization
from engine.pairs.panel_design import PanelDesign
from engine.pairs.table_design import TableDesign

N, T = 9, 8


def transform(
    z_i: np.ndarray, z_j: np.ndarray, n_years: int = T, *, look_ahead: bool = True, clip: float = 0.0
) -> np.ndarray:
    with jax.enable_x64(True):
        found = synchronization(z_i, z_j, n_years, look_ahead=look_ahead, clip=clip)
    return np.asarray(found)


def series(seed: int, n: int = N, years: int = T) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, years)).cumsum(1)


def panel(
    values: np.ndarray, *, edge: int = N, window: slice = slice(None), clip: float = 0.0
) -> PanelDesign:
    """Every pair of a panel in two classes, with two controls; missing where the series is."""
    n, years = values.shape
    rng = np.random.default_rng(n)
    inside = np.zeros(years, bool)
    inside[window] = True
    sample = PairSample((np.arange(n) % 2).astype(np.int32), np.ones((2, 2), bool))
    return PanelDesign(sample, values, inside, clip, rng.normal(size=(n, years, 2)), None, edge)


def outcomes(design: PanelDesign, *, balanced: bool) -> np.ndarray:
    """``[pair, year]`` as the kernels see it, pairs in order."""
    i, j = (np.array(side, np.int32) for side in zip(*combinations(range(design.n_units), 2), strict=True))
    layout = Layout(design.n_years, design.n_columns, balanced)
    options = kernels.KernelOptions(
        layout, 2, design.edge, bool(design.window.all()), design.clip, directed=False
    )
    z = standardise(design.series, design.window) if balanced else design.series
    with jax.enable_x64(True):
        arrays = kernels.to_device({"series": z, "window": design.window})
        return np.asarray(jax.jit(kernels.outcome_values, static_argnums=0)(options, arrays, i, j))


def passed(design: PanelDesign | TableDesign, *, balanced: bool) -> CityMoments:
    setting = MomentPass(design, balanced)
    return reduce(merge_moments, (city_moments(setting, task) for task in design.tasks()))


# -- the index ---------------------------------------------------------------------------------------------


@compiled
@given(seeds, st.integers(5, 15))
def test_textbook_formula(seed: int, n_years: int) -> None:
    """rho' = 1/2 ln[(1 + rho / (2T - 3)) / (1 - rho)], with gaps at which 1 - rho keeps ten digits."""
    rng = np.random.default_rng(seed)
    z, gap = rng.uniform(-2, 2, 50), np.exp(rng.uniform(math.log(1e-3), math.log(3.9), 50))
    rho = 1 - 0.5 * (z - (z - gap)) ** 2
    textbook = [0.5 * math.log((1 + r / (2 * n_years - 3)) / (1 - r)) for r in rho]
    # 1 - rho >= 5e-7 carries a relative error of eps / 5e-7 = 4e-10 into the logarithm.
    np.testing.assert_allclose(transform(z, z - gap, n_years), textbook, rtol=0, atol=1e-9)


@pytest.mark.parametrize("power", [1, 8, 16, 30, 39])
def test_close_series_keep_every_digit(power: int) -> None:
    """A gap of 2^-k: rho' = k ln 2 + ln(2)/2 + log1p((1 - 2^(-2k-1)) / (2T - 3)) / 2, though 1 - rho may round to 0."""
    gap = 2.0**-power
    expected = power * math.log(2) + 0.5 * math.log(2) + 0.5 * math.log1p((1 - gap**2 / 2) / (2 * T - 3))
    np.testing.assert_allclose(transform(np.array([1 + gap]), np.array([1.0])), [expected], rtol=4e-16)


def test_zero_index_is_near_zero() -> None:
    """rho = 0 at a gap of sqrt 2, where rho' = 0: one rounding of the gap is 4e-16."""
    np.testing.assert_allclose(transform(np.array([math.sqrt(2)]), np.zeros(1)), [0.0], atol=1e-15)


def test_without_look_ahead_the_lower_bound_is_left_out() -> None:
    gap = np.array([0.25, 1.0, math.sqrt(2), 40.0])
    found = transform(gap, np.zeros(4), look_ahead=False)
    np.testing.assert_allclose(found, -0.5 * np.log(gap**2 / 2), rtol=1e-15, atol=1e-15)


@compiled
@given(seeds)
def test_mean_over_the_years_is_the_correlation(seed: int) -> None:
    values = series(seed)
    z = standardise(values, np.ones(T, bool))
    rho = 1 - 0.5 * (z[:, None] - z[None]) ** 2
    np.testing.assert_allclose(
        rho.mean(2), np.corrcoef(values), rtol=0, atol=1e-13
    )  # sums of 8 terms of size T
    assert rho.min() >= 3 - 2 * T - 1e-12
    np.testing.assert_array_equal(np.diagonal(rho), np.ones((T, N)))


@compiled
@given(seeds)
def test_units_and_origin_of_a_series_do_not_matter(seed: int) -> None:
    values, rng = series(seed), np.random.default_rng(seed)
    moved = rng.uniform(-5, 5, (N, 1)) + rng.uniform(0.2, 5, (N, 1)) * values
    design, other = panel(values), panel(moved)
    # z rounds at 1e-15 times (mean / spread < 100); rho' moves by that over the gap, which exceeds 1e-5 here.
    for balanced in (True, False):
        found, again = outcomes(design, balanced=balanced), outcomes(other, balanced=balanced)
        np.testing.assert_allclose(again, found, rtol=0, atol=1e-8)


# -- infinite values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_years", [3, 4, 6, 8, 10, 12, 14])
@pytest.mark.parametrize("balanced", [True, False])
def test_both_ends_are_infinite_however_they_round(n_years: int, balanced: bool) -> None:
    """Opposite spikes reach rho = 3 - 2T, proportional series rho = 1: rounding must not make them finite or NaN."""
    spike = np.zeros(n_years)
    spike[1] = 1.0
    slopes = np.array([1.0, -0.3, 1.7, -3.1e4, 0.9, -7.1])
    cities = np.linspace(-3, 3, 6)[:, None] + slopes[:, None] * spike
    found = outcomes(panel(cities), balanced=balanced)
    same = np.array([a * b > 0 for a, b in combinations(slopes, 2)])
    np.testing.assert_array_equal(found[same], np.full((same.sum(), n_years), np.inf))
    np.testing.assert_array_equal(found[~same, 1], np.full((~same).sum(), -np.inf))
    assert np.isfinite(np.delete(found[~same], 1, axis=1)).all()


@pytest.mark.parametrize("balanced", [True, False])
def test_infinite_values_are_counted_and_left_out(balanced: bool) -> None:
    values = series(4)
    values[5] = values[2]  # T infinite values
    values[7, :], values[8, :] = 0.0, 0.0
    values[7, 3], values[8, 3] = 1.0, -2.0  # one more
    found = passed(panel(values, edge=4), balanced=balanced)
    assert found.infinite == T + 1
    if not balanced:
        assert np.isfinite(found.first).all()
        pairs, rows = found.first[:, :, :2].sum((0, 1))
        assert (pairs, rows) == (math.comb(N, 2) - 1, (math.comb(N, 2) - 1) * T - 1)


@compiled
@given(seeds, st.sampled_from([1e-6, 1e-3, 0.3]))
def test_clip_bounds_the_gap_at_both_ends(seed: int, clip: float) -> None:
    rng = np.random.default_rng(seed)
    bound = 2 * math.sqrt(T - 1)
    gap = np.concatenate([[0.0, clip / 2, bound, bound - clip / 2], rng.uniform(0, bound, 30)])
    found = transform(gap, np.zeros_like(gap), clip=clip)
    np.testing.assert_array_equal(
        found, transform(gap.clip(clip, bound - clip), np.zeros_like(gap), clip=clip)
    )
    assert np.isfinite(found).all()
    inside = (gap > 2 * clip) & (gap < bound - 2 * clip)
    np.testing.assert_array_equal(found[inside], transform(gap, np.zeros_like(gap))[inside])


def test_clip_leaves_nothing_infinite() -> None:
    values = series(4)
    values[5] = values[2]
    found = passed(panel(values, clip=1e-6), balanced=True)
    assert found.infinite == 0
    assert np.isfinite(found.first).all()


# -- which years standardise -------------------------------------------------------------------------------


@compiled
@given(seeds)
def test_pairwise_standardisation_is_the_balanced_one_where_nothing_is_missing(seed: int) -> None:
    for window in (slice(None), slice(0, 5)):
        design = panel(series(seed), window=window)
        # As above: 1e-15 of rounding in z over gaps that exceed 1e-5.
        np.testing.assert_allclose(
            outcomes(design, balanced=False), outcomes(design, balanced=True), rtol=0, atol=1e-8
        )


@compiled
@given(seeds)
def test_missing_years_are_those_that_either_city_lacks(seed: int) -> None:
    """A pair is computed as if its shared years were all there are; fewer than three give nothing."""
    rng = np.random.default_rng(seed)
    values = series(seed)
    values[rng.random(values.shape) < 0.3] = np.nan
    found = outcomes(panel(values), balanced=False)
    for row, (i, j) in enumerate(combinations(range(N), 2)):
        both = np.isfinite(values[i]) & np.isfinite(values[j])
        expected = np.full(T, np.nan)
        if both.sum() >= 3:
            z = standardise(values[[i, j]][:, both], np.ones(both.sum(), bool))
            expected[both] = transform(z[0], z[1], int(both.sum()))
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-8)  # as above


def test_a_series_flat_over_the_shared_years_gives_nothing() -> None:
    """Five numbers three times over: some have a rounded spread of 1e-17, which is no spread."""
    values = series(2)
    values[:5, :3] = np.array([0.1, 0.7, 1.1, 3.3, 1e6 / 3])[:, None]
    values[5, 3:] = np.nan
    found = outcomes(panel(values), balanced=False)
    shared = [pair for pair in range(len(found)) if list(combinations(range(N), 2))[pair][1] == 5]
    np.testing.assert_array_equal(found[shared], np.full((5, T), np.nan))
    assert np.isfinite(np.delete(found, shared, axis=0)).any(1).all()


@pytest.mark.parametrize("balanced", [True, False])
def test_a_later_shift_reaches_earlier_years_through_the_full_window_only(balanced: bool) -> None:
    """Look-ahead: a level shift after year 5 moves the outcomes before it, unless earlier years standardise."""
    values = series(6)
    shifted = values.copy()
    shifted[3, 5:] += 2.0
    touched = np.array([3 in pair for pair in combinations(range(N), 2)])
    found = outcomes(panel(values, window=slice(0, 5)), balanced=balanced)
    again = outcomes(panel(shifted, window=slice(0, 5)), balanced=balanced)
    np.testing.assert_array_equal(again[:, :5], found[:, :5])
    np.testing.assert_array_equal(again[~touched], found[~touched])
    assert (again[touched, 5:] != found[touched, 5:]).all()
    found, again = (outcomes(panel(one), balanced=balanced) for one in (values, shifted))
    assert np.abs(again - found)[touched, :5].max(1).min() > 0.05
    np.testing.assert_array_equal(again[~touched], found[~touched])


# -- moments -----------------------------------------------------------------------------------------------


@compiled
@given(seeds)
def test_moments_against_literal_sums(seed: int) -> None:
    data = dyads(seed, missing=0.4)
    found = passed(TableDesign(data.i, data.j, data.values, data.n_units, directed=False), balanced=False)
    first, second = np.zeros((2, *found.first.shape))
    for pair in range(len(data.i)):
        features = pair_statistics(data, pair)
        first[data.i[pair], 0] += features
        second[data.j[pair], 0] += features
    np.testing.assert_allclose(found.first, first, rtol=1e-13, atol=1e-13)  # sums of some 30 terms of size 1
    np.testing.assert_allclose(found.second, second, rtol=1e-13, atol=1e-13)
    assert found.singletons == (np.isfinite(data.values).all(2).sum(1) == 1).sum()


@pytest.mark.parametrize("balanced", [True, False])
def test_a_panel_is_the_table_of_its_outcomes_and_controls(balanced: bool) -> None:
    """Controls are minus the absolute difference of the two cities' levels, the outcome comes last."""
    design = panel(series(8), edge=4)
    i, j = (np.array(side, np.int32) for side in zip(*combinations(range(N), 2), strict=True))
    controls = -np.abs(design.levels[i] - design.levels[j])
    values = np.concatenate([controls, outcomes(design, balanced=balanced)[:, :, None]], axis=2)
    found = passed(design, balanced=balanced)
    expected = passed(TableDesign(i, j, values, N, directed=False), balanced=balanced)
    for side in ("first", "second"):
        by_class = getattr(found, side).sum(1, keepdims=True)
        np.testing.assert_allclose(by_class, getattr(expected, side), rtol=1e-12, atol=1e-12)  # order of sums


def test_products_of_statistics_by_type_of_pair() -> None:
    """Each pair's statistics alone are a panel's that has only this pair; their products, summed by two classes."""
    design = panel(series(8), edge=4)
    design = replace(design, sample=replace(design.sample, allowed=np.array([[True, True], [True, False]])))
    i, j = (np.array(side, np.int32) for side in zip(*combinations(range(N), 2), strict=True))
    controls = -np.abs(design.levels[i] - design.levels[j])
    values = np.concatenate([controls, outcomes(design, balanced=True)[:, :, None]], axis=2)
    size = Layout(T, 3, balanced=True).size
    expected = np.zeros((3, size, size))  # (0, 0), (0, 1), (1, 1)
    for pair in range(len(i)):
        alone = TableDesign(
            i[pair : pair + 1], j[pair : pair + 1], values[pair : pair + 1], N, directed=False
        )
        own = passed(alone, balanced=True).first.sum((0, 1))
        if (classes := (i[pair] % 2) + (j[pair] % 2)) < 2:
            expected[classes] += np.outer(own, own)
    setting = MomentPass(design, balanced=True, products=True)
    found = reduce(merge_moments, (city_moments(setting, task) for task in design.tasks()))
    np.testing.assert_allclose(found.products, expected, rtol=1e-12, atol=1e-12)  # order of sums
    plain = passed(design, balanced=True)
    np.testing.assert_array_equal(found.first, plain.first)
    np.testing.assert_array_equal(found.second, plain.second)
    assert plain.products is None


def test_both_layouts_hold_the_same_moments() -> None:
    design = panel(series(8), edge=4)
    compact, general = passed(design, balanced=True), passed(design, balanced=False)
    for side in ("first", "second"):
        parts = compact.layout.split(getattr(compact, side)), general.layout.split(getattr(general, side))
        for one, other in zip(*parts, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=1e-11, atol=1e-11
            )  # outcomes differ by rounding, as above


def test_cities_are_counted_by_position_and_partner_class() -> None:
    found = passed(panel(series(8), edge=4), balanced=True)
    classes = np.arange(N) % 2
    expected = np.zeros((2, N, 2))
    for i, j in combinations(range(N), 2):
        expected[0, i, classes[j]] += 1
        expected[1, j, classes[i]] += 1
    np.testing.assert_array_equal([found.first[:, :, 0], found.second[:, :, 0]], expected)


# -- types and compilation ---------------------------------------------------------------------------------


def test_double_precision_without_touching_the_users_configuration() -> None:
    before = jax.config.jax_enable_x64
    design = panel(series(8), edge=4)
    found = passed(design, balanced=True)
    assert found.first.dtype == found.second.dtype == np.float64
    with jax.enable_x64(True):
        assert {name: value.dtype for name, value in kernels.to_device({"x": design.series}).items()} == {
            "x": np.float64
        }
    assert jax.config.jax_enable_x64 == before


def test_each_kernel_is_compiled_once_for_all_tiles() -> None:
    """Tiles of unequal edges, and a grid whose last chunk is short: 15 tasks, one compilation each kernel."""
    design = panel(series(9, 29, 6), edge=7)
    setting = MomentPass(design, balanced=True)
    size, n_terms = design.n_years + design.n_columns + 1, 2
    rng = np.random.default_rng(0)
    block = CellBlock(
        rng.normal(size=(2, 2, design.n_years, 1)),
        rng.normal(size=(size, 1)),
        rng.normal(size=(size, n_terms)),
    )
    assert len(design.tasks()) == 15
    before = kernels.moments._cache_size(), influence_kernels.score_products._cache_size()
    for task in design.tasks():
        city_moments(setting, task)
        score_sums(ScorePass(setting, block), task)
    after = kernels.moments._cache_size(), influence_kernels.score_products._cache_size()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
