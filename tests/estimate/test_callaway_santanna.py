"""Effects by cohort and year against their definition on the pair-year table, errors against literal sums, refits."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import draw_worlds as worlds
import literal_cohorts as literal
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from tolerances import BRUTE, PEER
from unit_panels import effects_of_units

Array = np.ndarray[Any, np.dtype[Any]]

ERRORS = ["pair", "city", "dyadic_cr2", "dyadic", "jackknife"]
EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}
N_CITIES = 18


def options_of(control: str = "never", base_period: str = "varying", anticipation: int = 0) -> dict[str, Any]:
    return {"control": control, "base_period": base_period, "anticipation": anticipation}


def model(**options: Any) -> dict[str, Any]:
    return {"estimator": "callaway_santanna", "errors": ERRORS, **({"options": options} if options else {})}


def panel(world: str, seed: int = 0) -> pd.DataFrame:
    """A panel whose cities adopt in four cohorts, the first of one city; in one world every city adopts."""
    frame = worlds.panel(seed, n_cities=N_CITIES)
    cohorts = {
        "paper": [2012] + [2013] * 3 + [2014] * 2 + [2016] * 3 + [np.nan] * 9,
        "either": [2012] + [2013] * 2 + [2014] * 2 + [2016] * 2 + [np.nan] * 11,
        "everyone": [2012] * 2 + [2013] * 4 + [2014] * 5 + [2016] * 7,
    }[world]
    codes = np.random.default_rng(seed + 5).permutation(cohorts)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


class Table:
    """The pair-year table of a world, wide: what the oracle computes with."""

    def __init__(self, world: str, anticipation: int, seed: int = 0) -> None:
        frame = panel(world, seed)
        self.job: dict[str, Any] = {"controls": {}} | ({} if world == "paper" else EITHER)
        self.frame = frame
        grid = worlds.oracle_grid(frame, gravity=world == "paper")
        options: dict[str, Any] = {} if world == "paper" else {"rule": "either", "exclude": False}
        long, _ = oracle.relabelled(grid, worlds.observed_adoption(frame), **options)
        long = long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1))
        wide = long.pivot(index=["city_i", "city_j", "adopted"], columns="year", values="y").reset_index()
        last = wide["adopted"].max()
        self.years = np.array([year for year in range(2010, 2018) if year < last - anticipation])
        self.adopted = wide["adopted"].where(wide["adopted"] < last, np.inf).to_numpy()
        self.ends = wide[["city_i", "city_j"]].to_numpy()
        self.y = wide[self.years.tolist()].to_numpy()
        self.cities = np.unique(self.ends)

    @property
    def n_parameters(self) -> int:
        return len(set(self.adopted[np.isfinite(self.adopted)])) * (len(self.years) - 1) + len(self.years)

    def factor(self, n_clusters: int) -> float:
        n_obs = self.y.size
        return n_clusters / (n_clusters - 1) * (n_obs - 1) / (n_obs - self.n_parameters)

    def without(self, city: str) -> Array:
        return (self.ends != city).all(axis=1)


WORLDS = ("paper", "either", "everyone")
FAST = (
    ("paper", "never", "universal", 0),
    ("either", "not_yet", "varying", 0),
    ("everyone", "not_yet", "universal", 1),
)
SLOW = [
    case
    for case in itertools.product(WORLDS, ("never", "not_yet"), ("varying", "universal"), (0, 1))
    if case[:2] != ("everyone", "never") and case not in FAST
]
CASES = [*FAST, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]


def name_of(case: tuple[str, str, str, int]) -> str:
    return "-".join(map(str, case))


@cache
def estimated(world: str, control: str, base_period: str, anticipation: int) -> tuple[Table, Any]:
    table = Table(world, anticipation)
    done = worlds.first_pass(
        table.frame, model=model(**options_of(control, base_period, anticipation)), **table.job
    )
    return table, done


def names_of(result: Any) -> tuple[list[str], list[str]]:
    return list(result.fit.names), list(result.cohort_cells.fit.names)


def close(actual: Array, expected: Array, tolerance: float = BRUTE) -> None:
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_values_and_influences_are_those_of_the_definition(case: tuple[str, str, str, int]) -> None:
    table, done = estimated(*case)
    (result,), options = done.results, options_of(*case[1:])
    sample = (table.years, table.adopted, table.y)
    averages, cells = literal.named(*sample, np.ones(len(table.y)), **options)
    assert names_of(result) == (list(averages), list(cells))
    psi = literal.influences(names_of(result), *sample, **options)
    for fit, expected, influence in zip(
        (result.fit, result.cohort_cells.fit), (averages, cells), psi, strict=True
    ):
        close(fit.values, np.array(list(expected.values())))
        sums = {
            city: [influence[table.ends[:, side] == city].sum(axis=0) for side in (0, 1)]
            for city in table.cities
        }
        by_city = np.array([sums.get(unit, np.zeros((2, len(fit.terms)))) for unit in done.units])
        close(fit.city_first, by_city[:, 0])
        close(fit.city_second, by_city[:, 1])
        close(fit.pair_meat, influence.T @ influence)
    assert (result.fit.n_obs, result.fit.n_pairs) == (table.y.size, len(table.y))
    assert result.fit.n_parameters == table.n_parameters


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_errors_are_literal_sums_and_refits(case: tuple[str, str, str, int]) -> None:
    table, done = estimated(*case)
    (result,), options = done.results, options_of(*case[1:])
    names = names_of(result)
    psi = literal.influences(names, table.years, table.adopted, table.y, **options)
    drops = []
    for city in table.cities:
        rows = table.without(city)
        sample = (table.years, table.adopted[rows], table.y[rows], np.ones(rows.sum()))
        drops.append(literal.vectors(names, *sample, **options))
    fits = (result.fit, result.covariances), (result.cohort_cells.fit, result.cohort_cells.covariances)
    for place, (fit, covariances) in enumerate(fits):
        influence, n_cities = psi[place], len(table.cities)
        dyadic = np.zeros((len(fit.terms),) * 2)
        for p, q in itertools.product(range(len(influence)), repeat=2):
            if set(table.ends[p]) & set(table.ends[q]):
                dyadic += np.outer(influence[p], influence[q])
        by_kind = {covariance.kind: covariance.matrix for covariance in covariances}
        close(by_kind["pair"], influence.T @ influence * table.factor(len(influence)))
        variance = np.diag(dyadic) * table.factor(n_cities)
        is_positive = variance > 1e-12 * np.abs(variance).max()
        close(np.diag(by_kind["dyadic"])[is_positive], variance[is_positive])
        steps = np.array([drop[place] for drop in drops]) - fit.values
        jackknife = (n_cities - 1) / n_cities * steps.T @ steps
        close(by_kind["jackknife"], jackknife)


def test_interaction_of_literal_residuals() -> None:
    """What dyadic CR2 errors subtract: residuals of cohort means less city-year effects, times the weights of y."""
    case = ("either", "not_yet", "varying", 0)
    table, done = estimated(*case)
    (result,), options = done.results, options_of(*case[1:])
    names = names_of(result)
    n_pairs, n_years = table.y.shape
    ones = np.ones(n_pairs)
    weights = np.zeros((n_pairs, n_years, len(names[0])))
    for pair, year in itertools.product(range(n_pairs), range(n_years)):
        unit = np.zeros_like(table.y)
        unit[pair, year] = 1.0
        weights[pair, year] = literal.vectors(names, table.years, table.adopted, unit, ones, **options)[0]
    within = table.y - table.y.mean(axis=1, keepdims=True)
    residual = within.copy()
    for cohort in np.unique(table.adopted):
        residual[table.adopted == cohort] -= within[table.adopted == cohort].mean(axis=0)
    ends = np.array([[city in pair for city in table.cities] for pair in table.ends], dtype=float)
    residual -= ends @ np.linalg.lstsq(ends, residual, rcond=None)[0]
    phi = np.einsum("pt,ptk->pk", residual, weights)
    free = table.y.size - np.linalg.matrix_rank(ends) * n_years
    expected = phi.T @ phi * table.y.size / free
    assert result.fit.interaction is not None
    close(result.fit.interaction.matrix, expected, 1e-9)
    psi = literal.influences(names, table.years, table.adopted, table.y, **options)[0]
    steps = []
    for city in table.cities:
        rows = table.without(city)
        sample = (table.years, table.adopted[rows], table.y[rows], np.ones(rows.sum()))
        step = result.fit.values - literal.vectors(names, *sample, **options)[0]
        of_city = psi[~rows].sum(axis=0)
        steps.append(of_city * np.where(np.isnan(step), of_city, step))
    variance = np.maximum(np.sum(steps, axis=0) - np.diag(expected), np.diag(expected) / 4)
    found = {covariance.kind: covariance for covariance in result.covariances}["dyadic_cr2"]
    np.testing.assert_allclose(np.diag(found.matrix), variance, rtol=1e-9)


@pytest.mark.parametrize("options", [options_of(), options_of("not_yet", "universal", 1)])
def test_a_panel_of_units(options: dict[str, Any]) -> None:
    """Values and analytic errors, clustered by unit; the published ones are in `tests/real`."""
    rng = np.random.default_rng(3)
    years, adopted = np.arange(2000, 2007), rng.choice([2002, 2004, 2005, np.inf], 60)
    y = rng.normal(size=(60, 7)).cumsum(axis=1) + (years >= adopted[:, None]) * rng.normal(size=(60, 1))
    found = effects_of_units(y, adopted, years, **options)
    averages, cells = literal.named(years, adopted, y, np.ones(60), **options)
    assert found.index.tolist() == [*averages, *cells]
    np.testing.assert_allclose(found["estimate"], [*averages.values(), *cells.values()], rtol=0, atol=1e-12)
    psi = np.hstack(literal.influences((list(averages), list(cells)), years, adopted, y, **options))
    np.testing.assert_allclose(found["std_error"], np.sqrt((psi**2).sum(axis=0)), rtol=1e-10)


def test_effects_that_differ_by_cohort_and_grow_are_exact_without_noise() -> None:
    years, adopted = np.arange(2000, 2008), np.repeat([2003, 2005, 2006, np.inf], [4, 6, 3, 9])
    since = years - adopted[:, None]
    effect = np.where(since >= 0, (1 + since) * (adopted[:, None] - 2000), 0.0)
    y = effect + np.sin(np.arange(22))[:, None] + np.cos(years)
    found = effects_of_units(y, adopted, years)["estimate"]
    n_rows = np.isfinite(adopted)[:, None] & (since >= 0)
    np.testing.assert_allclose(found["simple"], effect[n_rows].mean(), rtol=1e-12)
    np.testing.assert_allclose(found["policy[2005][+1]"], 10.0, rtol=1e-12)
    leads = [name for name in found.index if "[-" in name]
    assert len(leads) > 5
    np.testing.assert_allclose(found[leads], 0.0, atol=1e-12)


@pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) < (2, 1),
    reason="pyfixest's saturated estimator needs numpy 2.1",
)
def test_event_years_of_a_universal_base_are_the_peers() -> None:
    """With never-treated pairs as controls each cell is a coefficient of the saturated regression."""
    peer = pytest.importorskip("pyfixest", reason="pyfixest (PyPI) is not installed")
    table, done = estimated("paper", "never", "universal", 0)
    n_pairs, n_years = table.y.shape
    data = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_pairs) + 1, n_years),
            "year": np.tile(table.years, n_pairs),
            "g": np.repeat(np.where(np.isinf(table.adopted), 0, table.adopted).astype(int), n_years),
            "y": table.y.ravel(),
        }
    )
    study = peer.event_study(
        data, yname="y", idname="unit", tname="year", gname="g", cluster="unit", estimator="saturated"
    )
    expected = study.aggregate()["Estimate"].astype(float)
    fit = done.results[0].fit
    events = {term.event_time: value for term, value in zip(fit.terms, fit.values, strict=True)}
    times = sorted(time for time in events if time is not None)
    np.testing.assert_allclose([events[time] for time in times], expected.loc[times], rtol=PEER)


STORED: dict[str, tuple[dict[str, Any], dict[str, tuple[float, float]]]] = {
    "never": (
        options_of(),
        {
            "simple": (1.227228607992297, 0.38992748935621496),
            "policy[-6]": (-0.319872232285925, 0.324544874351557),
            "policy[-1]": (-0.04279991924031632, 0.1794578246003343),
            "policy[+0]": (0.9767617658829985, 0.2365643921408479),
            "policy[+2]": (1.5180235118211158, 0.4716579562067982),
            "policy[2005][-2]": (-0.14228398281153207, 0.3254737677737499),
            "policy[2005][+1]": (1.4774454879620593, 0.40015785108599655),
        },
    ),
    "not yet, universal, anticipation": (
        options_of("not_yet", "universal", 1),
        {
            "policy[-7]": (0.5954248473325142, 0.9069578358466818),
            "policy[-3]": (-0.08163643568409515, 0.16654706993350743),
            "policy[-1]": (0.03117582938039247, 0.16372177681505085),
            "policy[+0]": (0.963564006395284, 0.2559950193628916),
            "policy[+3]": (1.4488939022387197, 0.6358916408093106),
            "policy[2005][+1]": (1.205657577069344, 0.5772632325011512),
        },
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_output_of_a_package(name: str) -> None:
    """diff-diff 3.13.0: ``CallawaySantAnna(control_group=..., base_period=..., anticipation=...,
    estimation_method="reg").fit(..., aggregate="all")`` on these units, ``first_treat`` 0 for never.

    Its simple average counts the years of anticipation, ours begins with adoption; without anticipation they are one.
    """
    rng = np.random.default_rng(5)
    years, adopted = np.arange(2000, 2008), rng.choice([2003, 2005, 2007, np.inf], 80)
    y = rng.normal(size=(80, 8)).cumsum(axis=1)
    y += (years >= adopted[:, None]) * rng.normal(1, 1, (80, 1))
    options, stored = STORED[name]
    found = effects_of_units(y, adopted, years, **options).loc[list(stored)]
    np.testing.assert_allclose(found, list(stored.values()), rtol=1e-10)
