"""The Table 1 design as the reference builds it, for the synthetic panel or a table made from it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import reference

from engine.cities import builtin

JOBS = Path(__file__).parents[1] / "jobs"
TABLE_1, FIGURE_1 = JOBS / "table1_baseline.yaml", JOBS / "figure1_event_study.yaml"

INDICATORS = (
    "gdp_per_capita",
    "gdp_growth",
    "investment_per_capita",
    "services_share",
    "fdi_per_capita",
    "industrial_output",
    "retail_sales_per_capita",
    "savings_per_capita",
    "average_wage",
)
CONTROLS = {
    "edu": ("education_spending", True),
    "tech": ("science_spending", True),
    "second": ("secondary_share", False),
    "fd": ("fiscal_balance", False),
    "innov": ("patents_per_10k", True),
}
MASSES = ("population", "gdp_real", "land_area", "admin_rank")
COLUMNS = [[*list(CONTROLS)[:k], "policy"] for k in range(6)]
SMALL = 40


def cities(n: int = 254) -> pd.DataFrame:
    """The raw table of the synthetic panel."""
    return builtin.load("china_demo", cities=n)


def sample(table: pd.DataFrame, *, rule: str = "exactly_one", **changes: object) -> reference.Sample:
    """The Table 1 design by the reference, with some of its arguments changed."""
    table = table.assign(
        development=reference.entropy_index(table, INDICATORS),
        fiscal_balance=table["fiscal_revenue"] / table["fiscal_expenditure"],
    )
    arguments = {
        "series": "development",
        "adoption": "pilot_year",
        "controls": CONTROLS,
        "exclude_both_treated": True,
        "gravity": reference.Gravity(MASSES),
    }
    return reference.pair_panel(table, rule=rule, **{**arguments, **changes})


@cache
def design(n: int = 254, **changes: object) -> reference.Sample:
    """`sample` of the synthetic panel of n cities, made once; not to be changed in place."""
    return sample(cities(n), **changes)
