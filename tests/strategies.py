"""Small random worlds for the tests of the numeric core: city panels, dyadic tables, and job files for both.

Shapes are fixed where kernels run, so that examples differ in their numbers and nothing is compiled twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hypothesis import settings
from hypothesis import strategies as st

import engine

Array = np.ndarray[Any, np.dtype[Any]]

YEARS = tuple(range(2010, 2018))
COHORTS = (2013, 2015)
KINDS = ("pair", "city", "dyadic", "jackknife")

seeds = st.integers(0, 2**32 - 1)
"""Seed of a world; the rest of it follows."""

edges = st.integers(2, 40)
"""Cities along a tile's edge."""


compiled = settings(max_examples=20, deadline=None)
"""For properties that run kernels: the first example compiles, and takes a hundred times as long as the rest."""


# -- city panels -------------------------------------------------------------------------------------------


def city_panel(seed: int, n_cities: int = 14) -> pd.DataFrame:
    """Long panel: trending series ``output``, two positive controls, places, masses, two cohorts of pilots."""
    rng = np.random.default_rng(seed)
    shape = (n_cities, len(YEARS))
    pilot = np.full(n_cities, np.nan)
    pilot[: n_cities // 2] = np.resize(COHORTS, n_cities // 2)
    rng.shuffle(pilot)
    trend = rng.uniform(0.5, 1.5, (n_cities, 1)) * np.arange(len(YEARS))
    columns = {
        "output": trend + rng.normal(size=shape).cumsum(1),
        "schools": np.exp(rng.normal(size=(n_cities, 1)) + 0.3 * rng.normal(size=shape)),
        "density": rng.uniform(1, 9, shape),
        "population": np.exp(rng.normal(size=(n_cities, 1)) + 0.01 * rng.normal(size=shape)),
        "latitude": np.repeat(rng.uniform(20, 45, (n_cities, 1)), len(YEARS), 1),
        "longitude": np.repeat(rng.uniform(90, 125, (n_cities, 1)), len(YEARS), 1),
        "pilot_year": np.repeat(pilot[:, None], len(YEARS), 1),
    }
    keys = {
        "city": np.repeat([f"city{k:02d}" for k in range(n_cities)], len(YEARS)),
        "year": np.tile(YEARS, n_cities),
    }
    return pd.DataFrame({**keys, **{name: values.ravel() for name, values in columns.items()}})


def with_holes(frame: pd.DataFrame, seed: int, share: float = 0.08) -> pd.DataFrame:
    """A panel that lost some city-years of its series and its controls."""
    rng = np.random.default_rng(seed)
    out = frame.copy()
    for name in ("output", "density"):
        out.loc[rng.random(len(out)) < share, name] = np.nan
    return out


PANEL_JOB: Mapping[str, Any] = {
    "job": "small",
    "outcome": {"synchronization": "output"},
    "pairs": {"exclude": "both_treated", "gravity": {"mass": ["population"], "keep": "above_median"}},
    "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
    "controls": {"edu": {"neg_abs_log_diff": "schools"}, "dense": {"neg_abs_diff": "density"}},
}


def run_panel(frame: pd.DataFrame, options: Mapping[str, Any] | None = None, **blocks: Any) -> engine.Results:
    """Results of `PANEL_JOB` on a panel; ``blocks`` replace blocks of the job, ``options`` go to `engine.run`."""
    panel = {"source": "cities.parquet", "balance": "keep" if frame.isna()["output"].any() else "drop"}
    return _run(frame, "cities.parquet", {**PANEL_JOB, "panel": panel, **blocks}, options)


# -- dyadic tables -----------------------------------------------------------------------------------------


def pair_table(seed: int, n_units: int = 9, *, missing: float = 0.15, directed: bool = False) -> pd.DataFrame:
    """Long dyadic table ``one, other, year, y, x, w`` with pair, year and unit components and missing rows."""
    rng = np.random.default_rng(seed)
    names = np.array([f"u{k}" for k in range(n_units)])
    i, j = np.triu_indices(n_units, 1)
    if directed:
        i, j = np.concatenate([i, j]), np.concatenate([j, i])
    pair, t = np.repeat(np.arange(len(i)), len(YEARS)), np.tile(np.arange(len(YEARS)), len(i))
    unit = rng.normal(size=(n_units, len(YEARS)))
    common = unit[i[pair], t] + unit[j[pair], t] + rng.normal(size=len(YEARS))[t]
    x = rng.normal(size=len(pair)) + 0.5 * common
    w = rng.normal(size=len(pair)) - 0.3 * x
    y = 2 * x - w + common + rng.normal(size=len(i))[pair] + rng.normal(size=len(pair))
    frame = pd.DataFrame(
        {"one": names[i[pair]], "other": names[j[pair]], "year": 2010 + t, "y": y, "x": x, "w": w}
    )
    return frame[rng.random(len(frame)) >= missing].reset_index(drop=True)


TABLE_JOB: Mapping[str, Any] = {
    "job": "dyads",
    "outcome": {"column": "y"},
    "model": {"regressors": ["x", "w"]},
}


def run_table(frame: pd.DataFrame, *, directed: bool = False, **blocks: Any) -> engine.Results:
    """Results of `TABLE_JOB` on a dyadic table."""
    table = {
        "source": "pairs.parquet",
        "unit_i": "one",
        "unit_j": "other",
        "year": "year",
        "directed": directed,
    }
    return _run(frame, "pairs.parquet", {**TABLE_JOB, "pair_table": table, **blocks})


def _run(
    frame: pd.DataFrame, name: str, job: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> engine.Results:
    with tempfile.TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder) / name)
        path = Path(folder) / "job.yaml"
        path.write_text(yaml.safe_dump(dict(job), sort_keys=False))
        return engine.run(path, **(options or {}))


# -- pairs as arrays ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dyads:
    """Pairs as arrays: positions ``i``, ``j``; ``values`` ``[pair, year, column]``, the outcome last, NaN missing."""

    i: Array
    j: Array
    values: Array
    n_units: int

    @property
    def observed(self) -> Array:
        """``[pair, year]``: years in which nothing is missing, of pairs that have at least two of them."""
        inside = np.isfinite(self.values).all(2)
        return inside & (inside.sum(1, keepdims=True) >= 2)

    def without(self, unit: int) -> Dyads:
        """The pairs that do not hold a unit."""
        stay = (self.i != unit) & (self.j != unit)
        return Dyads(self.i[stay], self.j[stay], self.values[stay], self.n_units)


def dyads(seed: int, n_units: int = 7, n_years: int = 5, n_columns: int = 3, missing: float = 0.2) -> Dyads:
    """All pairs of some units with correlated columns; some pair-years lack a column."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(n_units, 1)
    unit = rng.normal(size=(n_units, n_years, n_columns))
    values = unit[i] + unit[j] + rng.normal(size=(len(i), n_years, n_columns))
    values[..., -1] += values[..., :-1].sum(-1)
    holes = rng.random((len(i), n_years)) < missing
    values[holes, rng.integers(0, n_columns, holes.sum())] = np.nan
    return Dyads(i.astype(np.int32), j.astype(np.int32), values, n_units)


def long_rows(data: Dyads) -> tuple[Array, Array, Array, Array]:
    """Observed rows as ``pair, year, X, y``."""
    pair, year = np.nonzero(data.observed)
    rows = data.values[pair, year]
    return pair, year, rows[:, :-1], rows[:, -1]


def dummies(codes: Array) -> Array:
    """One column for each code that occurs."""
    return (codes[:, None] == np.unique(codes)).astype(float)


def residualised(pair: Array, year: Array, columns: Array) -> Array:
    """What is left of columns after pair and year dummies, by plain least squares on all of them."""
    effects = np.hstack([dummies(pair), dummies(year)])
    return columns - effects @ np.linalg.lstsq(effects, columns, rcond=None)[0]


def demeaned(data: Dyads, pair: int) -> Array:
    """``[year, column]`` of one pair over its observed years, zero elsewhere."""
    observed = data.observed[pair]
    out = np.zeros_like(data.values[pair])
    if observed.any():
        out[observed] = data.values[pair, observed] - data.values[pair, observed].mean(0)
    return out


def pair_statistics(data: Dyads, pair: int, *, balanced: bool = False) -> Array:
    """Statistics of one pair by their definition: totals, EE, EV and VV (see `engine.pairs.moments`)."""
    observed, columns = data.observed[pair], demeaned(data, pair)
    n = int(observed.sum())
    mean = data.values[pair, observed, -1].mean() if n else 0.0
    ee = np.diag(observed.astype(float)) - np.outer(observed, observed) / max(n, 1)
    vv = columns.T @ columns
    parts = [np.array([n > 0, n, n * mean, n * mean**2])]
    parts += [] if balanced else [ee[np.triu_indices(len(ee))]]
    return np.concatenate([*parts, columns.ravel(), vv[np.triu_indices(len(vv))]])
