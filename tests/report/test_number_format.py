"""Numbers that belong together: one notation a term, from its standard errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_frames import coefficient_rows, event_estimates, event_study

from engine.report.joined_tables import joined
from engine.report.language.wording import ENGLISH
from engine.report.number_format import AlignedNumbers, Notation, notations, number
from engine.report.outputs.event_year_table import event_year_table
from engine.report.outputs.main_result import error_picture, main_result
from engine.report.outputs.output import JobReport
from engine.report.outputs.regression_table import regression_table
from engine.report.outputs.spoken_estimates import spoken_estimates
from engine.report.printed_table import PrintedTable
from engine.report.table_entries import estimate_entries
from engine.report.table_style import TableStyle

ONE_KIND = {"pair": 1.0}


def frame_of(*columns: tuple[float, float], **kinds: Any) -> pd.DataFrame:
    """A column of the table for every estimate with its standard error."""
    rows = [
        coefficient_rows(f"c{place}", "policy", estimate, error, kinds=kinds or ONE_KIND)
        for place, (estimate, error) in enumerate(columns)
    ]
    return pd.DataFrame([row for of_column in rows for row in of_column])


def printed(table: PrintedTable) -> dict[str, list[str]]:
    return {row.label: [entry.text.rstrip("*") for entry in row.entries] for row in table.rows}


def report(estimates: pd.DataFrame, **table: Any) -> JobReport:
    cells = [
        {"cell": cell, "number": place} for place, cell in enumerate(dict.fromkeys(estimates["cell"]), 1)
    ]
    manifest = {"treatment": "policy", "confidence": 0.95, "cells": cells, "title": "T", "table": table}
    return JobReport({"estimates": estimates}, manifest)


@pytest.mark.parametrize(
    ("columns", "estimates", "errors"),
    [
        # A coefficient near zero does not lengthen its row.
        ([(0.00031, 0.04), (0.0702, 0.0412)], ["0.0003", "0.0702"], ["(0.0400)", "(0.0412)"]),
        ([(3e-6, 0.0412)], ["0.0000"], ["(0.0412)"]),
        ([(-3e-6, 0.0412)], ["0.0000"], ["(0.0412)"]),
        # Large numbers: two decimals, unless a column beside them needs four.
        ([(250.1234, 12.3456)], ["250.12"], ["(12.35)"]),
        ([(250.1234, 0.0041)], ["250.1234"], ["(0.0041)"]),
        ([(250.1234, 0.5)], ["250.123"], ["(0.500)"]),
        ([(1919563.01, 165103.32)], ["1,919,563.01"], ["(165,103.32)"]),
        ([(250.1234, 12.3456), (0.0702, 0.0412)], ["250.1234", "0.0702"], ["(12.3456)", "(0.0412)"]),
        # Small errors: three digits of the largest.
        ([(0.00255, 0.000453)], ["0.002550"], ["(0.000453)"]),
        ([(0.5, 0.000453)], ["0.500000"], ["(0.000453)"]),
        # Powers of ten for the coefficient and its error, or for none of them.
        ([(2.55e-6, 4.53e-7)], ["2.55e-06"], ["(4.53e-07)"]),
        ([(0.5, 4.53e-7)], ["5.00e-01"], ["(4.53e-07)"]),
        ([(2.5e-7, 4.53e-6)], ["0.00000025"], ["(0.00000453)"]),
        ([(2.3e7, 5.1e6)], ["2.30e+07"], ["(5.10e+06)"]),
        # Columns share unless their errors differ by more than a factor of 1000.
        ([(0.5, 0.04), (0.001, 0.00005)], ["0.5000", "0.0010"], ["(0.0400)", "(0.0001)"]),
        ([(0.5, 0.04), (0.001, 0.00003)], ["0.5000", "0.0010000"], ["(0.0400)", "(0.0000300)"]),
        ([(0.0702, 0.0412), (2.3e7, 5.1e6)], ["0.0702", "2.30e+07"], ["(0.0412)", "(5.10e+06)"]),
    ],
)
def test_decimals_come_from_the_standard_errors(
    columns: list[tuple[float, float]], estimates: list[str], errors: list[str]
) -> None:
    rows = printed(regression_table(frame_of(*columns), title="T"))
    assert rows["policy"] == estimates
    assert rows["pair-clustered"] == errors


def test_the_largest_of_all_kinds_of_error_counts() -> None:
    rows = printed(regression_table(frame_of((0.01, 0.0004), pair=1.0, dyadic=4.0), title="T"))
    assert (rows["policy"], rows["pair-clustered"], rows["dyadic-robust"]) == (
        ["0.0100"],
        ["(0.0004)"],
        ["(0.0016)"],
    )
    alone = regression_table(
        frame_of((0.01, 0.0004), pair=1.0, dyadic=4.0), title="T", style=TableStyle(errors=["pair"])
    )
    assert printed(alone)["pair-clustered"] == ["(0.000400)"]


def test_without_an_error_the_number_itself_counts() -> None:
    frame = frame_of((0.0004123, 0.01))
    frame["std_error"] = np.nan
    assert printed(regression_table(frame, title="T"))["policy"] == ["0.000412"]
    frame["std_error"] = 0.0
    assert printed(regression_table(frame, title="T"))["pair-clustered"] == ["(0.000000)"]
    frame = frame_of((0.0004123, 0.01), (0.5, 0.04))
    frame.loc[frame["cell"] == "c0", "std_error"] = np.nan  # beside a column that has one
    assert printed(regression_table(frame, title="T"))["policy"] == ["0.0004", "0.5000"]


@pytest.mark.parametrize("digits", [0, 2, 7])
def test_chosen_digits_are_those_of_every_number(digits: int) -> None:
    columns = [(-0.001, 0.04), (250.1234, 12.3456), (2.3e7, 4e-9), (-2.3e9, 0.5)]
    rows = printed(regression_table(frame_of(*columns), title="T", style=TableStyle(digits=digits)))
    texts = [text.strip("()") for label in ("policy", "pair-clustered", "R²") for text in rows[label]]
    values = [value for place in (0, 1) for value in (column[place] for column in columns)] + [0.4123] * 4
    for text, value in zip(texts, values, strict=True):
        assert len(text.partition(".")[2]) == digits
        assert math.isclose(float(text.replace(",", "")), value, abs_tol=0.500001 * 10**-digits)
        assert text.strip("-0.") or not text.startswith("-")


def test_zero_has_no_sign() -> None:
    assert Notation(2).text(-0.001) == "0.00"
    assert Notation(2).text(-0.0) == "0.00"
    assert number(-0.0) == "0.0000"
    assert Notation(None).text(-0.0) == "0.00e+00"
    assert Notation(2).text(-0.006) == "-0.01"


def test_measures_of_fit_stand_for_themselves() -> None:
    frame = frame_of((0.5, 0.01), (0.5, 0.01), (0.5, 0.01))
    frame["r2"] = [0.0004, 0.25, 0.1]
    frame["r2_within"] = [0.0000123, 0.25, 0.0]
    rows = printed(regression_table(frame, title="T"))
    assert rows["R²"] == ["0.0004", "0.2500", "0.1000"]
    assert rows["Within R²"] == ["0.0000123", "0.2500", "0.0000"]


@given(
    st.lists(
        st.tuples(st.floats(-1e9, 1e9), st.floats(1e-12, 1e9)),
        min_size=1,
        max_size=4,
    )
)
def test_a_term_has_one_notation_and_shows_its_largest_error(columns: list[tuple[float, float]]) -> None:
    shared = notations([AlignedNumbers([value], [error]) for value, error in columns])
    errors = [error for _, error in columns]
    if max(errors) <= 1000 * min(errors):
        assert len(set(shared)) == 1
        texts = [shared[0].text(max(errors))]
    else:
        texts = [notation.text(error) for notation, error in zip(shared, errors, strict=True)]
    for text, error in zip(texts, [max(errors)] if len(texts) < len(errors) else errors, strict=True):
        assert math.isclose(float(text.replace(",", "")), error, rel_tol=0.051)


def test_event_years_have_the_decimals_of_their_errors() -> None:
    frame, estimates = event_study(), event_estimates()
    frame.loc[frame["event_time"] == 1, ["conf_low", "band_low"]] = 0.00042
    cell = {"cell": "e0", "number": 1, "label": "e0"}
    design = {"base": -1, "ends": "bin", "window": [-3, 2]}
    job = report(estimates)
    manifest = {**job.manifest, "cells": [{**cell, "event_study": design}], "data": {}, "more_data": []}
    manifest["data"] = {"synthetic": False}
    table = event_year_table(JobReport({"estimates": estimates, "event_study": frame}, manifest), "e0", "T")
    assert [row.entries[0].text.rstrip("*") for row in table.rows] == [
        "0.0000", "0.0000", "0", "0.0000", "0.0400", "0.0800",
    ]  # fmt: skip
    assert table.rows[4].entries[5].text.startswith("[0.0004, ")


def test_the_sentence_and_the_picture_have_the_decimals_of_the_table() -> None:
    frame = frame_of((0.00031, 0.04), (-250.1234, 12.3456), pair=1.0, jackknife=1.5)
    first, span = main_result(report(frame))
    assert "policy: -250.1234, 95% interval " in first
    assert "between -250.1234 and 0.0003 in" in span
    assert "-250.1234 [" in error_picture(report(frame))
    styled = report(frame, digits=2)
    assert "between -250.12 and 0.00 in" in list(main_result(styled))[1]
    assert "-250.12 [" in error_picture(styled)


def test_spoken_intervals_have_one_notation() -> None:
    frame = frame_of((0.00031, 0.04), (0.0702, 0.0412))
    text = spoken_estimates(frame, ["one", "two"], ENGLISH)
    assert "one: 0.0003 [-0.0781, 0.0787]" in text
    assert "two: 0.0702 [" in text


def test_tables_side_by_side_have_one_notation_unless_digits_are_chosen() -> None:
    small, large = frame_of((0.00031, 0.000412)), frame_of((0.0702, 0.0412))
    for frame in (small, large):
        frame["r2_within"] = 0.25
    tables = [regression_table(frame, title="T") for frame in (small, large)]
    assert printed(tables[0])["policy"] == ["0.000310"]
    rows = printed(joined(tables, title="T"))
    assert rows["policy"] == ["0.0003", "0.0702"]
    assert rows["pair-clustered"] == ["(0.0004)", "(0.0412)"]
    assert rows["Within R²"] == ["0.2500", "0.2500"]
    chosen = regression_table(small, title="T", style=TableStyle(digits=2))
    rows = printed(joined([chosen, tables[0]], title="T"))
    assert rows["policy"] == ["0.00", "0.000310"]
    assert rows["R²"] == ["0.41", "0.4123"]


def test_stars_and_brackets_stay_in_tables_side_by_side() -> None:
    tables = [regression_table(frame_of((value, 0.01)), title="T") for value in (5.0, 0.001)]
    rows = {row.label: [entry.text for entry in row.entries] for row in joined(tables, title="T").rows}
    assert rows["policy"] == ["5.0000***", "0.0010"]
    assert rows["pair-clustered"] == ["(0.0100)", "(0.0100)"]


def test_a_difference_and_its_error_have_one_notation() -> None:
    (difference,), (error,) = estimate_entries([0.00031], [0.04])
    assert (difference.text, error.text) == ("0.0003", "(0.0400)")
    (difference,), (error,) = estimate_entries([2.0], [math.nan])
    assert (difference.text, error.text) == ("2.0000", "")
