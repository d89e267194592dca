"""When the pairs of a table are treated, or its units adopt: years and statuses as files have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.pairs.table import PairColumns, pair_columns
from engine.pairs.table_report import TableReport
from engine.pairs.table_rows import TableRequest

YEARS = (2001, 2002, 2003, 2004)
SIGNED = {("a", "b"): 2003.0, ("a", "c"): np.nan, ("b", "c"): 2002.0}


def rows(**columns: Any) -> pd.DataFrame:
    table = pd.DataFrame([(*pair, year) for pair in SIGNED for year in YEARS], columns=["i", "j", "t"])
    signed = [SIGNED[pair] for pair in zip(table["i"], table["j"], strict=True)]
    status = (table["t"] >= np.array(signed)).astype(float)
    joined = {"a": 2004.0, "b": 2002.0, "c": np.nan}
    table = table.assign(
        y=1.0, signed=signed, did=status, of_i=table["i"].map(joined), of_j=table["j"].map(joined)
    )
    return table.assign(**columns)


def read(table: pd.DataFrame, **keys: Any) -> tuple[PairColumns, TableReport]:
    request = TableRequest(unit_i="i", unit_j="j", year="t", outcome="y", regressors=(), **keys)
    return pair_columns(table, request, source="t.csv")


def years_of(pairs: PairColumns) -> dict[tuple[str, str], float]:
    assert pairs.adopted is not None
    ends = ((pairs.units[i], pairs.units[j]) for i, j in zip(pairs.i, pairs.j, strict=True))
    return dict(zip(ends, pairs.adopted.tolist(), strict=True))


@pytest.mark.parametrize("column", [{"adoption": "signed"}, {"status": "did"}], ids=str)
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_years_of_pairs(column: dict[str, str], seed: int | None) -> None:
    table = rows() if seed is None else rows().sample(frac=1, random_state=seed)
    if seed == 2:  # undirected pairs stand in either order
        turned = table["t"] % 2 == 0
        table.loc[turned, ["i", "j"]] = table.loc[turned, ["j", "i"]].to_numpy()
    np.testing.assert_equal(years_of(read(table, **column)[0]), SIGNED)


def test_a_direction_has_its_own_year() -> None:
    back = rows().rename(columns={"i": "j", "j": "i"}).assign(signed=2004.0)
    pairs, _ = read(pd.concat([rows(), back]), adoption="signed", directed=True)
    expected = {**SIGNED, **{(b, a): 2004.0 for a, b in SIGNED}}
    np.testing.assert_equal(years_of(pairs), expected)


def test_years_of_units_and_the_whole_table() -> None:
    """Units are those of the sample years, statuses of all years."""
    pairs, _ = read(rows().sample(frac=1, random_state=3), unit_adoption=("of_i", "of_j"), years=(2003, 2004))
    assert pairs.units == ("a", "b", "c")
    np.testing.assert_equal(pairs.unit_adopted, np.array([2004, 2002, np.nan]))
    pairs, _ = read(rows(), status="did", years=(2003, 2004))
    np.testing.assert_equal(years_of(pairs), SIGNED)


def test_a_code_for_never() -> None:
    table = rows(signed=rows()["signed"].fillna(0))
    with pytest.raises(InputError, match=r"'0\.?0?' is not a year"):
        read(table, adoption="signed")
    pairs, _ = read(table, adoption="signed", missing={"signed": [0]})
    np.testing.assert_equal(years_of(pairs), SIGNED)


def changed(column: str, pair: tuple[str, str], year: int, value: float) -> pd.DataFrame:
    table = rows()
    table.loc[(table["i"] == pair[0]) & (table["j"] == pair[1]) & (table["t"] == year), column] = value
    return table


BAD: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    "two years": (
        changed("signed", ("a", "b"), 2003, 2002),
        {"adoption": "signed"},
        "'signed' of (a, b) is 2003 in row 2 and 2002 in row 4",
    ),
    "a year and none": (
        changed("signed", ("a", "c"), 2002, 2004),
        {"adoption": "signed"},
        "'signed' of (a, c) is empty in row 6 and 2004 in row 7",
    ),
    "a unit of two years": (
        changed("of_j", ("b", "c"), 2002, 2001),
        {"unit_adoption": ("of_i", "of_j")},
        "'of_i and of_j' of c is empty in row 6 and 2001 in row 11",
    ),
    "another number": (
        changed("did", ("a", "b"), 2002, 2),
        {"status": "did"},
        "'did' is 2 (a, b, 2002), which is neither 0 nor 1; 1 of 12 rows",
    ),
    "it goes back": (
        changed("did", ("b", "c"), 2004, 0),
        {"status": "did"},
        "'did' of (b, c) goes back to 0 after a 1 (2004); so of 1 of 3 pairs",
    ),
    "an empty cell before the first 1": (
        changed("did", ("a", "b"), 2002, np.nan),
        {"status": "did"},
        "'did' of (a, b) is missing just before the first 1, so that the year is open (2002); so of 1 of 3 pairs",
    ),
    "an empty end": (
        changed("did", ("a", "c"), 2004, np.nan),
        {"status": "did"},
        "'did' of (a, c) is empty after the last 0 and without a 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_leaves_a_year_open_is_refused(case: str) -> None:
    table, keys, message = BAD[case]
    with pytest.raises(InputError) as caught:
        read(table, **keys)
    assert message in str(caught.value)
    assert caught.value.remedy


def test_a_row_missing_before_the_first_1() -> None:
    table = rows()
    table = table[~((table["i"] == "a") & (table["j"] == "b") & (table["t"] == 2002))]
    with pytest.raises(InputError, match="so that the year is open"):
        read(table, status="did")


def test_all_problems_of_a_status_at_once() -> None:
    table = changed("did", ("b", "c"), 2004, 0)
    table.loc[(table["j"] == "c") & (table["i"] == "a"), "did"] = np.nan
    with pytest.raises(InputError) as caught:
        read(table, status="did")
    assert "goes back to 0" in str(caught.value)
    assert "is empty in all rows" in str(caught.value)


def test_gaps_that_decide_nothing_are_noted() -> None:
    table = rows()
    begins = changed("did", ("b", "c"), 2001, 1)
    _, report = read(begins, status="did")
    assert [note.code for note in report.notes] == ["pairs_treated_at_first"]
    _, report = read(table[~((table["j"] == "c") & (table["i"] == "a") & (table["t"] > 2002))], status="did")
    assert [note.code for note in report.notes] == ["pairs_end_untreated"]
