"""Robustness, matching and splits on the real Chinese panel, and all nine indicators to 2016, against pyfixest."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import reference
from designs import INDICATORS, MASSES
from oracle_matching import plain_search, score
from peers import against_brute_force, against_pyfixest, cell
from test_real_panel import CONTROLS, DATA, DEFLATED, HERE, cleaned, yearbook

import engine
from engine.spec import expand, load_job

REGRESSORS = [*CONTROLS, "policy"]
EARLIER = {"three years earlier": 3, "four years earlier": 4}
LEFT_OUT = {f"{name}, treated in truth left out": years for name, years in EARLIER.items()}
AROUND = {"three years around adoption": 3, "four years around adoption": 4}
OTHER_PAIRS: dict[str, dict[str, object]] = {
    "both pilots, either counts": {"rule": "either", "exclude_both_treated": False},
    "both pilots, switching off": {"exclude_both_treated": False},
    "weak ties kept": {"gravity": None},
}
CASES = ["baseline", *EARLIER, *LEFT_OUT, *AROUND, "coefficient of variation", *OTHER_PAIRS]
CASES += ["policy and controls lagged"]
SPANS = ["robustness", "nine_robustness"]
SPLITS = {
    "students_per_10k": lambda raw: raw["uni_students"] / raw["pop_resident_interp_10k"],
    "finance": lambda raw: (raw["deposits"] + raw["loans"]) / raw["gdp"],
    "broadband": lambda raw: raw["broadband_10k"] / raw["pop_resident_interp_10k"],
}

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.exists(), reason=f"no real city panel: {DATA.name} is not there"),
]


@cache
def run(job: str) -> engine.Results:
    return engine.run(HERE / f"{job}_real.yaml")


@cache
def clean(*, nine: bool = False, more: str = "") -> pd.DataFrame:
    """The panel as the job files describe it; ``nine`` has investment and gross output, ``more`` one more column."""
    raw = pd.read_parquet(DATA).sort_values(["city", "year"], ignore_index=True)
    table, deflated = yearbook(raw), DEFLATED
    if nine:
        own = {
            "investment_per_capita": raw["fai"] / raw["pop_resident_interp_10k"],
            "industrial_output": raw["ind_output"],
        }
        table, deflated = table.assign(**own), [*DEFLATED, "industrial_output"]
    if more in SPLITS:
        table[more] = SPLITS[more](raw)
    last = 2016 if nine else 2019
    table = cleaned(raw, table, deflated=deflated, adoption=raw["treat_year"], last_year=last)
    return table.assign(
        development=reference.entropy_index(table, INDICATORS),
        fiscal_balance=table["fiscal_revenue"] / table["fiscal_expenditure"],
    )


@cache
def design(*, nine: bool = False, more: str = "", **changes: object) -> pd.DataFrame:
    arguments = {"rule": "exactly_one", "exclude_both_treated": True, "gravity": reference.Gravity(MASSES)}
    return reference.pair_panel(
        clean(nine=nine, more=more),
        series="development",
        adoption="adoption",
        controls=CONTROLS,
        **{**arguments, **changes},
    ).long


def rebuilt(case: str, *, nine: bool) -> pd.DataFrame:
    """The rows of a case, made from those of the baseline or by the reference with other arguments."""
    if case in OTHER_PAIRS:
        return design(nine=nine, **OTHER_PAIRS[case])
    long = design(nine=nine, earlier=(EARLIER | LEFT_OUT).get(case, 0))
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    if case in LEFT_OUT:
        return long[long["year"] < adopted]
    if case in AROUND:
        return long[np.isinf(adopted) | ((long["year"] - adopted).abs() <= AROUND[case])]
    if case == "coefficient of variation":
        return long.assign(y=variation(long, clean(nine=nine)))
    if case == "policy and controls lagged":
        long = long.sort_values(["city_i", "city_j", "year"])
        lagged = long.groupby(["city_i", "city_j"])[REGRESSORS].shift(1)
        return long.assign(**lagged).dropna(subset=["policy"])
    return long


def variation(long: pd.DataFrame, cities: pd.DataFrame) -> np.ndarray:
    own = cities.set_index(["city", "year"])[["development", "population"]]
    d, p = (
        np.stack([own[name].loc[list(zip(long[side], long["year"], strict=True))] for side in reference.PAIR])
        for name in own
    )
    share = p / p.sum(axis=0)
    mean = (share * d).sum(axis=0)
    return np.sqrt((share * (d - mean) ** 2).sum(axis=0)) / mean


def test_every_case_is_tested() -> None:
    for job in SPANS:
        assert [one.label for one in expand(load_job(HERE / f"{job}_real.yaml")).cells] == CASES


@pytest.mark.parametrize("job", SPANS)
@pytest.mark.parametrize(
    "case", [CASES[0], *(pytest.param(one, marks=pytest.mark.slow) for one in CASES[1:])]
)
def test_robustness(case: str, job: str) -> None:
    long = rebuilt(case, nine=job == "nine_robustness")
    found = cell(run(job), CASES.index(case))
    against_pyfixest(found, long, REGRESSORS)
    against_brute_force(found, long, REGRESSORS, kinds=["dyadic"])


@pytest.mark.parametrize("number", [0, 4])
def test_table_1_with_nine_indicators(number: int) -> None:
    names = [*list(CONTROLS)[:number], "policy"]
    against_pyfixest(cell(run("nine"), number), design(nine=True), names)
    against_brute_force(cell(run("nine"), number), design(nine=True), names, kinds=["dyadic"])


def test_event_study_with_nine_indicators() -> None:
    long, dummies = reference.event_dummies(
        design(nine=True), rule="exactly_one", base=-1, window=(-5, 1), ends="bin"
    )
    against_pyfixest(cell(run("nine_event_study")), long, [*CONTROLS, *dummies])


@pytest.mark.slow
@pytest.mark.parametrize("nine", [False, True])
def test_matching_of_pairs(nine: bool) -> None:
    long = design(nine=nine).sort_values(["city_i", "city_j", "year"], ignore_index=True)
    pair = long["city_i"] + "|" + long["city_j"]
    units = long[REGRESSORS].groupby(pair).mean()
    treated = (units["policy"] > 0).to_numpy()
    weight = pd.Series(plain_search(score(units[[*CONTROLS]], treated), treated), index=units.index)
    long = long.assign(w=pair.map(weight))
    job = "nine_matching" if nine else "matching"
    against_pyfixest(cell(run(job)), long[long["w"] > 0], REGRESSORS, weights="w")


@pytest.mark.slow
@pytest.mark.parametrize("nine", [False, True])
@pytest.mark.parametrize("by", ["coastal", *SPLITS])
def test_splits(by: str, nine: bool) -> None:
    """The classes of a split against pyfixest; all rows are in one of them."""
    job = "nine_splits" if nine else "splits"
    long, value = design(nine=nine, more=by), split_values(by, nine=nine)
    both = long["city_i"].map(value) + long["city_j"].map(value)
    cuts = [0.5, 1.5]
    if by in ("finance", "broadband"):
        cuts = list(np.quantile(both.groupby([long["city_i"], long["city_j"]]).first(), [1 / 3, 2 / 3]))
    kind = np.select([both > cuts[1], both > cuts[0]], ["high", "mixed"], "low")
    rows = 0
    for number, one in enumerate(expand(load_job(HERE / f"{job}_real.yaml")).cells):
        split = one.job.pairs.split
        assert split is not None
        if split.by != by:
            continue
        own = long[kind == split.pairs]
        against_pyfixest(cell(run(job), number), own, REGRESSORS)
        against_brute_force(cell(run(job), number), own, REGRESSORS, kinds=["dyadic"])
        rows += len(own)
    assert rows == len(long)


def split_values(by: str, *, nine: bool) -> pd.Series:
    """What a city has of the column; 0 or 1 where the rule is indicator or median."""
    table = clean(nine=nine, more=by)
    if by == "coastal":
        raw = pd.read_parquet(DATA).groupby("city")["coastal"].first()
        return raw.reindex(table["city"].unique())
    wide = table.pivot(index="city", columns="year", values=by)
    if by != "students_per_10k":
        return wide[2010]
    mean = wide.mean(axis=1)
    return (mean > np.median(mean)).astype(int)
