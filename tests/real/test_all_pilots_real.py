"""All seven batches joined to the real Chinese panel, 2010 to 2023: adoption years, and the job against pyfixest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import reference
from peers import against_brute_force, against_pyfixest, cell
from sentences import english
from test_real_panel import DATA, HERE, cleaned, yearbook

import engine
from engine.cities import pilots
from engine.pipeline import check

JOB = HERE / "all_pilots_real.yaml"
LATEST = ("years=[2010, 2023]", "treatment.cutoff=6")
INDICATORS = (
    "gdp_per_capita",
    "gdp_growth",
    "investment_per_capita",
    "services_share",
    "industrial_output",
    "retail_sales_per_capita",
    "savings_per_capita",
)
CONTROLS = {
    "edu": ("education_spending", True),
    "tech": ("science_share", False),
    "second": ("secondary_share", False),
    "fd": ("fiscal_balance", False),
}
DEFLATED = ["investment_per_capita", "retail_sales_per_capita", "savings_per_capita", "education_spending"]

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.exists(), reason=f"no real city panel: {DATA.name} is not there"),
]


def start(raw: pd.DataFrame, cutoff: int) -> pd.Series:
    """Effective year of every row, from the raw table of areas, by hand."""
    first: dict[str, int] = {}
    for city, day in pilots.areas()[["city", "approved"]].itertuples(index=False):
        year = day.year + (day.month > cutoff)
        first[city] = min(year, first.get(city, year))
    return raw["city"].map(first)


def clean(cutoff: int) -> pd.DataFrame:
    """The panel as the job file describes it."""
    raw = pd.read_parquet(DATA).sort_values(["city", "year"], ignore_index=True)
    table = yearbook(raw).drop(columns=["fdi_per_capita", "average_wage", "land_area"])
    table["savings_per_capita"] = raw["deposits"] / raw["pop_resident_interp_10k"]
    table = cleaned(raw, table, deflated=DEFLATED, adoption=start(raw, cutoff), last_year=2023)
    return table.assign(
        development=reference.entropy_index(table, INDICATORS),
        fiscal_balance=table["fiscal_revenue"] / table["fiscal_expenditure"],
        science_share=table["science_spending"] / table["fiscal_expenditure"],
    )


def test_adoption_years_are_those_of_the_panel() -> None:
    """But for the cities that a part of them stands for, which the panel leaves out."""
    panel = pd.read_parquet(DATA).groupby("city")["treat_year"].first()
    joined = pilots.adoption().set_index("city").reindex(panel.index)
    own = joined["pilot_mapped"].eq(False)
    assert panel[own].tolist() == joined.loc[own, "pilot_year"].tolist()
    assert panel[joined["pilot_year"].isna()].isna().all()
    parts = pilots.areas()[lambda areas: areas["mapped"]]["city"]
    mapped = joined["pilot_mapped"].eq(True)
    assert set(panel.index[mapped]) == set(parts) & set(panel.index)
    later = panel[mapped].fillna(np.inf)
    assert (joined.loc[mapped, "pilot_year"] < later).all()
    assert int(own.sum() + mapped.sum()) == 156


def test_the_join_tells_who_is_missing() -> None:
    _, (one,) = check(JOB, overrides=LATEST)
    data = one.pass_cells.data
    absent = sorted(set(pilots.adoption()["city"]) - set(pd.read_parquet(DATA)["city"]))
    told = f"builtin:pilots: {len(absent)} of its 163 cities are not in the panel: {', '.join(absent)}"
    assert told in english(data.validation.warnings)
    assert [(table.name, table.synthetic) for table in data.joined] == [("builtin:pilots", False)]


def test_to_2023() -> None:
    sample = reference.pair_panel(
        clean(6),
        series="development",
        adoption="adoption",
        rule="exactly_one",
        controls=CONTROLS,
        exclude_both_treated=True,
        gravity=reference.Gravity(("population", "gdp_real", "admin_rank")),
    )
    results = engine.run(JOB, overrides=LATEST)
    steps = results.manifest["counts"][0]["steps"]
    assert [step["pairs"] for step in steps] == [sample.n_all, sample.n_eligible, *[sample.n_kept] * 2]
    against_pyfixest(cell(results), sample.long, [*CONTROLS, "policy"])
    against_brute_force(cell(results), sample.long, [*CONTROLS, "policy"], kinds=["dyadic"])
