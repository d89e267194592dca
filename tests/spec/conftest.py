"""Job files as text: the two of the README, and a minimal one to bend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TABLE_1 = """
job: table1_baseline
title: "Table 1. Baseline regression"
panel: {source: "builtin:china_demo"}     # or a path; with columns:, deflate:, fill:, balance:
years: [2010, 2019]
index:
  development:
    entropy: [gdp_per_capita, gdp_growth, investment_per_capita, services_share, fdi_per_capita,
              industrial_output, retail_sales_per_capita, savings_per_capita, average_wage]
outcome: {synchronization: development}
pairs:
  exclude: both_treated
  gravity: {mass: [population, gdp_real, land_area, admin_rank], year: mean, keep: above_median}
treatment: {adoption: pilot_year, rule: exactly_one}
controls:
  edu:    {neg_abs_log_diff: education_spending}
  tech:   {neg_abs_log_diff: science_spending}
  second: {neg_abs_diff: secondary_share}
  fd:     {neg_abs_diff: fiscal_revenue / fiscal_expenditure}
  innov:  {neg_abs_log_diff: patents_per_10k}
model: {estimator: twfe, fixed_effects: [pair, year], errors: [pair, city, dyadic, jackknife]}
sweep:
  model.controls: [[], [edu], [edu, tech], [edu, tech, second], [edu, tech, second, fd], [edu, tech, second, fd, innov]]
"""

PAIR_TABLE = """
job: trade
pair_table: {source: trade.parquet, unit_i: exporter, unit_j: importer, year: year, directed: false}
outcome: {column: ln_trade}
model: {estimator: twfe, regressors: [rta], fixed_effects: [pair, year], errors: [pair, city, dyadic, jackknife]}
"""

MINIMAL = """
job: small
panel: {source: cities.csv}
outcome: {synchronization: growth(gdp)}
treatment: {adoption: pilot_year, rule: exactly_one}
controls: {edu: {neg_abs_diff: education}, tech: {neg_abs_diff: science}}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a job file below a fresh folder and returns its path."""

    def _write(text: str, name: str = "job.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def table_1() -> str:
    return TABLE_1


@pytest.fixture
def pair_table() -> str:
    return PAIR_TABLE


@pytest.fixture
def minimal() -> str:
    return MINIMAL
