"""Estimates from rows: the paths of their rows give the influences, and least squares on dummies the values."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import dummies, dyads, long_rows, residualised

from engine.estimate.absorb import Effect
from engine.estimate.absorbed_fit import RowProblem, row_fit, row_paths, row_stage
from engine.estimate.fit import fit, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Regression, column_terms
from engine.float64 import double_precision
from engine.pairs.map_reduce import MomentPass, city_moments
from engine.pairs.pair_rows import PairRows
from engine.pairs.table_design import TableDesign

TERMS = column_terms("xw")
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("seed", range(3))
def test_rows_and_type_sums_make_one_estimate(seed: int) -> None:
    data = dyads(seed)
    pair, year, x, y = long_rows(data)
    columns = np.column_stack([x, y])
    rows = PairRows(
        data.i.astype(np.int32), data.j.astype(np.int32), pair, year, columns, np.ones(len(y)), 0, 0
    )
    problem = RowProblem(rows, TERMS, columns, (Effect("pair", pair), Effect("year", year)))
    with double_precision():
        prepared = row_stage(problem)
    found = row_fit(prepared, TERMS[::-1], n_units=data.n_units, directed=False, both_treated_kept=True)
    design = TableDesign(data.i, data.j, data.values, data.n_units, directed=False)
    setting = MomentPass(design, design.complete)
    (task,) = design.tasks()
    none = np.zeros((1, 1, design.n_years, 0))
    normal = normal_equations(city_moments(setting, task), design.classes, terms=TERMS, table=none)
    expected = fit(stage(normal), Regression(TERMS[::-1]))
    for name in ("values", "city_first", "city_second", "r2", "r2_within"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **CLOSE)
    for name in ("terms", "n_obs", "n_pairs", "n_units", "n_first", "n_second", "n_parameters"):
        assert getattr(found, name) == getattr(expected, name)

    residual, weight = row_paths(prepared, found)
    left = residualised(pair, year, columns[:, [1, 0, 2]])
    slopes = np.linalg.lstsq(left[:, :2], left[:, 2], rcond=None)[0]
    np.testing.assert_allclose(residual, left[:, 2] - left[:, :2] @ slopes, rtol=0, atol=1e-10)
    np.testing.assert_allclose(weight.T @ y, slopes, **CLOSE)
    psi = dummies(pair).T @ (weight * residual[:, None])
    np.testing.assert_allclose(psi.T @ psi, found.pair_meat, **CLOSE)


def test_combinations_of_an_estimate() -> None:
    """Every part follows the coefficients; one that a sample does not identify spoils what it enters, nothing else."""
    data = dyads(3, missing=0.0)
    design = TableDesign(data.i, data.j, data.values, data.n_units, directed=False)
    (task,) = design.tasks()
    normal = normal_equations(
        city_moments(MomentPass(design, True), task),
        design.classes,
        terms=TERMS,
        table=np.zeros((1, 1, design.n_years, 0)),
    )
    estimate = fit(stage(normal), Regression(TERMS))
    estimate.without_city[2, 1] = np.nan
    weights = np.array([[1.0, 0.0], [0.25, 0.75]])
    found = estimate.combined(column_terms("xm"), weights)
    np.testing.assert_allclose(found.values, [estimate.values[0], estimate.values @ [0.25, 0.75]])
    np.testing.assert_allclose(found.city_influence, estimate.city_influence @ weights.T)
    assert np.argwhere(np.isnan(found.without_city)).tolist() == [[2, 1]]
    np.testing.assert_allclose(found.without_city[0], weights @ estimate.without_city[0])
