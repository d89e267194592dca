"""From moments to normal equations, off the years, and the search for collinear regressors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from strategies import Dyads, demeaned, dyads, long_rows, pair_statistics, residualised, seeds

from engine.errors import InputError
from engine.estimate.normal import Normal, collinear, normal_equations, partial_out_years, refuse_collinear
from engine.estimate.terms import column_terms
from engine.pairs.moments import CityMoments, Layout

H, R = 3, 2  # classes, treatment terms
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # sums of a few hundred products of size one


def classes_of(data: Dyads) -> np.ndarray:
    return np.arange(data.n_units) % H


def paths(seed: int, n_years: int) -> np.ndarray:
    """Treatment paths by the classes of both cities, symmetric."""
    table = np.random.default_rng(seed).integers(0, 2, (H, H, n_years, R)).astype(float)
    return table + np.swapaxes(table, 0, 1)


def normal_of(data: Dyads, table: np.ndarray, *, balanced: bool) -> Normal:
    """Normal equations from moments that are summed literally."""
    classes, (n_years, n_columns) = classes_of(data), data.values.shape[1:]
    layout = Layout(n_years, n_columns, balanced)
    first, second = np.zeros((2, data.n_units, H, layout.size))
    for pair, (i, j) in enumerate(zip(data.i, data.j, strict=True)):
        features = pair_statistics(data, pair, balanced=balanced)
        first[i, classes[j]] += features
        second[j, classes[i]] += features
    moments = CityMoments(layout, first, second, 0, 0, float(np.isfinite(data.values).all(axis=2).sum()))
    return normal_equations(moments, classes, terms=column_terms("xwde"), table=table)


def literal_matrices(data: Dyads, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Z'Z of each city's pairs with Z = [years | x, w | terms | y] demeaned pair by pair."""
    classes, n_years = classes_of(data), data.values.shape[1]
    size = n_years + data.values.shape[2] + R
    out = np.zeros((2, data.n_units, size, size))
    for pair, (i, j) in enumerate(zip(data.i, data.j, strict=True)):
        everything = np.concatenate(
            [
                np.eye(n_years),
                data.values[pair, :, :-1],
                table[classes[i], classes[j]],
                data.values[pair, :, -1:],
            ],
            1,
        )
        z = demeaned(
            Dyads(data.i, data.j, np.where(data.observed[pair][None, :, None], everything, np.nan), 0), 0
        )
        out[0, i] += z.T @ z
        out[1, j] += z.T @ z
    return out[0], out[1]


@pytest.mark.parametrize("missing", [0.0, 0.3])
@given(seed=seeds)
def test_matrices_by_city_against_literal_sums(missing: float, seed: int) -> None:
    data = dyads(seed, missing=missing)
    table = paths(seed, data.values.shape[1])
    first, second = literal_matrices(data, table)
    for balanced in [False] if missing else [False, True]:
        found = normal_of(data, table, balanced=balanced)
        np.testing.assert_allclose(found.first, first, **EXACT)
        np.testing.assert_allclose(found.second, second, **EXACT)
        np.testing.assert_allclose(found.total, first.sum(0), **EXACT)
        rows = [data.observed[data.i == k].sum() for k in range(data.n_units)]
        np.testing.assert_array_equal(found.totals[:, 0, 1], rows)


def test_leave_one_out_matrices() -> None:
    data = dyads(3)
    table = paths(3, data.values.shape[1])
    found = normal_of(data, table, balanced=False).without_city()
    expected = [normal_of(data.without(unit), table, balanced=False).total for unit in range(data.n_units)]
    np.testing.assert_allclose(found, expected, **EXACT)


def test_without_terms() -> None:
    data = dyads(5)
    none = np.zeros((H, H, data.values.shape[1], 0))
    moments = normal_of(data, paths(5, data.values.shape[1]), balanced=False)
    layout = Layout(*data.values.shape[1:], balanced=False)
    sums = np.array([sum(pair_statistics(data, pair) for pair in range(len(data.i)))])
    bare = normal_equations(
        CityMoments(layout, sums[:, None], 0 * sums[:, None], 0, 0, float("nan")),
        np.zeros(1, np.int32),
        terms=column_terms("xw"),
        table=none[:1, :1],
    )
    keep = np.r_[0 : layout.n_years + 2, -1]
    np.testing.assert_allclose(bare.total, moments.total[np.ix_(keep, keep)], **EXACT)


# -- the years ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0.0, 0.3])
@given(seed=seeds)
def test_projection_off_the_years_is_the_one_by_dummies(missing: float, seed: int) -> None:
    data = dyads(seed, missing=missing)
    n_years = data.values.shape[1]
    total = normal_of(data, paths(seed, n_years), balanced=False).total
    keep = np.r_[0 : n_years + 2, -1]
    pair, year, x, y = long_rows(data)
    left = residualised(pair, year, np.column_stack([x, y]))
    for balanced in [False] if missing else [False, True]:
        found = partial_out_years(total[np.ix_(keep, keep)], n_years, balanced=balanced)
        np.testing.assert_allclose(
            found.q, left.T @ left, rtol=1e-10, atol=1e-10
        )  # least squares on 26 dummies
        np.testing.assert_array_equal(found.on_years[0], 0.0)


@pytest.mark.parametrize("balanced", [False, True])
def test_a_stack_is_projected_matrix_by_matrix(balanced: bool) -> None:
    data = dyads(6, missing=0.0 if balanced else 0.2)
    n_years = data.values.shape[1]
    stack = normal_of(data, paths(6, n_years), balanced=balanced).without_city()
    found = partial_out_years(stack, n_years, balanced=balanced)
    for one, q, on_years in zip(stack, found.q, found.on_years, strict=True):
        alone = partial_out_years(one, n_years, balanced=False)
        np.testing.assert_allclose(q, alone.q, **EXACT)
        np.testing.assert_allclose(on_years, alone.on_years, **EXACT)


def test_a_balanced_sample_may_be_empty() -> None:
    """As a sample without one city is, if all pairs hold it."""
    found = partial_out_years(np.zeros((8, 8)), 5, balanced=True)
    np.testing.assert_array_equal(found.q, np.zeros((3, 3)))
    np.testing.assert_array_equal(found.on_years, np.zeros((5, 3)))


def test_years_without_observations_are_passed_over() -> None:
    data = dyads(7, n_years=7)
    holes = np.array(data.values)
    holes[:, [0, 4]] = np.nan
    sparse = normal_of(replace(data, values=holes), paths(7, 7), balanced=False)
    dense_table = np.delete(paths(7, 7), [0, 4], axis=2)
    dense = normal_of(replace(data, values=np.delete(holes, [0, 4], axis=1)), dense_table, balanced=False)
    found = partial_out_years(sparse.total, 7, balanced=False)
    expected = partial_out_years(dense.total, 5, balanced=False)
    np.testing.assert_allclose(found.q, expected.q, **EXACT)
    np.testing.assert_allclose(np.delete(found.on_years, [0, 4], axis=0), expected.on_years, **EXACT)
    np.testing.assert_array_equal(found.on_years[[0, 4]], 0.0)


# -- collinear regressors ----------------------------------------------------------------------------------


def columns(**more: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Moments, raw sums of squares and names of a, b, c and further columns; 200 rows."""
    a, b, c, noise = np.random.default_rng(0).normal(size=(4, 200))
    base = {"a": a, "b": b, "c": c}
    known = {**base, "noise": noise}
    made = {name: sum(weight * known[key] for key, weight in mix.items()) for name, mix in more.items()}
    all_columns = np.column_stack([*base.values(), *made.values()])
    q = all_columns.T @ all_columns
    return q, np.diag(q), (*base, *made)


def test_independent_columns_pass() -> None:
    q, raw, names = columns(
        near={"a": 1.0, "noise": 1e-3}
    )  # correlation of 0.9999995 is high, yet no collinearity
    assert collinear(q, raw, names) == []
    refuse_collinear(q, raw, names)


@pytest.mark.parametrize(
    ("mix", "partners"),
    [({"a": 2.0}, "a"), ({"a": 1e6, "c": -1e6}, "a, c"), ({"a": 1.0, "b": 1.0, "c": 1.0}, "a, b, c")],
)
def test_a_combination_is_named_with_what_it_combines(mix: dict[str, float], partners: str) -> None:
    q, raw, names = columns(sum=mix)
    assert collinear(q, raw, names) == ["sum"]
    with pytest.raises(InputError, match=f"^model: 'sum' is collinear with {partners} once") as caught:
        refuse_collinear(q, raw, names)
    assert caught.value.remedy == f"leave out one of sum, {partners}"


def test_the_later_of_two_equal_columns_is_named() -> None:
    q, raw, names = columns(twin={"b": 1.0}, third={"b": -3.0})
    assert collinear(q, raw, names) == ["twin", "third"]
    order = [3, 1, 0, 2]
    names_2 = tuple(names[k] for k in order)
    assert collinear(q[np.ix_(order, order)], raw[order], names_2) == ["b"]


@pytest.mark.parametrize("left", [0.0, 1e-10, -1e-12])
def test_a_column_without_variation_is_named_alone(left: float) -> None:
    """Of a column of raw variation 5, rounding leaves about nothing, of either sign."""
    q, raw, names = columns()
    q[1, :], q[:, 1] = 0.0, 0.0
    q[1, 1], raw = left, np.array([200.0, 5.0, 200.0])
    with pytest.raises(InputError, match="'b' has no variation left once pair and year effects are removed"):
        refuse_collinear(q, raw, names)
