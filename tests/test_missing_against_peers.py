"""Missing rows against pyfixest and brute force: pair-years, city-years, and outcomes that are infinite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from designs import COLUMNS, INDICATORS, SMALL, TABLE_1, cities, design, sample
from peers import against_brute_force, against_pyfixest, cell

import engine

PAIR_TABLE = """
job: pair_years
pair_table: {source: pairs.parquet, unit_i: city_i, unit_j: city_j, year: year}
outcome: {column: y}
model: {estimator: twfe, regressors: [edu, tech, second, fd, innov, policy]}
"""

SERIES = """
job: series
panel: {source: series.csv}
outcome: {synchronization: level}
treatment: {adoption: pilot_year, rule: exactly_one}
controls: {size: {neg_abs_log_diff: population}}
"""


def with_holes(long: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The frame with that share of its rows deleted, and with only one row left of three of its pairs."""
    random = np.random.default_rng(seed)
    left = long[random.random(len(long)) >= share]
    order = left.groupby(reference.PAIR).cumcount()
    number = left.groupby(reference.PAIR).ngroup()
    return left[~(number.isin([3, 50, 111]) & (order > 0))]


def run(folder: Path, text: str, name: str, table: pd.DataFrame) -> engine.Results:
    """Run a job on a table, both written into the folder."""
    path = folder / name
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    job = folder / "job.yaml"
    job.write_text(text, encoding="utf-8")
    return engine.run(job)


def test_a_tenth_of_all_pair_years_missing(tmp_path: Path) -> None:
    left = with_holes(design().long.astype({"y": float}), 0.1, seed=1)
    # In this order no rows of a pair are neighbours, and pairs stand in either direction.
    left = left.sample(frac=1, random_state=2)
    turned = left["city_i"].str[-1] < left["city_j"].str[-1]
    table = left.drop(columns=["gap", "adoption_i", "adoption_j"])
    table.loc[turned, reference.PAIR] = table.loc[turned, reference.PAIR[::-1]].to_numpy()
    results = run(tmp_path, PAIR_TABLE, "pairs.parquet", table)
    assert results.manifest["counts"][0]["singleton_pairs"] == 3
    assert len(left) - 3 == results.estimates["n_obs"].iloc[0]
    against_pyfixest(cell(results), left, COLUMNS[5])
    against_brute_force(cell(results), left, COLUMNS[5], kinds=["dyadic"])


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_pair_years_missing_among_forty_cities(tmp_path: Path, share: float) -> None:
    left = with_holes(design(SMALL).long.astype({"y": float}), share, seed=3)
    results = run(tmp_path, PAIR_TABLE, "pairs.parquet", left)
    sizes = left.groupby(reference.PAIR).size()
    assert results.manifest["counts"][0]["singleton_pairs"] == (sizes == 1).sum() >= 3
    against_pyfixest(cell(results), left, COLUMNS[5])
    against_brute_force(cell(results), left, COLUMNS[5])


@pytest.fixture(scope="module")
def gappy() -> pd.DataFrame:
    """Forty cities; cells of indicators and controls missing, whole city-years, one city nearly all."""
    random = np.random.default_rng(4)
    table = cities(SMALL)
    for name in (*INDICATORS, "education_spending", "secondary_share", "fiscal_revenue", "population"):
        table[name] = table[name].mask(random.random(len(table)) < 0.03)
    names = table["city"].unique()
    table.loc[(table["city"] == names[5]) & (table["year"] > 2012), "gdp_growth"] = np.nan
    table.loc[(table["city"] == names[7]) & (table["year"] > 2011), "gdp_growth"] = np.nan
    return table[random.random(len(table)) >= 0.02]


@pytest.mark.parametrize(("window", "columns"), [("full", [0, 5]), ("pre", [3])])
def test_cities_with_missing_years_are_kept(
    tmp_path: Path, gappy: pd.DataFrame, window: str, columns: list[int]
) -> None:
    controls = [COLUMNS[column][:-1] for column in columns]
    job = f"extends: {TABLE_1}\njob: kept\npanel: {{source: gappy.parquet, balance: keep}}\n"
    job += f"outcome: {{window: {window}}}\nsweep: {{model.controls: {controls}}}\n"
    results = run(tmp_path, job, "gappy.parquet", gappy)
    expected = sample(gappy, window=window)
    rows = expected.long
    assert 0.05 < 1 - np.isfinite(rows["y"].astype(float)).mean() < 0.7
    for number, column in enumerate(columns):
        steps = results.manifest["counts"][number]["steps"]
        assert [step["pairs"] for step in steps[:3]] == [expected.n_all, expected.n_eligible, expected.n_kept]
        against_pyfixest(cell(results, number), rows, COLUMNS[column])
        against_brute_force(cell(results, number), rows, COLUMNS[column])
    # Columns have samples of their own: a control may be missing where the outcome is not.
    assert results.estimates.groupby("model.controls")["n_obs"].first().nunique() == len(columns)


def equal_values() -> pd.DataFrame:
    """Fourteen cities, some of whose standardised values coincide, or lie as far apart as they can.

    The first three are permutations of one series of whole numbers with mean 0, so that sums are exact and z
    is equal to the last bit where the permutations agree: the first two in four years, the first and the
    third in all. The next two are opposite spikes in one year, so that rho = 3 - 2T there.
    """
    random = np.random.default_rng(5)
    base = np.array([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5], dtype=float)
    spike = np.array([-1, -1, -1, -1, 9, -1, -1, -1, -1, -1], dtype=float)
    series = [base, base[[0, 1, 2, 3, 5, 6, 7, 8, 9, 4]], base, spike, -spike]
    series += [np.cumsum(random.normal(0.5, 1, 10)) for _ in range(9)]
    rows = [
        {
            "city": f"c{n:02d}",
            "year": 2010 + t,
            "level": x,
            "pilot_year": 2014.0 if n in (1, 4, 6, 9) else None,
        }
        for n, values in enumerate(series)
        for t, x in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(population=lambda frame: np.exp(random.normal(5, 1, len(frame))))


# Not at the default of 1e-6: 6 - 1e-6 is known to 4e-16, so its distance from 6, and rho' with it, to 4e-10.
@pytest.mark.parametrize("clip", [None, 1e-4, 0.25])
def test_infinite_outcomes_are_dropped_or_clipped(tmp_path: Path, clip: float | None) -> None:
    table = equal_values()
    job = SERIES + (f"outcome: {{synchronization: level, infinite: clip, clip: {clip}}}\n" if clip else "")
    job = job.replace("outcome: {synchronization: level}\n", "", 1) if clip else job
    results = run(tmp_path, job, "series.csv", table)
    long = reference.pair_panel(
        table,
        series="level",
        adoption="pilot_year",
        rule="exactly_one",
        controls={"size": ("population", True)},
        clip=clip,
    ).long
    infinite = np.isinf(long["y"].astype(float))
    # Equal in 4 years of (0, 1) and of (1, 2) and in 10 of (0, 2); opposite in 1 of (3, 4).
    expected = 0 if clip else int(infinite.sum())
    assert results.manifest["counts"][0]["infinite_outcomes"] == expected
    assert (infinite.sum() == 19) == (clip is None)
    against_pyfixest(cell(results), long, ["size", "policy"])
    against_brute_force(cell(results), long, ["size", "policy"])
