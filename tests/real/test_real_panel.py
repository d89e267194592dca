"""The real Chinese panel, 2010 to 2019, mapped by the jobs beside this file, against pyfixest and brute force.

The data are not the project's to copy: they are read in place, and the tests skip where they are not. The
reference does the same cleaning in pandas: deflating, filling of gaps of up to two years, dropping of cities.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import reference
from designs import INDICATORS, MASSES
from peers import against_brute_force, against_pyfixest, against_refits, cell

import engine

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "data" / "china_city_panel.parquet"
CONTROLS = {
    "edu": ("education_spending", True),
    "tech": ("science_spending", True),
    "second": ("secondary_share", False),
    "fd": ("fiscal_balance", False),
}
COLUMNS = [[*list(CONTROLS)[:k], "policy"] for k in range(5)]
DEFLATED = [
    "investment_per_capita",
    "retail_sales_per_capita",
    "savings_per_capita",
    "average_wage",
    "education_spending",
    "science_spending",
]

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.exists(), reason=f"no real city panel: {DATA.name} is not there"),
]


def yearbook(raw: pd.DataFrame) -> pd.DataFrame:
    """Canonical columns of the raw panel, money at current prices."""
    people = raw["pop_resident_interp_10k"]
    return pd.DataFrame(
        {
            "population": people,
            "gdp_real": raw["gdp_real_2010p"],
            "gdp_per_capita": raw["gdp_real_2010p"] / people,
            "gdp_growth": raw["gdp_growth"],
            "investment_per_capita": raw["loans"] / people,
            "services_share": raw["share3"],
            "fdi_per_capita": raw["fdi_usd10k"] / people,
            "industrial_output": raw["gdp_real_2010p"] * raw["share2"],
            "retail_sales_per_capita": raw["retail"] / people,
            "savings_per_capita": raw["hh_savings"] / people,
            "average_wage": raw["wage"],
            "land_area": raw["land_km2"],
            "admin_rank": raw["admin_rank"].astype(float),
            "education_spending": raw["edu_exp"],
            "science_spending": raw["sci_exp"],
            "secondary_share": raw["share2"],
            "fiscal_revenue": raw["fisc_rev"],
            "fiscal_expenditure": raw["fisc_exp"],
        }
    )


def cleaned(
    raw: pd.DataFrame, table: pd.DataFrame, *, deflated: list[str], adoption: pd.Series, last_year: int
) -> pd.DataFrame:
    """Deflated by the implied GDP deflator, gaps filled, cities with missing years left out; from 2010 on."""
    price = raw["gdp"] / raw["gdp_real_2010p"]
    of_2010 = raw["city"].map(price[raw["year"] == 2010].set_axis(raw.loc[raw["year"] == 2010, "city"]))
    table[deflated] = table[deflated].mul(of_2010 / price, axis=0)
    table = table.groupby(raw["city"]).transform(fill_short_gaps)
    constant = {"latitude": raw["lat"], "longitude": raw["lon"], "adoption": adoption}
    table = table.assign(city=raw["city"], year=raw["year"], **constant)
    table = table[table["year"].between(2010, last_year)]
    complete = table.drop(columns=list(constant)).notna().all(axis=1).groupby(table["city"]).transform("all")
    return table[complete].reset_index(drop=True)


def clean() -> pd.DataFrame:
    """The panel as the job file describes it."""
    raw = pd.read_parquet(DATA).sort_values(["city", "year"], ignore_index=True)
    table = cleaned(raw, yearbook(raw), deflated=DEFLATED, adoption=raw["treat_year"], last_year=2019)
    table = table.rename(columns={"adoption": "pilot_year"})
    return table.assign(
        development=reference.entropy_index(table, INDICATORS),
        fiscal_balance=table["fiscal_revenue"] / table["fiscal_expenditure"],
    )


def fill_short_gaps(series: pd.Series) -> pd.Series:
    """Straight lines over gaps of one or two years between known ones."""
    known = series.notna()
    if known.all():
        return series
    length = (~known).groupby(known.cumsum()).transform("sum")
    line = series.interpolate(method="linear", limit_area="inside")
    return series.where(known | (length > 2), line)


@pytest.fixture(scope="module")
def sample() -> reference.Sample:
    return reference.pair_panel(
        clean(),
        series="development",
        adoption="pilot_year",
        rule="exactly_one",
        controls=CONTROLS,
        exclude_both_treated=True,
        gravity=reference.Gravity(MASSES),
    )


@pytest.fixture(scope="module")
def results() -> engine.Results:
    return engine.run(HERE / "table1_real.yaml")


def test_pairs_at_every_filter(sample: reference.Sample, results: engine.Results) -> None:
    for entry in results.manifest["counts"]:
        assert [step["pairs"] for step in entry["steps"]] == [
            sample.n_all,
            sample.n_eligible,
            sample.n_kept,
            sample.n_kept,
        ]
        assert entry["steps"][-1]["rows"] == len(sample.long)


@pytest.mark.parametrize("column", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 3)), 4])
def test_columns(column: int, sample: reference.Sample, results: engine.Results) -> None:
    against_pyfixest(cell(results, column), sample.long, COLUMNS[column])
    against_brute_force(cell(results, column), sample.long, COLUMNS[column], kinds=["dyadic"])


@pytest.mark.slow
def test_jackknife_by_refits(sample: reference.Sample, results: engine.Results) -> None:
    against_refits(results, sample.long, COLUMNS)


def test_event_study(sample: reference.Sample) -> None:
    events = engine.run(HERE / "event_study_real.yaml")
    long, dummies = reference.event_dummies(
        sample.long, rule="exactly_one", base=-1, window=(-5, 3), ends="bin"
    )
    against_pyfixest(cell(events), long, [*CONTROLS, *dummies])
    against_brute_force(cell(events), long, [*CONTROLS, *dummies], kinds=["dyadic"])
