"""A status of 0 and 1 in place of a year of adoption: the first year with a 1, and what leaves it open."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import english
from strategies import PANEL_JOB, city_panel

import engine
from engine.cities.first_years import Status
from engine.errors import InputError

YEARS = (2010, 2011, 2012, 2013)
_ = np.nan


def first_years(*rows: list[float]) -> tuple[list[float], list[str]]:
    return with_rows(np.ones((len(rows), len(YEARS)), dtype=bool), *rows)


def with_rows(
    has_row: np.ndarray[Any, Any], *rows: list[float], last_year: int = YEARS[-1]
) -> tuple[list[float], list[str]]:
    units, values = [f"C{k}" for k in range(len(rows))], np.array(rows, dtype=float)
    years, notes = Status("did", values, has_row, units, YEARS, last_year, "p.csv").first_years()
    return years.tolist(), list(english(notes))


def test_the_first_one_is_the_year() -> None:
    years, notes = first_years([0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1])
    np.testing.assert_array_equal(years, [2012, _, 2013])
    assert notes == []


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_any_year_comes_back(adopted: list[int]) -> None:
    """A status made of years gives these years; one from the first year on, or before it, the first."""
    rows = [[float(year >= 2009 + start) for year in YEARS] for start in adopted]
    years, notes = first_years(*rows)
    expected = [max(2009 + start, YEARS[0]) if start < 5 else _ for start in adopted]
    np.testing.assert_array_equal(years, expected)
    assert bool(notes) == any(start <= 1 for start in adopted)


def test_what_is_missing_elsewhere_leaves_the_year_as_it_is() -> None:
    years, notes = first_years([_, 0, 1, _], [0, _, 0, 1], [_, 0, _, 0])
    np.testing.assert_array_equal(years, [2012, 2013, _])
    assert notes == []


def test_rows_that_end_before_the_sample_without_a_one_are_told() -> None:
    rows = [0, 0, _, _], [0, 0, 0, 0], [0, 0, 1, _]
    has_row = ~np.isnan(np.array(rows))
    years, (note,) = with_rows(has_row, *map(list, rows))
    np.testing.assert_array_equal(years, [_, _, 2012])
    assert note == (
        "the rows of 1 city without a 1 in did end before the sample (C0 has none in 2012): it may have adopted since, "
        "and is taken never to"
    )
    assert (
        with_rows(has_row, *map(list, rows), last_year=2011)[1] == []
    )  # after the sample it is nobody's matter


def test_an_empty_cell_after_the_sample_leaves_nothing_open() -> None:
    every = np.ones((2, len(YEARS)), dtype=bool)
    years, notes = with_rows(every, [0, 0, 0, _], [0, 1, 1, 1], last_year=2012)
    np.testing.assert_array_equal(years, [_, 2011])
    assert notes == []


def test_who_begins_with_a_one_may_have_adopted_before() -> None:
    years, (note,) = first_years([1, 1, 1, 1], [_, 1, 1, 1], [0, 0, 0, 1])
    np.testing.assert_array_equal(years, [2010, 2011, 2013])
    assert note == (
        "did is 1 already in the first row of 2 cities (C0 in 2010): they may have adopted earlier, and are taken to "
        "adopt in that year"
    )


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        ([[0, 2, 1, 1]], ["'did' is 2 in C0, 2011, which is neither 0 nor 1 (1 of 4 city-years)"]),
        ([[2012] * 4], ["a column with the year of adoption is treatment.adoption: did"]),
        ([[0, 1, 0, 0]], ["'did' of C0 goes back to 0 in 2012, after a 1 (1 of 1 cities: C0)"]),
        ([[0, 1, _, 0]], ["goes back to 0 in 2013"]),
        ([[0, _, 1, 1]], ["'did' of C0 is missing in 2011, before the first 1 in 2012: the year of adoption is open"]),
        ([[0, _, _, 1]], ["is missing in 2012, before the first 1 in 2013"]),
        ([[0, 0, _, _], [0, 0, 0, 1]], ["'did' of C0 is missing in 2012, after the last 0 and without a 1"]),
        ([[0, _, 0, _], [0, 0, 0, 1]], ["is missing in 2013", "is open (1 of 2 cities: C0)"]),
        ([[_, _, _, _], [0, 0, 0, 1]], ["'did' is empty in all rows of 1 of 2 cities: C0"]),
        ([[0, _, 1, 1], [0, 1, 0, 0], [_, _, _, _]], ["goes back", "is open", "is empty"]),
    ],
)  # fmt: skip
def test_what_says_no_year_is_refused(rows: list[list[float]], messages: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        first_years(*rows)
    for message in messages:
        assert message in str(refused.value)
    assert "treatment.status" in str(refused.value)


# -- in a job


def job(treatment: dict[str, Any], **blocks: Any) -> dict[str, Any]:
    return {
        **PANEL_JOB,
        "panel": {"source": "p.csv"},
        "treatment": {**treatment, "rule": "exactly_one"},
        **blocks,
    }


def with_status(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(did=(frame["pilot_year"] <= frame["year"]).astype(int))


@pytest.mark.parametrize(
    "blocks",
    [{}, {"model": {"estimator": "event_study"}}, {"treatment": {"shift": -2}}, {"years": [2011, 2015]}],
)
def test_a_job_is_that_of_the_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = with_status(city_panel(0))
    frame.to_csv("p.csv", index=False)
    more = blocks.pop("treatment", {}) if "treatment" in blocks else {}
    by_year, by_status = (
        engine.run(job({key: column, **more}, **blocks)).estimates.drop(columns="cell")
        for key, column in (("adoption", "pilot_year"), ("status", "did"))
    )
    pd.testing.assert_frame_equal(by_status, by_year)


def test_the_column_stays_what_it_is_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control of the status reads 0 and 1, not the year."""
    monkeypatch.chdir(tmp_path)
    frame = with_status(city_panel(0))
    frame["same"] = frame["did"]
    frame.to_csv("p.csv", index=False)
    by_itself, by_copy = (
        engine.run(
            job({"status": "did"}, controls={"z": {"sum": f"population * (1 + {name} / 2)"}})
        ).estimates["estimate"]
        for name in ("did", "same")
    )
    np.testing.assert_array_equal(by_itself, by_copy)


Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("treatment", "message"),
    [
        ("{rule: both}", "give exactly one of adoption (a column of years) and status"),
        ("{adoption: pilot_year, status: did, rule: both}", "give exactly one of adoption"),
        ("{status: did, month: m, cutoff: 6, rule: both}", "a status says no month"),
        (
            "{status: pilot_year, rule: both}",
            "a column with the year of adoption is treatment.adoption: pilot_year",
        ),
        ("{status: absent, rule: both}", "absent"),
        ("{status: never, rule: both}", "no unit adopts"),
        (
            "{status: year, rule: both}",
            "treatment.status: 'year' tells rows apart, and is no column of values",
        ),
        ("{adoption: city, rule: both}", "treatment.adoption: 'city' tells rows apart"),
    ],
)
def test_a_job_that_cannot_be_is_refused(
    command: Command, tmp_path: Path, treatment: str, message: str
) -> None:
    with_status(city_panel(0)).assign(never=0).to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "job.yaml").write_text(
        f"job: small\npanel: {{source: p.csv}}\noutcome: {{synchronization: output}}\ntreatment: {treatment}\n"
    )
    code, out, err = command("check", "job.yaml")
    assert code == 2
    assert message in re.sub(r"\s+", " ", out + err)


def test_a_status_is_not_filled(command: Command, tmp_path: Path) -> None:
    with_status(city_panel(0)).to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "job.yaml").write_text(
        "job: small\npanel: {source: p.csv, fill: {max_gap: 1, columns: [did]}}\noutcome: {synchronization: output}\n"
        "treatment: {status: did, rule: both}\n"
    )
    code, out, err = command("check", "job.yaml")
    assert code == 2
    assert "'did' is a status of 0 and 1, whose cells are neither filled nor deflated" in out + err


def test_a_status_that_was_not_kept_up_is_refused_and_rows_that_end_are_told(
    command: Command, tmp_path: Path
) -> None:
    """An adopter whose cells are empty from its year on would be taken for a city that never adopts."""
    frame = with_status(city_panel(0))
    adopter = frame.loc[frame["did"] == 1, "city"].iloc[0]
    since = (frame["city"] == adopter) & (frame["did"] == 1)
    (tmp_path / "job.yaml").write_text(
        "job: small\npanel: {source: p.csv, balance: keep}\noutcome: {synchronization: output}\n"
        "treatment: {status: did, rule: both}\n"
    )
    frame.assign(did=frame["did"].where(~since)).to_csv(tmp_path / "p.csv", index=False)
    code, out, err = command("check", "job.yaml")
    assert code == 2
    assert f"'did' of {adopter} is missing in" in re.sub(r"\s+", " ", out + err)
    frame[~since].to_csv(tmp_path / "p.csv", index=False)
    code, out, err = command("check", "job.yaml")
    assert code == 0
    assert "the rows of 1 city without a 1 in did end before the sample" in re.sub(r"\s+", " ", out + err)
