"""Estimators as functions of type sums, differentiated: the closed forms must agree, influence by influence."""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import draw_worlds as worlds
import numpy as np
import pytest
from strategies import Dyads, demeaned, dyads, pair_statistics

from engine.estimate.estimators import ESTIMATORS
from engine.estimate.fit import fit, stage
from engine.estimate.gradient import Differentiated, TypeSums, differentiate
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Regression, Term, column_terms, distinct, unite_terms
from engine.pairs.map_reduce import MomentPass, city_moments, merge_moments
from engine.pairs.moments import CityMoments, Layout, type_of

EXACT = 1e-10  # of the largest entry: both solve the same well-conditioned systems
H = 3
X, Z = column_terms(("x", "z"))
D, E = Term("d", 0, -2), Term("d", 0, 0)
REGRESSIONS = {
    "twfe": Regression((X, D)),
    "event_study": Regression((X, D, E)),
    "iv": ESTIMATORS["iv"].functions.regression((X, Z), (D,)),
    "first_stage": ESTIMATORS["first_stage"].functions.regression((X, Z), (D,)),
    "reduced_form": ESTIMATORS["reduced_form"].functions.regression((X, Z), (D,)),
}


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT * np.nanmax(np.abs(expected)))


def literal_moments(data: Dyads, classes: np.ndarray, *, balanced: bool) -> tuple[CityMoments, np.ndarray]:
    """Statistics of every pair, summed by city and class and multiplied by type, literally."""
    layout = Layout(*data.values.shape[1:], balanced)
    statistics = np.array([pair_statistics(data, pair, balanced=balanced) for pair in range(len(data.i))])
    first, second = np.zeros((2, data.n_units, H, layout.size))
    products = np.zeros((H * (H + 1) // 2, layout.size, layout.size))
    for i, j, of_pair in zip(data.i, data.j, statistics, strict=True):
        first[i, classes[j]] += of_pair
        second[j, classes[i]] += of_pair
        products[type_of(classes[i], classes[j], H)] += np.outer(of_pair, of_pair)
    return CityMoments(layout, first, second, 0, 0, float("nan"), products), statistics


@pytest.mark.parametrize("missing", [0.0, 0.25])
@pytest.mark.parametrize("estimator", REGRESSIONS)
@pytest.mark.parametrize("seed", [1, 2])
def test_influence_of_every_pair(estimator: str, missing: float, seed: int) -> None:
    data = dyads(seed, n_units=9, n_years=6, missing=missing)
    classes = np.arange(data.n_units) % H
    moments, statistics = literal_moments(data, classes, balanced=not missing)
    paths = np.random.default_rng(seed).normal(size=(H, H, 6, 2))
    table = paths + np.swapaxes(paths, 0, 1)
    terms, regression = (X, Z, D, E), REGRESSIONS[estimator]
    found = differentiate(
        lambda sums: sums.coefficients(regression), moments, classes, terms=terms, table=table
    )
    expected = fit(stage(normal_equations(moments, classes, terms=terms, table=table)), regression)
    psi = np.zeros((len(data.i), len(expected.terms)))
    for pair, (i, j) in enumerate(zip(data.i, data.j, strict=True)):
        columns = np.concatenate(
            [np.eye(6), data.values[pair, :, :-1], table[classes[i], classes[j]], data.values[pair, :, -1:]],
            1,
        )
        columns = np.where(data.observed[pair][:, None], columns, np.nan)
        residualised = demeaned(Dyads(data.i[:1], data.j[:1], columns[None], data.n_units), 0)
        psi[pair] = (residualised @ expected.residual_path) @ (residualised @ expected.weight_path)
    close(found.influence(type_of(classes[data.i], classes[data.j], H), statistics), psi)
    close(found.pair_meat, psi.T @ psi)
    close(found.values, expected.values)
    close(found.without_city, expected.without_city)


@cache
def differentiated(holes: bool, estimator: str) -> tuple[Any, Differentiated]:
    """A job's estimate, and the gradient's on the moments of the same pass."""
    model: dict[str, Any] = {"estimator": estimator, "errors": ["pair"]}
    blocks: dict[str, Any] = {"model": model}
    if estimator == "event_study":
        model["window"] = [-3, 2]
    if estimator == "iv":
        blocks["instrument"] = {"sum": "density"}
    done = worlds.first_pass(worlds.panel(3, holes=holes), **blocks)
    (result,), prepared = done.results, done.prepared
    design = prepared.design
    setting = MomentPass(design, design.complete, products=design.complete)
    moments = reduce(merge_moments, (city_moments(setting, task) for task in design.tasks()))
    table, chosen = unite_terms(prepared.terms)
    columns = column_terms(prepared.pass_cells.controls)
    used = columns if estimator == "iv" else column_terms(result.cell.job.used_controls)
    regression = ESTIMATORS[estimator].functions.regression(used, chosen[0])
    return result.fit, differentiate(
        lambda sums: sums.coefficients(regression),
        moments,
        design.classes,
        terms=(*columns, *distinct(chosen)),
        table=table,
    )


@pytest.mark.parametrize("holes", [False, True], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize("estimator", ["twfe", "event_study", "iv"])
def test_estimates_of_a_panel_job(estimator: str, holes: bool) -> None:
    expected, found = differentiated(holes, estimator)
    for name in ("values", "city_first", "city_second", "without_city"):
        close(getattr(found, name), getattr(expected, name))
    if not holes:
        close(found.pair_meat, expected.pair_meat)
    else:
        assert np.isnan(found.pair_meat).all()


def test_a_ratio_of_sums_by_hand() -> None:
    """Mean outcome change between two years of the pairs of one type: influence (y - mean) / n, jackknife by hand."""
    data = dyads(5, n_units=6, n_years=2, n_columns=1, missing=0.0)
    classes = np.zeros(6, dtype=np.int32)
    first, second = np.zeros((2, 6, 1, Layout(2, 1, True).size))
    for pair, (i, j) in enumerate(zip(data.i, data.j, strict=True)):
        of_pair = pair_statistics(data, pair, balanced=True)
        first[i, 0] += of_pair
        second[j, 0] += of_pair
    moments = CityMoments(Layout(2, 1, True), first, second, 0, 0, float("nan"))

    def change(sums: TypeSums) -> Any:
        return (sums.sums[:, 5] - sums.sums[:, 4]) / sums.n_pairs

    found = differentiate(change, moments, classes, terms=(), table=np.zeros((1, 1, 2, 0)))
    difference = data.values[:, 1, 0] - data.values[:, 0, 0]
    psi = (difference - difference.mean()) / len(difference)
    for side, position in ((found.city_first, data.i), (found.city_second, data.j)):
        np.testing.assert_allclose(side[:, 0], np.bincount(position, psi, 6), atol=1e-14)
    for unit in range(6):
        stays = (data.i != unit) & (data.j != unit)
        np.testing.assert_allclose(found.without_city[unit], difference[stays].mean(), rtol=1e-12)


def test_what_is_not_identified_has_no_value() -> None:
    data = dyads(6, missing=0.2)
    classes = np.arange(data.n_units) % H
    moments, _ = literal_moments(data, classes, balanced=False)
    table = np.zeros((H, H, data.values.shape[1], 1))
    found = differentiate(
        lambda sums: sums.coefficients(Regression((X, D))), moments, classes, terms=(X, Z, D), table=table
    )
    assert np.isnan(found.values).all()
