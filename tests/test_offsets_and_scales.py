"""Numbers far from zero, large and small: x + c and k x are the same regression, in every path.

Values are whole 256ths and offsets whole, so that x + c is exact up to c = 1e12: what differs then is the engine's own
rounding. Factors are powers of two, exact too. Each run is compared with the one on the plain values, which other tests
hold to pyfixest and to literal sums.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import against_pyfixest, cell
from strategies import KINDS, YEARS, pair_table, run_panel, run_table
from tolerances import BRUTE

import engine
from engine.errors import InputError
from engine.pairs.centre import year_effects

offsets = st.sampled_from([0.0, 1.0, -1e3, 1e6, -1e9, 1e12])
powers = st.integers(-40, 40)
"""Two to this power: from 1e-12 to 1e12."""

BOOTSTRAP = {"bootstrap": {"kind": "node", "reps": 12, "seed": 3, "interval": "percentile"}}


def exact(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.assign(**{name: np.round(frame[name] * 256) / 256 for name in columns})


def same(
    found: engine.Results,
    plain: engine.Results,
    factor: dict[str, float] | None = None,
    *,
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """Estimates, errors and draws of one run are those of another, times a factor by term; R2 are equal."""
    for name, numbers in (
        ("estimates", ("estimate", "std_error")),
        ("inference", ("estimate", "std_error", "p_value")),
        ("draws", ("estimate", "statistic")),
    ):
        ours, theirs = getattr(found, name), getattr(plain, name)
        assert len(ours) == len(theirs)
        if name == "estimates":
            rows = theirs["errors"].isin(kinds).to_numpy()
            ours, theirs = ours[rows], theirs[rows]
            np.testing.assert_array_equal(ours["n_obs"], theirs["n_obs"])
            np.testing.assert_allclose(ours[["r2", "r2_within"]], theirs[["r2", "r2_within"]], rtol=BRUTE)
        for number in set(numbers) & set(theirs.columns):
            free = number in ("p_value", "statistic")  # of units
            by = np.array([1.0 if free else (factor or {}).get(term, 1.0) for term in theirs["term"]])
            right, got = theirs[number].to_numpy(float), ours[number].to_numpy(float) / by
            np.testing.assert_array_equal(np.isnan(got), np.isnan(right))
            # Of a coefficient near zero by its size in other draws, or its error.
            size = np.nanmax(np.abs(np.append(right, theirs.get("std_error", 0.0)))) if len(right) else 1.0
            np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-10 * size)


# -- pair tables -------------------------------------------------------------------------------------------


def table(*, directed: bool, missing: float = 0.15) -> pd.DataFrame:
    return exact(pair_table(4, directed=directed, missing=missing), "y", "x", "w")


@cache
def of_table(directed: bool, missing: float = 0.15) -> engine.Results:
    return moved_table({}, {}, directed=directed, missing=missing)


def moved_table(
    offset: dict[str, float], power: dict[str, int], *, directed: bool, missing: float = 0.15, **model: Any
) -> engine.Results:
    frame = table(directed=directed, missing=missing)
    for name in ("y", "x", "w"):
        frame[name] = (frame[name] + offset.get(name, 0.0)) * 2.0 ** power.get(name, 0)
    draws = {} if directed or model else BOOTSTRAP
    model = {"regressors": ["x", "w"], "errors": list(KINDS), **model}
    return run_table(frame, directed=directed, model=model, inference=draws)


def clipped(results: engine.Results) -> bool:
    """Negative eigenvalues were set to zero, in the units of the columns: fixest's rule depends on them."""
    return "negative" in str(results.manifest)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("directed", [False, True])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_tables(directed: bool, missing: float, data: st.DataObject) -> None:
    offset = {name: data.draw(offsets) for name in ("y", "x", "w")}
    power = {name: data.draw(powers) for name in ("y", "x", "w")}
    plain = of_table(directed, missing)
    found = moved_table(offset, power, directed=directed, missing=missing)
    factor = {name: 2.0 ** (power["y"] - power[name]) for name in ("x", "w")}
    kinds = tuple(kind for kind in KINDS if not (kind == "city" and clipped(plain)))
    same(found, plain, factor, kinds=kinds)


@pytest.mark.parametrize("offset", [1e9, 1e12])
def test_a_table_far_from_zero_against_pyfixest(offset: float) -> None:
    """The peer has the values as they are near zero, of which it keeps the digits."""
    frame = table(directed=False)
    found = moved_table({"y": -offset, "x": offset, "w": 3 * offset}, {}, directed=False)
    long = frame.rename(columns={"one": "city_i", "other": "city_j"})
    against_pyfixest(cell(found), long, ["x", "w"])


@pytest.mark.parametrize("offset", [1e6, 1e12])
def test_absorbed_effects(offset: float) -> None:
    """Rows through another effect: the closed form has none for pair and unit by year."""
    model = {"fixed_effects": ["pair", "city x year"]}
    plain = moved_table({}, {}, directed=False, **model)
    found = moved_table({"y": offset, "x": -offset}, {"y": 30, "w": -30}, directed=False, **model)
    same(found, plain, {"x": 2.0**30, "w": 2.0**60}, kinds=("pair", "dyadic", "jackknife"))


def test_an_outcome_that_common_years_dwarf() -> None:
    """Year effects a billion times the rest: they are subtracted before the squares; R2 is of the outcome itself."""
    frame = table(directed=False)
    shift = 2.0**30 * np.array([0, 3, -1, 7, 2, -5, 4, 1])[frame["year"] - YEARS[0]]
    model = {"regressors": ["x", "w"], "errors": ["pair", "dyadic", "jackknife"]}
    plain, found = run_table(frame, model=model), run_table(frame.assign(y=frame["y"] + shift), model=model)
    for number in ("estimate", "std_error", "r2_within"):
        np.testing.assert_allclose(found.estimates[number], plain.estimates[number], rtol=1e-9)
    assert (found.estimates["r2"].between(1 - 1e-12, 1)).all()


def test_year_effects_are_those_of_dummies() -> None:
    rng = np.random.default_rng(8)
    y = rng.normal(size=(30, 6)) + 1e6 * rng.normal(size=(30, 1)) + np.arange(6.0) ** 2
    y[rng.random(y.shape) < 0.3] = np.nan
    pair, year = np.nonzero(np.isfinite(y))
    dummies = np.concatenate([np.eye(30)[pair], np.eye(6)[year][:, 1:]], axis=1)
    right = np.linalg.lstsq(dummies, y[pair, year], rcond=None)[0][30:]
    found = year_effects(y)
    np.testing.assert_allclose(
        found[1:] - found[0], right, atol=1e-7
    )  # the dummies' own 1e-16 of 1e6, times 100


@pytest.mark.parametrize("column", ["y", "x"])
@pytest.mark.parametrize("size", [1e-155, 1e155])
def test_sizes_whose_squares_leave_the_floats_are_refused(column: str, size: float) -> None:
    frame = table(directed=False)
    with pytest.raises(InputError, match=f"'{column}' has .*square.* beyond the range"):
        run_table(frame.assign(**{column: frame[column] * size}))


# -- city panels -------------------------------------------------------------------------------------------

CONTROLS = {
    "edu": {"neg_abs_log_diff": "schools"},
    "dense": {"neg_abs_diff": "density"},
    "people": {"sum": "size"},
    "trade": {"synchronization": "export"},
}


def cities(*, holes: bool) -> pd.DataFrame:
    """A panel of whole 256ths, with two columns more.

    Series vary by some hundred: one that varies by less than 1e-12 of its level is refused as flat.
    """
    frame = worlds.panel(2, holes=holes)
    rng = np.random.default_rng(9)
    size, export = 100 * rng.normal(size=(2, len(frame)))
    frame = frame.assign(size=size, export=export, output=100 * frame["output"])
    return exact(frame, "output", "density", "size", "export")


def of_panel(
    offset: dict[str, float], power: dict[str, int], *, holes: bool, **blocks: Any
) -> engine.Results:
    frame = cities(holes=holes)
    for name in ("output", "density", "size", "export"):
        frame[name] = (frame[name] + offset.get(name, 0.0)) * 2.0 ** power.get(name, 0)
    return run_panel(frame, **{"controls": CONTROLS, **blocks})


DRAWS = {"permutation": {"reps": 12, "seed": 5}, **BOOTSTRAP}
JOBS: dict[str, dict[str, Any]] = {
    "policy": {"model": {"errors": list(KINDS)}, "inference": DRAWS},
    "lag": {"model": {"errors": list(KINDS), "lag": 1}},
    "event study": {"model": {"errors": list(KINDS), "estimator": "event_study", "window": [-3, 2]}},
    "matching": {
        "matching": {"unit": "pooled", "covariates": ["dense", "people"]},
        "model": {"errors": ["pair", "dyadic"]},
    },
    "instrument": {
        "instrument": {"sum": "size"},
        "controls": {"dense": {"neg_abs_diff": "density"}},
        "model": {"errors": ["pair", "dyadic"], "estimator": "iv"},
    },
    "effects": {"model": {"errors": ["pair", "dyadic"], "fixed_effects": ["pair", "province x year"]}},
}


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", JOBS)
def test_panels(name: str, holes: bool) -> None:
    blocks = JOBS[name]
    plain = of_panel({}, {}, holes=holes, **blocks)
    for offset, power in ((1e6, 0), (-1e9, 40), (1e12, -40)):
        found = of_panel(
            {"output": abs(offset), "density": offset, "size": offset, "export": -offset},
            {"density": power, "size": -power, "export": power},
            holes=holes,
            **blocks,
        )
        factor = {"dense": 2.0**-power, "people": 2.0**power}
        kinds = tuple(kind for kind in KINDS if not (kind == "city" and clipped(plain)))
        same(found, plain, factor, kinds=kinds)
        for table in ("instrument", "balance"):
            if table in plain.frames:
                _same_unit_free(found.frames[table], plain.frames[table])


def _same_unit_free(found: pd.DataFrame, plain: pd.DataFrame) -> None:
    """Those columns that have no units."""
    free = [
        c
        for c in plain
        if c.startswith(("smd", "variance_ratio", "t_", "f_stat", "ar_p", "ar_low", "ar_high"))
    ]
    assert free
    np.testing.assert_allclose(found[free].to_numpy(float), plain[free].to_numpy(float), rtol=1e-8, atol=1e-9)


# -- lags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("holes", [False, True])
def test_a_lagged_synchronization_is_that_of_the_years_before(lag: int, holes: bool) -> None:
    """Standardised over all years of the sample, like the outcome; literal frame against pyfixest."""
    frame = cities(holes=holes)
    controls = {"trade": {"synchronization": "export"}, "dense": {"neg_abs_diff": "density"}}
    found = run_panel(
        frame, controls=controls, pairs={"exclude": "none"}, model={"errors": list(KINDS), "lag": lag}
    )
    long = literal_pairs(frame, lag)
    against_pyfixest(cell(found), long, ["trade", "dense", "policy"])


def literal_pairs(frame: pd.DataFrame, lag: int) -> pd.DataFrame:
    """Every pair and year by plain loops: indices over the years that both have, controls of ``lag`` years before."""
    of = {city: rows.set_index("year") for city, rows in frame.groupby("city")}
    rows = []
    for i in of:
        for j in (city for city in of if city > i):
            y, trade = (_index(of[i][name], of[j][name]) for name in ("output", "export"))
            for year in YEARS[lag:]:
                adopted = [of[c]["pilot_year"].iloc[0] <= year - lag for c in (i, j)]
                dense = -abs(of[i]["density"] - of[j]["density"])[year - lag]
                rows.append((i, j, year, y[year], trade[year - lag], dense, float(sum(adopted) == 1)))
    names = ["city_i", "city_j", "year", "y", "trade", "dense", "policy"]
    return pd.DataFrame(rows, columns=names).dropna()


def _index(one: pd.Series, other: pd.Series) -> pd.Series:
    both = one.notna() & other.notna()
    a, b = ((x[both] - x[both].mean()) / x[both].std(ddof=0) for x in (one, other))
    half, n = (a - b) ** 2 / 2, int(both.sum())
    if n < 3:
        return pd.Series(np.nan, one.index)
    return (0.5 * np.log1p((1 - half) / (2 * n - 3)) - 0.5 * np.log(half)).reindex(one.index)


# -- degenerate outcomes -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", ["node", "multiplier"])
@pytest.mark.parametrize(
    "outcome", ["0 everywhere", "constant in pairs", "a year's own", "a regressor's multiple"]
)
def test_degenerate_outcomes_warn_of_nothing(outcome: str, kind: str) -> None:
    """No variation after the effects: coefficients and errors of zero, no R2 within; a perfect fit: R2 of one."""
    frame = table(directed=False)
    number = frame["one"].str[1:].astype(float) + 10 * frame["other"].str[1:].astype(float)
    values = {
        "0 everywhere": 0.0 * frame["y"],
        "constant in pairs": 1e9 + number / 3,
        "a year's own": 1e9 * frame["year"] ** 2.0,
        "a regressor's multiple": 3.0 * frame["x"] + 1e6,
    }
    draws = {"bootstrap": {**BOOTSTRAP["bootstrap"], "kind": kind}}
    found = run_table(
        frame.assign(y=values[outcome]),
        model={"regressors": ["x", "w"], "errors": ["pair", "dyadic", "jackknife"]},
        inference=draws,
    ).estimates
    perfect = outcome.endswith("multiple")
    right = np.where(found["term"] == "x", 3.0, 0.0) if perfect else np.zeros(len(found))
    np.testing.assert_allclose(found["estimate"], right, atol=1e-12)
    np.testing.assert_allclose(found["std_error"], 0.0, atol=1e-12)
    if perfect:
        np.testing.assert_allclose(found["r2_within"], 1.0, rtol=1e-12)
        assert (found["r2"] <= 1).all()
    else:
        assert (found["r2_within"].fillna(0.0) < 1e-6).all()  # or what rounding left of nothing
