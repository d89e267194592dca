"""Effects by the adoption years of both cities: means of the explicit pair-year table, literal sums and refits."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from strategies import run_panel
from tolerances import BRUTE

import engine
from engine.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]

RULES = ("either", "both", "exactly_one", "count")
ERRORS = ["pair", "dyadic", "jackknife"]
YEARS = range(2010, 2018)
SOME: tuple[float, ...] = (2012.0, *[2013.0] * 3, *[2014.0] * 2, *[2016.0] * 3, *[np.inf] * 7)
EVERYONE: tuple[float, ...] = (*[2012.0] * 3, *[2014.0] * 5, *[2016.0] * 8)
TYPE = ["adopted_i", "adopted_j"]


def panel(adopted: tuple[float, ...]) -> pd.DataFrame:
    frame = worlds.panel(3, n_cities=len(adopted))
    codes = np.random.default_rng(8).permutation(adopted)
    return frame.assign(pilot_year=np.repeat(np.where(np.isinf(codes), np.nan, codes), len(YEARS)))


def blocks(rule: str, errors: list[str] | None = None, **options: Any) -> dict[str, Any]:
    return {
        "controls": {},
        "pairs": {"exclude": "none"},
        "treatment": {"adoption": "pilot_year", "rule": rule},
        "model": {
            "estimator": "callaway_santanna",
            "errors": errors or ["pair"],
            "options": {"cohorts": "cities", **options},
        },
    }


@cache
def run(adopted: tuple[float, ...], rule: str, **options: Any) -> engine.Results:
    return run_panel(panel(adopted), **blocks(rule, ERRORS, **options))


# -- the definition ----------------------------------------------------------------------------------------


def treatment(rule: str, first: float, second: float, year: int) -> float:
    """Of a pair whose cities adopt in two years."""
    adopted = [year >= first, year >= second]
    return float({"either": any(adopted), "both": all(adopted), "exactly_one": sum(adopted) == 1,
                  "count": sum(adopted)}[rule])  # fmt: skip


def change(rule: str, first: float, second: float) -> float:
    """The year in which the treatment is not zero for the first time."""
    return next((year for year in range(2000, 2030) if treatment(rule, first, second, year)), np.inf)


@cache
def pair_years(adopted: tuple[float, ...], rule: str) -> pd.DataFrame:
    """The pair-year table, wide: a row a pair, its cities, type, year of change, and outcomes by year."""
    frame = panel(adopted)
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False),
        worlds.observed_adoption(frame),
        rule="either",
        exclude=False,
    )
    cities = ["city_i", "city_j", "adoption_i", "adoption_j"]
    wide = long.pivot(index=cities, columns="year", values="y").reset_index()
    years = np.sort(wide[["adoption_i", "adoption_j"]].to_numpy(), axis=1)
    return wide.assign(
        adopted_i=years[:, 0], adopted_j=years[:, 1], changed=[change(rule, *pair) for pair in years]
    )


def without_never(table: pd.DataFrame, anticipation: int = 0) -> tuple[pd.DataFrame, list[int]]:
    """Where every pair is treated in the end, the last to change are never treated, in the years before they do."""
    last = table["changed"].max()
    years = [year for year in YEARS if year < last - anticipation]
    return table.assign(changed=table["changed"].where(table["changed"] < last, np.inf)), years


def definition(
    table: pd.DataFrame,
    years: list[int],
    *,
    control: str,
    base_period: str = "varying",
    anticipation: int = 0,
) -> dict[tuple[float, float, int], tuple[float, pd.Series, pd.Series, int]]:
    """Effect, treated and control rows, and base year, of the cells that some pairs identify."""
    cells = {}
    for (first, second, changed), _ in table[np.isfinite(table["changed"])].groupby([*TYPE, "changed"]):
        treated = (table["adopted_i"] == first) & (table["adopted_j"] == second)
        before = [year for year in years if year + anticipation < changed]
        for year in years:
            earlier = [base for base in years if base < year]
            base = before[-1] if year >= changed or base_period == "universal" else max(earlier, default=year)
            if base == year:
                continue
            if control == "never":
                compared = np.isinf(table["changed"])
            else:
                compared = table["changed"] > max(year, base) + anticipation
            compared &= table["changed"] != changed
            if compared.any():
                since = table[year] - table[base]
                cells[first, second, year] = (
                    since[treated].mean() - since[compared].mean(), treated, compared, base
                )  # fmt: skip
    return cells


def influence(table: pd.DataFrame, cell: tuple[float, pd.Series, pd.Series, int], year: int) -> Array:
    """Of each pair on a cell: its deviation from the mean of its side over the number of pairs there."""
    _, treated, compared, base = cell
    since, psi = table[year] - table[base], np.zeros(len(table))
    for side, sign in ((treated, 1.0), (compared, -1.0)):
        psi[side] += sign * (since[side] - since[side].mean()) / side.sum()
    return psi


def name(first: float, second: float) -> str:
    return "-".join("never" if np.isinf(year) else f"{year:.0f}" for year in (first, second))


def frame_of(results: engine.Results, errors: str = "pair") -> pd.DataFrame:
    frame = results.frames["pair_group_time"]
    return frame[frame["errors"] == errors].reset_index(drop=True)


CASES = [
    *((rule, {"control": "not_yet"}) for rule in RULES),
    *((rule, {"control": "never", "base_period": "universal"}) for rule in ("both", "count")),
    ("exactly_one", {"control": "not_yet", "base_period": "universal", "anticipation": 1}),
]


@pytest.mark.parametrize(("rule", "options"), CASES)
def test_cells_are_means_of_the_pair_year_table(rule: str, options: dict[str, Any]) -> None:
    table = pair_years(SOME, rule)
    expected = definition(table, list(YEARS), **options)
    frame = frame_of(run(SOME, rule, **options))
    known = frame[frame["estimate"].notna()]
    keys = list(known[[*TYPE, "year"]].itertuples(index=False, name=None))
    assert keys == sorted(expected)
    values = [expected[key][0] for key in keys]
    np.testing.assert_allclose(known["estimate"], values, rtol=0, atol=1e-10)
    for row, key in zip(known.itertuples(), keys, strict=True):
        _, treated, compared, _ = expected[key]
        controls = table[compared]
        assert (row.n_pairs, row.n_controls) == (treated.sum(), len(controls))
        assert set(row.control_types.split("; ")) == {name(*pair) for pair in controls[TYPE].to_numpy()}
        assert row.treatment == treatment(rule, *key)
        assert row.event_time == row.year - change(rule, *key[:2])
        assert row.reason == ("one_pair" if treated.sum() == 1 else "")


def test_treatment_paths_of_two_adopters() -> None:
    """0, 1, 2 under count, and 0, 1, 0 under exactly one, where pairs that adopt together are never treated."""
    count, one = (frame_of(run(SOME, rule, control="not_yet")) for rule in ("count", "exactly_one"))
    path = {
        rule: frame[(frame["adopted_i"] == 2013) & (frame["adopted_j"] == 2016)].set_index("year")[
            "treatment"
        ]
        for rule, frame in (("count", count), ("one", one))
    }
    assert path["count"].loc[2011:].tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert path["one"].loc[2011:].tolist() == [0, 0, 1, 1, 1, 0, 0]
    together = one["adopted_i"] == one["adopted_j"]
    assert not together.any()
    assert (count["adopted_i"] == count["adopted_j"]).any()
    assert one["control_types"].str.contains("2013-2013").any()


# -- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["either", "count"])
def test_errors_are_literal_sums_and_refits(rule: str) -> None:
    results = run(SOME, rule, control="not_yet")
    table, years = pair_years(SOME, rule), list(YEARS)
    cells = definition(table, years, control="not_yet")
    keys = sorted(cells)
    psi = np.stack([influence(table, cells[key], key[2]) for key in keys], axis=1)
    ends = table[["city_i", "city_j"]].to_numpy()
    cities = np.unique(ends)
    n_types = table.loc[np.isfinite(table["changed"]), TYPE].drop_duplicates().shape[0]
    n_rows, n_parameters = len(table) * len(years), n_types * (len(years) - 1) + len(years)

    def factor(n_clusters: int) -> float:
        return n_clusters / (n_clusters - 1) * (n_rows - 1) / (n_rows - n_parameters)

    dyadic = np.zeros(len(keys))
    for p, q in itertools.product(range(len(table)), repeat=2):
        if set(ends[p]) & set(ends[q]):
            dyadic += psi[p] * psi[q]
    refits = []
    for city in cities:
        left = definition(table[(ends != city).all(axis=1)], years, control="not_yet")
        refits.append([left[key][0] if key in left else np.nan for key in keys])
    steps = np.array(refits) - [cells[key][0] for key in keys]
    variances = {
        "pair": (psi**2).sum(axis=0) * factor(len(table)),
        "dyadic": np.where(dyadic > 0, dyadic, np.nan) * factor(len(cities)),
        "jackknife": (len(cities) - 1) / len(cities) * (steps**2).sum(axis=0),
    }
    one_pair = np.array([cells[key][1].sum() == 1 for key in keys])
    assert one_pair.any()
    for errors, variance in variances.items():
        frame = frame_of(results, errors)
        found = frame.loc[frame["estimate"].notna(), "std_error"].to_numpy()
        assert np.isnan(found[one_pair]).all()
        is_literal = ~one_pair & ~np.isnan(variance)
        assert is_literal.sum() > 20
        np.testing.assert_allclose(found[is_literal], np.sqrt(variance[is_literal]), rtol=1e-9, atol=BRUTE)
        if errors == "jackknife":
            assert np.isnan(found[~is_literal]).all()
        half = (frame["conf_high"] - frame["conf_low"]) / 2
        np.testing.assert_array_equal(half.isna(), frame["std_error"].isna())


# -- averages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["either", "both"])
def test_types_add_up_to_cohorts_and_averages_are_the_same(rule: str) -> None:
    """Weighted by their pairs the types of a year are its cohort, before adoption too; and so is every average."""
    types = run(SOME, rule, control="not_yet")
    whole = run_panel(panel(SOME), **blocks(rule, ERRORS, control="not_yet", cohorts="pair"))
    assert "pair_group_time" not in whole.frames
    assert "group_time" not in types.frames
    frame = frame_of(types)
    frame = frame[frame["estimate"].notna()].assign(cohort=lambda rows: rows["year"] - rows["event_time"])
    sums = (
        frame.assign(total=frame["estimate"] * frame["n_pairs"])
        .groupby(["cohort", "year"])[["total", "n_pairs"]]
        .sum()
    )
    cells = whole.frames["group_time"].query("errors == 'pair'").set_index(["cohort", "year"])
    assert sums.index.tolist() == cells.index.tolist()
    np.testing.assert_array_equal(sums["n_pairs"], cells["n_pairs"])
    np.testing.assert_allclose(sums["total"] / sums["n_pairs"], cells["estimate"], rtol=0, atol=1e-12)
    assert types.estimates["term"].tolist() == whole.estimates["term"].tolist()
    np.testing.assert_allclose(types.estimates["estimate"], whole.estimates["estimate"], rtol=0, atol=1e-12)
    refitted = [results.estimates.query("errors == 'jackknife'")["std_error"] for results in (types, whole)]
    np.testing.assert_allclose(*refitted, rtol=1e-9)


@pytest.mark.parametrize("rule", ["exactly_one", "count"])
def test_averages_are_of_years_in_which_the_treatment_is_on(rule: str) -> None:
    results = run(SOME, rule, control="not_yet")
    frame = frame_of(results)
    frame = frame[frame["estimate"].notna()]
    on = frame[(frame["event_time"] >= 0) & (frame["treatment"] > 0)]
    assert (len(on) < (frame["event_time"] >= 0).sum()) == (rule == "exactly_one")

    def mean(rows: pd.DataFrame) -> float:
        return float(np.average(rows["estimate"], weights=rows["n_pairs"]))

    values = results.estimates.query("errors == 'pair'").set_index("term")["estimate"]
    expected = {"simple": mean(on), "calendar": np.mean([mean(rows) for _, rows in on.groupby("year")])}
    shown = pd.concat([frame[frame["event_time"] < 0], on])
    expected |= {f"policy[{time:+d}]": mean(rows) for time, rows in shown.groupby("event_time")}
    years = on.groupby(TYPE).agg(estimate=("estimate", "mean"), n_pairs=("n_pairs", "first"))
    expected["group"] = mean(years)
    expected["dynamic"] = np.mean([mean(rows) for _, rows in on.groupby("event_time")])
    assert set(expected) == set(values.index)
    np.testing.assert_allclose(values[list(expected)], list(expected.values()), rtol=0, atol=1e-12)


def test_draws_of_the_averages_do_not_depend_on_the_cohorts() -> None:
    drawn = [
        run_panel(
            panel(SOME),
            **blocks("either", control="not_yet", cohorts=cohorts),
            inference={"permutation": {"reps": 9}, "bootstrap": {"kind": "node", "reps": 9}},
        ).draws
        for cohorts in ("pair", "cities")
    ]
    columns = ["method", "term", "replicate"]
    pd.testing.assert_frame_equal(drawn[0][columns], drawn[1][columns])
    np.testing.assert_allclose(drawn[0]["estimate"], drawn[1]["estimate"], rtol=1e-9, atol=1e-12)


# -- what nothing identifies -------------------------------------------------------------------------------


def test_no_controls_are_left_once_every_pair_is_treated() -> None:
    """The last to change are the controls of others, so that they have no effect of their own."""
    frame = frame_of(run(EVERYONE, "both", control="not_yet"))
    table, years = without_never(pair_years(EVERYONE, "both"))
    expected = definition(table, years, control="not_yet")
    known = frame[frame["estimate"].notna()]
    assert list(known[[*TYPE, "year"]].itertuples(index=False, name=None)) == sorted(expected)
    np.testing.assert_allclose(
        known["estimate"], [expected[key][0] for key in sorted(expected)], rtol=0, atol=1e-10
    )
    missing = frame[frame["estimate"].isna()]
    assert set(missing["reason"]) == {"no_controls"}
    assert set(map(tuple, missing.loc[missing["year"] < 2016, TYPE].to_numpy())) == {
        (2012, 2016), (2014, 2016), (2016, 2016)
    }  # fmt: skip
    late = frame[frame["year"] >= 2016]
    assert (late["reason"] == "no_controls").all()
    assert (missing["n_controls"] == 0).all()
    assert (missing["control_types"] == "").all()
    assert missing[["std_error", "dof", "conf_low", "conf_high"]].isna().all(axis=None)
    assert len(frame) == 6 * 7


def test_types_that_are_treated_from_the_start_or_screened_out() -> None:
    adopted = tuple(2010.0 if year == 2012 else year for year in SOME)
    frame = panel(adopted)
    results = run_panel(frame, **blocks("either", control="not_yet"))
    cells = frame_of(results)
    first = cells["adopted_i"] == 2010
    assert set(cells.loc[first, "reason"]) == {"no_base_period"}
    assert cells.loc[first, "estimate"].isna().all()
    assert (cells.loc[first, "n_pairs"] > 0).all()
    assert not cells.loc[~first, "reason"].isin(["no_base_period"]).any()
    (warning,) = [text for text in results.manifest["warnings"] if "no effect that is identified" in text]
    assert all(f"2010-{later}" in warning for later in ("2013", "2014", "2016", "never"))
    small = frame["city"].isin(frame.loc[frame["pilot_year"] == 2014, "city"])
    frame["population"] = frame["population"].where(~small, 1e-12)
    screened = blocks("either", control="not_yet") | {
        "pairs": {"exclude": "none", "gravity": {"mass": ["population"], "keep": "above_median"}}
    }
    cells = frame_of(run_panel(frame.assign(pilot_year=frame["pilot_year"].replace(2010, 2012)), **screened))
    gone = cells[TYPE].eq(2014).any(axis=1)
    assert set(cells.loc[gone, "reason"]) == {"no_pairs"}
    assert (cells.loc[gone, "n_pairs"] == 0).all()
    assert not cells.loc[~gone, "control_types"].str.contains("2014").any()


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "two changes without types": (
        "count",
        {"estimator": "callaway_santanna"},
        "an event study of rule count has no single adoption year .* or callaway_santanna with cohorts: cities",
    ),
    "two changes in another estimator": (
        "exactly_one",
        {"estimator": "sun_abraham", "options": {"cohorts": "cities"}},
        "an event study of rule exactly_one has no single adoption year",
    ),
    "types in another estimator": (
        "either",
        {"estimator": "stacked", "options": {"cohorts": "cities"}},
        "model.options.cohorts: has no meaning in this job: it is for estimator callaway_santanna",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_types_is_refused(case: str) -> None:
    rule, model, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        run_panel(panel(SOME), **{**blocks(rule), "model": {"errors": ["pair"], **model}})
