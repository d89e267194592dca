"""Event years in rows: the numbers of the frames, in the style of the job's tables."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from report_frames import event_estimates, event_study

from engine.report.outputs.event_year_table import EVENT_YEAR_TABLE, event_year_table
from engine.report.outputs.output import JobReport


def report(n_cells: int = 1, table: dict[str, Any] | None = None, *, few: bool = False) -> JobReport:
    names = [f"e{place}" for place in range(n_cells)]
    design = {"base": -1, "ends": "bin", "window": [-3, 2]}
    estimates = pd.concat([event_estimates(cell=name) for name in names], ignore_index=True)
    studies = pd.concat([event_study(cell=name) for name in names], ignore_index=True)
    cells = [
        {"cell": name, "number": place, "label": name, "event_study": design}
        for place, name in enumerate(names, 1)
    ]
    manifest = {"treatment": "policy", "confidence": 0.95, "cells": cells, "title": "T", "table": table or {}}
    manifest |= {"data": {"synthetic": False}, "more_data": []}
    return JobReport(
        {"estimates": estimates.assign(n_adopters=2 if few else 9), "event_study": studies}, manifest
    )


def test_every_year_has_its_numbers() -> None:
    job = report()
    table = event_year_table(job, "e0", "T")
    assert table.header == (
        "Estimate", "pair-clustered", "two-way city", "dyadic-robust", "jackknife CRV3", "95% interval", "95% band",
    )  # fmt: skip
    assert [row.label for row in table.rows] == ["≤ −3", "−2", "−1 (reference)", "0", "1", "≥ 2"]
    frame = job.frames["event_study"]
    for row, year in zip(table.rows, (-3, -2, -1, 0, 1, 2), strict=True):
        if year == -1:
            assert [entry.text for entry in row.entries] == ["0", *[""] * 6]
            continue
        of_year = frame[frame["event_time"] == year].set_index("errors")
        values = [entry.value for entry in row.entries[:5]]
        expected = [
            of_year["estimate"].iloc[0],
            *of_year.loc[["pair", "city", "dyadic", "jackknife"], "std_error"],
        ]
        np.testing.assert_array_equal(values, expected)
        dyadic = of_year.loc["dyadic"]
        assert row.entries[5].text == f"[{dyadic['conf_low']:.4f}, {dyadic['conf_high']:.4f}]"
        assert row.entries[6].text == f"[{dyadic['band_low']:.4f}, {dyadic['band_high']:.4f}]"


def test_choices_of_the_table_are_those_of_this_one() -> None:
    choices = {
        "digits": 2,
        "errors": ["dyadic", "pair"],
        "stars": "pair",
        "labels": {"policy[1]": "a year later"},
    }
    table = event_year_table(report(table=choices), "e0", "T")
    assert table.header[1:3] == ("dyadic-robust", "pair-clustered")
    assert table.rows[4].label == "a year later"
    assert table.rows[4].entries[0].text == "0.04***"
    assert table.rows[4].entries[1].text == "(0.05)"
    assert "Significance levels based on pair-clustered errors" in table.notes[1]


def test_no_stars_where_none_are_wanted() -> None:
    table = event_year_table(report(table={"stars": "none"}), "e0", "T")
    assert not any("*" in entry.text for row in table.rows for entry in row.entries)
    assert len(table.notes) == 1


def test_few_adopters_have_no_stars_and_no_intervals_and_a_note() -> None:
    table = event_year_table(report(few=True), "e0", "T")
    assert not any("*" in entry.text or "[" in entry.text for row in table.rows for entry in row.entries)
    assert table.notes[1].startswith("No stars for policy: 2 cities adopting in the sample.")
    assert "no kind of standard error is reliable" in table.notes[2]


def test_the_level_is_that_of_the_cell_and_what_is_undefined_is_said() -> None:
    job = report()
    cells = [entry | {"confidence": 0.9} for entry in job.manifest["cells"]]
    frame = job.frames["event_study"].copy()
    frame.loc[(frame["event_time"] == 1) & (frame["errors"] == "pair"), "std_error"] = np.nan
    changed = replace(
        job, manifest={**job.manifest, "cells": cells}, frames={**job.frames, "event_study": frame}
    )
    table = event_year_table(changed, "e0", "T")
    assert table.header[-2:] == ("90% interval", "90% band")
    assert table.rows[4].entries[1].text == "(n/a)"
    assert any(note.startswith("(n/a): this kind of error is undefined") for note in table.notes)


def test_every_cell_has_a_table_unless_they_are_many() -> None:
    assert [output.name for output in EVENT_YEAR_TABLE.tables(report())] == ["table_event_years"]
    two = list(EVENT_YEAR_TABLE.tables(report(2)))
    assert [output.name for output in two] == ["table_event_years_1", "table_event_years_2"]
    assert two[1].table.title == "T: e1: event years"
    assert list(EVENT_YEAR_TABLE.tables(report(9))) == []


def test_intervals_are_two_columns_of_numbers_in_csv() -> None:
    job = report()
    frame = pd.read_csv(io.StringIO(event_year_table(job, "e0", "T").to_csv()))
    assert list(frame)[-4:] == ["95% interval, low", "95% interval, high", "95% band, low", "95% band, high"]
    study = job.frames["event_study"]
    dyadic = study[study["errors"] == "dyadic"].sort_values("event_time")
    years = frame[frame["row"] != "−1 (reference)"]
    for place, name in enumerate(("conf_low", "conf_high", "band_low", "band_high"), start=-4):
        assert years.iloc[:, place].dtype == np.float64
        np.testing.assert_array_equal(years.iloc[:, place], dyadic.loc[dyadic["event_time"] != -1, name])
    assert frame.loc[frame["row"] == "−1 (reference)"].iloc[0, 3:].isna().all()
    few = pd.read_csv(io.StringIO(event_year_table(report(few=True), "e0", "T").to_csv()))
    assert list(few) == list(frame)
    assert few.iloc[:, -4:].isna().all(axis=None)
