"""Arithmetic and lags of pair tables, from the job file to the estimates, against pyfixest and dummies written out.

The oracle makes every column with pandas, row by row and by merging on the year before, and knows nothing of grids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from peers import against_brute_force, against_pyfixest, cell
from strategies import dummies
from tolerances import BRUTE, PEER

import engine
from engine.errors import InputError
from engine.pairs import table_values

Frame = pd.DataFrame


def table(seed: int = 5, *, directed: bool = False, missing: float = 0.12) -> Frame:
    """Positive ``trade``, regressors ``x`` and ``rta``, of 12 units from 2001 to 2010; 2006 has no row at all."""
    rng = np.random.default_rng(seed)
    names = [f"u{k:02d}" for k in range(12)]
    pairs = [(a, b) for a in names for b in names if (a < b or directed) and a != b]
    years = [year for year in range(2001, 2011) if year != 2006]
    rows = Frame([(a, b, year) for a, b in pairs for year in years], columns=["city_i", "city_j", "year"])
    start = {pair: rng.integers(2000, 2014) for pair in pairs}
    begins = np.array([start[a, b] for a, b in zip(rows["city_i"], rows["city_j"], strict=True)])
    rows["rta"] = (rows["year"] >= begins).astype(float)
    rows["x"] = rng.normal(size=len(rows)) + rows["year"] % 3
    rows["trade"] = np.exp(0.3 * rows["rta"] + 0.2 * rows["x"] + rng.normal(size=len(rows)))
    rows["size (m)"] = rng.uniform(1, 9, len(rows))
    return rows[rng.random(len(rows)) >= missing].sample(frac=1, random_state=seed).reset_index(drop=True)


def run(folder: Path, frame: Frame, outcome: str, regressors: Sequence[str], **keys: Any) -> engine.Results:
    frame.to_csv(folder / "t.csv", index=False)
    block = {
        "source": "t.csv",
        "unit_i": "city_i",
        "unit_j": "city_j",
        "year": "year",
        **keys.pop("block", {}),
    }
    out = {"column": outcome, **keys.pop("rule", {})}
    model = {"regressors": list(regressors), **keys.pop("model", {})}
    job = {"job": "t", "pair_table": block, "outcome": out, "model": model, **keys}
    (folder / "job.yaml").write_text(yaml.safe_dump(job, allow_unicode=True), encoding="utf-8")
    return engine.run(folder / "job.yaml")


def before(frame: Frame, values: pd.Series, years: int = 1) -> pd.Series:
    """The value in the row of the same pair ``years`` before, by a merge; NaN where there is no such row."""
    late = frame[["city_i", "city_j", "year"]].assign(value=values, year=frame["year"] + years)
    merged = frame[["city_i", "city_j", "year"]].merge(late, "left", ["city_i", "city_j", "year"])
    return pd.Series(merged["value"].to_numpy(), index=frame.index)


def detrended(frame: Frame, values: pd.Series) -> pd.Series:
    """Residual of a line through the pair's rows, by polyfit."""
    out = values * np.nan
    for _, rows in frame.groupby(["city_i", "city_j"]):
        line = np.polyfit(rows["year"], values[rows.index], 1) if len(rows) > 1 else [values[rows.index[0]]]
        out[rows.index] = values[rows.index] - np.polyval(line, rows["year"])
    return out


FORMULAS: dict[str, Callable[[Frame], pd.Series]] = {
    "x * rta": lambda t: t["x"] * t["rta"],
    "log(1 + `size (m)`) / 2": lambda t: np.log(1 + t["size (m)"]) / 2,
    "size (m)": lambda t: t["size (m)"],
    "lag(x)": lambda t: before(t, t["x"]),
    "diff(x) ** 2": lambda t: (t["x"] - before(t, t["x"])) ** 2,
    "growth(`size (m)`)": lambda t: np.log(t["size (m)"]) - np.log(before(t, t["size (m)"])),
    "lag(lag(x)) + rta": lambda t: before(t, t["x"], 2) + t["rta"],
    "detrend(x)": lambda t: detrended(t, t["x"]),
}


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_what_pandas_makes_of_it(text: str, directed: bool, tmp_path: Path) -> None:
    frame = table(directed=directed)
    results = run(tmp_path, frame, "log(trade)", ["rta", text], block={"directed": directed})
    long = frame.assign(y=np.log(frame["trade"]), made=FORMULAS[text](frame)).dropna()
    ours = cell(results)
    renamed = {kind: rows.rename(index={text: "made"}) for kind, rows in ours.rows.items()}
    assert list(ours["pair"].index) == ["rta", text]
    assert set(ours["pair"]["outcome"]) == {"log(trade)"}
    against_pyfixest(type(ours)(renamed), long, ["rta", "made"])
    against_brute_force(type(ours)(renamed), long, ["rta", "made"])


def test_blocks_of_few_pairs_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table()
    whole = run(tmp_path, frame, "trade", ["lag(x)", "detrend(rta)"]).estimates
    monkeypatch.setattr(table_values, "_CELLS", 25)  # two pairs of ten years
    parts = run(tmp_path, frame, "trade", ["lag(x)", "detrend(rta)"]).estimates
    pd.testing.assert_frame_equal(whole, parts)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("lag", [1, 2, 4])
def test_lagged_regressors_are_those_of_the_calendar_year_before(
    lag: int, directed: bool, tmp_path: Path
) -> None:
    frame = table(directed=directed)
    results = run(tmp_path, frame, "trade", ["rta", "x"], block={"directed": directed}, model={"lag": lag})
    late = {name: before(frame, frame[name], lag) for name in ("rta", "x")}
    long = frame.assign(y=frame["trade"], **late)
    there = before(frame, frame["x"], lag).notna()
    against_pyfixest(cell(results), long[there], ["rta", "x"])
    against_brute_force(cell(results), long[there], ["rta", "x"])
    lost = int((~there).sum())
    [note] = [note for note in results.validation["notes"] if "model.lag" in note]
    assert note.startswith(f"{lost:,} of {len(frame):,} rows have no row of the same pair {lag} year")
    assert results.validation["n_used"] == len(frame) - lost


def test_a_lag_reads_the_years_before_the_sample(tmp_path: Path) -> None:
    frame = table()
    results = run(tmp_path, frame, "trade", ["x", "lag(rta)"], model={"lag": 1}, years=[2003, 2010])
    late = {"x": before(frame, frame["x"]), "made": before(frame, frame["rta"], 2)}
    long = frame.assign(y=frame["trade"], **late)
    long = long[(long["year"] >= 2003)].dropna()
    ours = cell(results)
    renamed = {kind: rows.rename(index={"lag(rta)": "made"}) for kind, rows in ours.rows.items()}
    against_pyfixest(type(ours)(renamed), long, ["x", "made"])


def test_a_sweep_over_lags_runs_another_regression_each(tmp_path: Path) -> None:
    frame = table()
    results = run(tmp_path, frame, "trade", ["rta", "x"], sweep={"model.lag": [0, 1]})
    for number, lag in enumerate([0, 1]):
        ours = cell(results, number)
        long = frame.assign(x=before(frame, frame["x"], lag), rta=before(frame, frame["rta"], lag)).dropna()
        expected = estimated(long, "trade", ["rta", "x"])
        np.testing.assert_allclose(ours["pair"]["estimate"], expected, rtol=BRUTE)


# -- logarithms of zero ------------------------------------------------------------------------------------


def estimated(long: Frame, outcome: str, regressors: Sequence[str], *effects: pd.Series) -> Any:
    """Coefficients by least squares on pair and year dummies, and those of further effects, written out."""
    levels = [long["city_i"] + long["city_j"], long["year"], *effects]
    design = np.hstack([long[list(regressors)].to_numpy(), *(dummies(level.to_numpy()) for level in levels)])
    return np.linalg.lstsq(design, long[outcome].to_numpy(), rcond=None)[0][: len(regressors)]


def zeros(frame: Frame, column: str, rows: Sequence[int], value: float = 0.0) -> Frame:
    return frame.assign(**{column: frame[column].where(~frame.index.isin(rows), value)})


@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.parametrize("outcome", ["log(trade)", "lag(log(trade))"])
def test_undefined_outcomes_leave_and_are_reported(outcome: str, value: float, tmp_path: Path) -> None:
    frame = zeros(table(), "trade", [4, 9, 30], value)
    results = run(tmp_path, frame, outcome, ["rta", "x"])
    with np.errstate(all="ignore"):
        log = np.log(frame["trade"])
    undefined = (~np.isfinite(log)).astype(float)
    if outcome.startswith("lag"):
        log, undefined = before(frame, log), before(frame, undefined)
    count, first = int((undefined == 1).sum()), int(np.argmax(undefined == 1)) + 2
    assert count
    said = [text for text in results.manifest["warnings"] if "infinite or undefined outcome" in text]
    assert [text[: len(f"{count} of {len(frame)} rows")] for text in said] == [
        f"{count} of {len(frame)} rows"
    ]
    assert f"the first of them row {first}, and are left out" in said[0]
    assert results.manifest["counts"][0]["infinite_outcomes"] == count
    long = frame.assign(y=log.replace([np.inf, -np.inf], np.nan)).dropna()
    against_pyfixest(cell(results), long, ["rta", "x"])


def test_an_infinite_outcome_is_an_error_that_names_the_row_where_the_job_says_so(tmp_path: Path) -> None:
    frame = zeros(table(), "trade", [3, 8])
    with pytest.raises(InputError) as caught:
        run(tmp_path, frame, "log(trade)", ["x"], rule={"infinite": "error"})
    row = frame.iloc[3]
    assert f"t.csv: row 5, column 'log(trade)': the outcome is infinite ({row['city_i']}" in str(caught.value)
    assert "2 rows in all" in str(caught.value)
    assert "standardised" not in str(caught.value)
    assert "outcome.infinite: drop" in (caught.value.remedy or "")


@pytest.mark.parametrize("text", ["log(trade)", "1 / (trade - trade)", "sqrt(trade - 100000)"])
def test_an_undefined_regressor_is_an_error_that_names_the_row(text: str, tmp_path: Path) -> None:
    frame = zeros(table(), "trade", [6])
    with pytest.raises(
        InputError, match=r"t\.csv: row \d+, column '.*': the regressor is infinite or undefined \(u"
    ):
        run(tmp_path, frame, "x", ["rta", text])


def test_the_row_of_an_undefined_lagged_regressor_is_the_earlier_one(tmp_path: Path) -> None:
    frame = table().sort_values("year", kind="stable").reset_index(drop=True)
    frame = zeros(frame, "trade", [0])  # of 2001
    first = frame.iloc[0]
    later = frame[(frame["city_i"] == first["city_i"]) & (frame["city_j"] == first["city_j"])]
    assert 2002 in set(later["year"])
    with pytest.raises(InputError, match=r"row 2, column 'log\(trade\)'"):
        run(tmp_path, frame, "x", ["log(trade)"], model={"lag": 1}, years=[2002, 2010])


def test_a_missing_value_is_missing_and_no_error(tmp_path: Path) -> None:
    frame = zeros(table(), "trade", [6, 7], np.nan)
    results = run(tmp_path, frame, "x", ["log(trade)"])
    assert results.validation["columns"][0]["n_missing"] == 2
    assert (results.estimates["n_obs"] == frame["trade"].notna().sum()).all()


# -- names -------------------------------------------------------------------------------------------------


def test_a_column_is_taken_before_arithmetic(tmp_path: Path) -> None:
    """A header that looks like a formula is the column of that name."""
    frame = table()
    frame["x * rta"] = np.random.default_rng(1).normal(size=len(frame))
    results = run(tmp_path, frame, "trade", ["x * rta"])
    against_pyfixest(cell(results), frame, ["x * rta"], outcome="trade")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rtaa", "model.regressors[0]: there is no column 'rtaa'\n"),
        ("log(rtaa)", "model.regressors[0]: there is no column 'rtaa'\n"),
        ("size (mm)", "there is no column 'size (mm)', nor is it arithmetic: "),
    ],
)
def test_an_unknown_name_is_suggested(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path, table(), "trade", [text])
    assert says in str(caught.value)
    assert "did you mean" in (caught.value.remedy or "")


# -- weights and levels ------------------------------------------------------------------------------------


def test_weights_may_be_arithmetic_and_missing(tmp_path: Path) -> None:
    frame = zeros(zeros(table(), "size (m)", [5, 6, 7], np.nan), "size (m)", [11, 12])
    results = run(tmp_path, frame, "trade", ["rta", "x"], block={"weight": "2 * `size (m)`"})
    long = frame.assign(y=frame["trade"], w=2 * frame["size (m)"])
    long = long[long["w"] > 0]
    against_pyfixest(cell(results), long, ["rta", "x"], weights="w")
    said = "3 of {n:,} rows have no '2 * `size (m)`', which pair_table.weight names, and are left out"
    assert said.format(n=len(frame)) in results.manifest["warnings"]
    assert f"2 of {len(frame):,} rows have weight zero and are left out" in results.validation["notes"]


def test_rows_without_a_level_leave_and_are_counted(tmp_path: Path) -> None:
    frame = table()
    frame["route"] = np.where(np.arange(len(frame)) % 2, "sea", "air")
    frame.loc[[2, 3, 50], "route"] = None
    results = run(
        tmp_path,
        frame,
        "trade",
        ["rta", "x"],
        model={"fixed_effects": ["pair", "year", "route"], "errors": ["pair"]},
    )
    said = f"3 of {len(frame):,} rows have no 'route', which model.fixed_effects names, and are left out"
    assert said in results.manifest["warnings"]
    long = frame.dropna()
    expected = estimated(long, "trade", ["rta", "x"], long["route"])
    np.testing.assert_allclose(cell(results)["pair"]["estimate"], expected, rtol=PEER)
