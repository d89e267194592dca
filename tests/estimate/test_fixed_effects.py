"""Jobs with more effects than pair and year, against explicit dummies, literal refits and pyfixest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import literal_effects as literal
import numpy as np
import pandas as pd
import peers
import pyfixest
import pytest
import reference
from pyfixest.demeaners import LsmrDemeaner
from strategies import KINDS, PANEL_JOB, city_panel, pair_table, run_panel, run_table, with_holes
from tolerances import PEER

import engine

CLOSE = 1e-9
"""Of coefficients and standard errors against dummies: the effects are taken out to 1e-12 of a column's length, of
which the outcome of two close cities (see `tolerances.Z_ROUNDING`) and conditioning of a hundred take three digits."""

CONTROLS = {"edu": ("schools", True), "dense": ("density", False)}
NAMES = ["edu", "dense", "policy"]


def panel(seed: int, *, holes: bool = False) -> pd.DataFrame:
    frame = city_panel(seed)
    number = frame["city"].str[-2:].astype(int)
    frame["province"] = number.map(lambda k: f"p{k % 4}")
    return with_holes(frame, seed) if holes else frame


def long_of(frame: pd.DataFrame, *, exclude: bool, gravity: bool, rule: str = "exactly_one") -> pd.DataFrame:
    """The pair-years of the job by the reference, with provinces and distances."""
    long = reference.pair_panel(
        frame,
        series="output",
        adoption="pilot_year",
        rule=rule,
        controls=CONTROLS,
        exclude_both_treated=exclude,
        gravity=reference.Gravity(("population",)) if gravity else None,
    ).long
    fixed = frame.groupby("city")[["province", "latitude", "longitude"]].first()
    for end in "ij":
        long[f"province_{end}"] = long[f"city_{end}"].map(fixed["province"])
    place = {
        city: tuple(row)
        for city, row in zip(fixed.index, fixed[["latitude", "longitude"]].to_numpy(), strict=True)
    }
    ends = long[["city_i", "city_j"]].itertuples(index=False, name=None)
    long["distance"] = [reference.great_circle_km(*place[i], *place[j]) for i, j in ends]
    return long


def with_class(long: pd.DataFrame, k: int) -> pd.DataFrame:
    """Classes of equally many pairs, of those in the regression."""
    usable = long[np.isfinite(long[[*NAMES, "y"]].to_numpy()).all(axis=1)]
    usable = usable[usable.groupby(["city_i", "city_j"])["year"].transform("size") > 1]
    each = usable.drop_duplicates(["city_i", "city_j"])
    each = each.assign(far=pd.qcut(each["distance"], k, labels=False))[["city_i", "city_j", "far"]]
    return long.merge(each, how="left", on=["city_i", "city_j"])


@dataclass(frozen=True)
class Case:
    """Entries beside pair, their levels, the sample, and the peer's columns for the effects where it can have them."""

    listed: Sequence[str]
    levels: Sequence[literal.Levels]
    exclude: bool = True
    gravity: bool = True
    peer: Mapping[str, Sequence[str]] | None = None


CASES = {
    "province pairs": Case(
        ["year", "province-pair x year"],
        [literal.year, literal.province_pair_year],
        peer={"year": ["year"], "provinces_year": ["one_province", "other_province", "year"]},
    ),
    "provinces": Case(
        ["year", "province x year"], [literal.year, literal.province_year], exclude=False, gravity=False
    ),
    "distance": Case(
        ["distance:3 x year"], [literal.column("far", "year")], peer={"far_year": ["far", "year"]}
    ),
    "cities": Case(["city x year"], [literal.city_year], exclude=False, gravity=False),
    "cities and distance": Case(
        ["city x year", "distance:2 x year"],
        [literal.city_year, literal.column("far", "year")],
        exclude=False,
    ),
}
HOLES = pytest.mark.parametrize("holes", [False, True], ids=["complete", "missing"])


@cache
def run_case(kind: str, holes: bool) -> engine.Results:
    """A case; jackknife errors where a city's rows are cut, and where they are emptied (the refits compile)."""
    case = CASES[kind]
    pairs: dict[str, Any] = {"exclude": "both_treated" if case.exclude else "none"}
    if case.gravity:
        pairs["gravity"] = PANEL_JOB["pairs"]["gravity"]
    refitted = (kind, holes) in {("cities", False), ("province pairs", False), ("distance", True)}
    errors = list(KINDS) if refitted else ["pair", "city", "dyadic"]
    model = {"fixed_effects": ["pair", *case.listed], "errors": errors}
    return run_panel(panel(3, holes=holes), pairs=pairs, model=model)


@cache
def case_rows(kind: str, holes: bool) -> pd.DataFrame:
    case = CASES[kind]
    long = long_of(panel(3, holes=holes), exclude=case.exclude, gravity=case.gravity)
    classes = [int(name[9]) for name in case.listed if name.startswith("distance")]
    return with_class(long, classes[0]) if classes else long


def against_dummies(
    results: engine.Results,
    long: pd.DataFrame,
    names: Sequence[str],
    levels: Sequence[literal.Levels],
    *,
    weight: str | None = None,
) -> literal.Literal:
    """Assert every number of a cell; the degrees of freedom of fixest for each kind of cluster."""
    ours, names = peers.cell(results), list(names)
    found = literal.regression(long, names, levels, weight=weight)
    for kind, rows in ours.rows.items():
        own = rows.loc[names]
        refits = kind == "jackknife"
        matrix = literal.jackknife(long, names, levels, weight=weight) if refits else found.covariance(kind)
        np.testing.assert_allclose(own["estimate"], found.estimate, rtol=CLOSE)
        np.testing.assert_allclose(own["std_error"], reference.standard_errors(matrix), rtol=CLOSE)
        assert (own["n_obs"] == len(found.long)).all()
        assert (own["n_pairs"] == len(found.psi)).all()
        assert (own["n_units"] == found.n_cities).all()
        np.testing.assert_allclose(own["r2"], found.r2, rtol=CLOSE)
        np.testing.assert_allclose(own["r2_within"], found.r2_within, rtol=CLOSE)
    return found


def against_pyfixest(
    results: engine.Results, long: pd.DataFrame, names: Sequence[str], effects: Mapping[str, Sequence[str]]
) -> None:
    """Assert pair and two-way errors of a cell; ``effects``: columns whose combinations are the levels."""
    names = list(names)
    long = long[np.isfinite(long[[*names, "y"]].to_numpy()).all(axis=1)]
    keys = {"pair": ["city_i", "city_j"], **effects}
    codes = {name: long.groupby(list(columns), dropna=False).ngroup() for name, columns in keys.items()}
    frame = long[["city_i", "city_j", "y", *names]].assign(**codes)
    formula = f"y ~ {' + '.join(names)} | {' + '.join(keys)}"
    with warnings.catch_warnings():  # it warns of every singleton it drops, as it should
        warnings.simplefilter("ignore", UserWarning)
        tightest = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)
        model = pyfixest.feols(formula, frame, vcov={"CRV1": "pair"}, demeaner=tightest)
    for kind, clusters in {"pair": "pair", "city": "city_i + city_j"}.items():
        own = peers.cell(results)[kind].loc[names]
        matrix = np.asarray(model.vcov({"CRV1": clusters})._vcov)
        if (np.diag(matrix) < 0).any():  # fixest mends such a covariance, pyfixest leaves it
            matrix = reference.non_negative(matrix)
        np.testing.assert_allclose(own["estimate"], model.coef()[names], rtol=PEER)
        np.testing.assert_allclose(own["std_error"], reference.standard_errors(matrix), rtol=PEER)
        np.testing.assert_allclose(own["r2"], model._r2, rtol=PEER)
        np.testing.assert_allclose(own["r2_within"], model._r2_within, rtol=PEER)
        assert (own["n_obs"] == model._N).all()
        assert (own["dof"] == model._df_t).all()


# -- city panels -------------------------------------------------------------------------------------------


@HOLES
@pytest.mark.parametrize("kind", CASES)
def test_panel_equals_dummies(kind: str, holes: bool) -> None:
    levels = [literal.pair, *CASES[kind].levels]
    results, long = run_case(kind, holes), case_rows(kind, holes)
    found = against_dummies(results, long, NAMES, levels)
    done = results.manifest["cells"][0]["absorption"]
    assert list(done["n_levels"]) == ["pair", *CASES[kind].listed]
    assert list(done["n_levels"].values()) == found.n_levels
    assert done["converged"]
    alone = results.manifest["counts"][0]["singleton_pairs"] + done["singletons"]
    assert alone == found.n_dropped
    assert any("alone in a level" in text for text in results.manifest["warnings"]) == (
        done["singletons"] > 0
    )


@HOLES
@pytest.mark.parametrize("kind", [name for name, case in CASES.items() if case.peer])
def test_panel_equals_pyfixest(kind: str, holes: bool) -> None:
    long, effects = case_rows(kind, holes), CASES[kind].peer
    ends = np.sort(long[["province_i", "province_j"]].to_numpy(dtype=str), axis=1)
    long = long.assign(one_province=ends[:, 0], other_province=ends[:, 1])
    assert effects is not None
    against_pyfixest(run_case(kind, holes), long, NAMES, effects)


@pytest.mark.parametrize("ends", ["bin", "drop"])
def test_event_study(ends: str) -> None:
    frame = panel(4)
    job = {
        "pairs": {"exclude": "none"},
        "treatment": {"adoption": "pilot_year", "rule": "either"},
        "controls": {},
        "model": {
            "estimator": "event_study",
            "window": [-2, 1],
            "ends": ends,
            "fixed_effects": ["pair", "city x year"],
            "errors": ["pair", "dyadic"],
        },
    }
    results = run_panel(frame, **job)
    long = long_of(frame, exclude=False, gravity=False, rule="either")
    long, names = reference.event_dummies(long, rule="either", base=-1, window=(-2, 1), ends=ends)
    against_dummies(results, long, names, [literal.pair, literal.city_year])
    assert results.event_study is not None
    assert sorted(results.event_study["event_time"].unique()) == [-2, -1, 0, 1]


def test_cells_of_a_sweep_are_what_they_are_alone() -> None:
    frame, effects = panel(5), [["pair", "year"], ["pair", "year", "province-pair x year"]]
    whole = run_panel(
        frame,
        model={"errors": ["pair", "dyadic"]},
        sweep={"model.controls": [[], ["edu", "dense"]], "model.fixed_effects": effects},
    )
    alone = [
        run_panel(frame, model={"errors": ["pair", "dyadic"], "controls": controls, "fixed_effects": listed})
        for controls in ([], ["edu", "dense"])
        for listed in effects
    ]
    numbers = ["estimate", "std_error", "p_value", "n_obs", "n_pairs", "n_units", "r2", "r2_within"]
    expected = pd.concat([one.estimates[numbers] for one in alone], ignore_index=True)
    pd.testing.assert_frame_equal(whole.estimates[numbers], expected, rtol=CLOSE)
    listed = [cell["fixed_effects"] for cell in whole.manifest["cells"]]
    assert listed == [*effects, *effects]


def test_workers_give_the_same_bits() -> None:
    blocks = {
        "model": {"fixed_effects": ["pair", "distance:3 x year"], "errors": list(KINDS)},
        "runtime": {"tile": 8},
    }
    here, there = (run_panel(panel(3), workers, **blocks) for workers in (None, {"workers": 2}))
    pd.testing.assert_frame_equal(here.estimates, there.estimates, check_exact=True)
    one_tile = run_panel(panel(3), **{**blocks, "runtime": {}}).estimates
    numbers = ["estimate", "std_error", "n_obs", "n_pairs", "r2"]
    pd.testing.assert_frame_equal(here.estimates[numbers], one_tile[numbers], rtol=CLOSE)


# -- pair tables -------------------------------------------------------------------------------------------


def table(seed: int, *, directed: bool = False) -> pd.DataFrame:
    frame = pair_table(seed, directed=directed)
    rng = np.random.default_rng(seed)
    frame["route"] = rng.choice(["rail", "road", "air"], len(frame))
    frame["size"] = rng.uniform(0.2, 5, len(frame))
    frame.loc[rng.random(len(frame)) < 0.05, "route"] = ""
    return frame


def table_rows(frame: pd.DataFrame, *, needs_route: bool) -> pd.DataFrame:
    long = frame.rename(columns={"one": "city_i", "other": "city_j"})
    return long[long["route"] != ""] if needs_route else long


TABLES: Mapping[str, tuple[Sequence[str], Sequence[literal.Levels], Mapping[str, Sequence[str]] | None]] = {
    "column": (
        ["year", "route"],
        [literal.year, literal.column("route")],
        {"year": ["year"], "route": ["route"]},
    ),
    "column by year": (["route x year"], [literal.column("route", "year")], {"both": ["route", "year"]}),
    # Within the clusters of first cities, not within those of pairs: the degrees of freedom differ.
    "first unit": (
        ["year", "one"],
        [literal.year, literal.column("city_i")],
        {"year": ["year"], "one": ["city_i"]},
    ),
    "units": (["city x year"], [literal.city_year], None),
}


@pytest.mark.parametrize("kind", TABLES)
def test_table(kind: str) -> None:
    listed, levels, peer = TABLES[kind]
    frame = table(1)
    errors = list(KINDS) if kind == "column by year" else ["pair", "city", "dyadic"]
    results = run_table(
        frame, model={"regressors": ["x", "w"], "fixed_effects": ["pair", *listed], "errors": errors}
    )
    long = table_rows(frame, needs_route="route" in " ".join(listed))
    against_dummies(results, long, ["x", "w"], [literal.pair, *levels])
    if peer is not None:
        against_pyfixest(results, long, ["x", "w"], peer)


def test_directed_table_with_effects_of_its_ends() -> None:
    """Exporter by year and importer by year: the columns that name the units are columns like others."""
    frame = table(2, directed=True)
    listed = ["one x year", "other x year"]
    model = {
        "regressors": ["x", "w"],
        "fixed_effects": ["pair", *listed],
        "errors": ["pair", "city", "dyadic"],
    }
    results = run_table(frame, directed=True, model=model)
    long = table_rows(frame, needs_route=False)
    levels = [literal.pair, literal.column("city_i", "year"), literal.column("city_j", "year")]
    against_dummies(results, long, ["x", "w"], levels)
    against_pyfixest(
        results, long, ["x", "w"], {"one_year": ["city_i", "year"], "other_year": ["city_j", "year"]}
    )


def test_weighted_table() -> None:
    frame = table(3)
    names = {"source": "pairs.parquet", "unit_i": "one", "unit_j": "other", "year": "year", "weight": "size"}
    model = {"regressors": ["x", "w"], "fixed_effects": ["pair", "year", "route"], "errors": list(KINDS)}
    results = run_table(frame, pair_table=names, model=model)
    long = table_rows(frame, needs_route=True)
    levels = [literal.pair, literal.year, literal.column("route")]
    against_dummies(results, long, ["x", "w"], levels, weight="size")
