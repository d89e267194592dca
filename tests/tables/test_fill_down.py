"""Empty cells that repeat the cell above: which are filled, what is said, and which key columns are proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sentences import english

from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.fill_down import columns_to_fill, filled_down

RULES = CellRules(block="panel", has_layout=True, skipped=(9,))
FRAME = pd.DataFrame(
    {
        "city": ["杭州 ", " ", None, "NA", "\u3000", "", "宁波①"],
        "year": [2010, 2011, 2012, 2010, 2011, 2012, 2010],
        "gdp": [1.5, np.nan, np.nan, 2.5, np.nan, 3.5, np.nan],
    },
    index=[0, 1, 2, 5, 6, 8, 9],
)


def test_empty_cells_and_blanks_repeat_the_cell_above() -> None:
    frame, notes = filled_down(FRAME, ["city", "gdp"], source="a.csv", rules=RULES)
    assert frame["city"].tolist() == ["杭州 ", "杭州 ", "杭州 ", "NA", "NA", "NA", "宁波①"]
    assert frame["gdp"].tolist() == [1.5, 1.5, 1.5, 2.5, 2.5, 3.5, 3.5]
    assert frame.index.tolist() == FRAME.index.tolist()
    assert FRAME["city"].tolist()[1] == " "
    assert english(notes) == (
        "a.csv: column 'city': 4 empty cells read as the cell above, such as '杭州' in row 3",
        "a.csv: column 'gdp': 4 empty cells read as the cell above, such as '1.5' in row 3",
    )


@pytest.mark.parametrize("dtype", [np.int64, np.float64, "Int64", object, "str", "datetime64[ns]"])
def test_types_stay(dtype: object) -> None:
    frame = FRAME[["year"]].astype(dtype)
    full, notes = filled_down(frame, ["year"], source="a.csv", rules=RULES)
    assert (full.equals(frame), notes) == (True, ())
    holes = frame.copy()
    if dtype is not np.int64:
        holes.loc[6, "year"] = pd.NA if dtype in ("Int64", "str") else np.nan if dtype is np.float64 else None
    filled, notes = filled_down(holes, ["year", "year"], source="a.csv", rules=RULES)
    assert filled["year"].dtype == frame["year"].dtype
    assert filled["year"].iloc[4] == frame["year"].iloc[4 if dtype is np.int64 else 3]
    assert len(notes) == (dtype is not np.int64)


def test_columns_that_cannot_be_filled_are_refused_with_their_place() -> None:
    with pytest.raises(
        InputError,
        match=r"panel\.fill_down: there is no column 'ctiy' in a\.csv\n  hint: did you mean 'city'",
    ):
        filled_down(FRAME, ["ctiy"], source="a.csv", rules=RULES)
    with pytest.raises(InputError) as caught:
        filled_down(FRAME.iloc[1:], ["city"], source="a.csv", rules=RULES)
    assert str(caught.value) == (
        "a.csv: row 3, column 'city': the first cell of a column that is filled down is empty, with nothing above to "
        "repeat\n  hint: write its value into the cell, or take the column out of panel.fill_down; or in the job "
        "file: panel.skip_rows: [3, 4, 9]  # if the rows are no data"
    )
    with pytest.raises(InputError, match=r"row 2, column 'x': the column is empty, so there is nothing"):
        filled_down(FRAME.assign(x=" "), ["x"], source="a.csv", rules=RULES)


def columns(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["a", "b", "year"])


def test_key_columns_are_proposed_where_half_is_empty_and_no_key_is_twice() -> None:
    merged = columns(("x", "p", 2010), (" ", None, 2011), (None, "q", 2010), (None, "", 2011))
    assert columns_to_fill(merged, ["a", "b", "year"]) == ("a", "b")
    assert columns_to_fill(merged[["a", "year"]].iloc[:2], ["a", "year"]) == ("a",)
    assert columns_to_fill(merged, ["a", "year"]) == ()  # x 2010 would be there twice
    few = columns(("x", "p", 2010), (None, "p", 2011), ("y", "p", 2010), ("y", "p", 2011), ("z", "p", 2011))
    assert columns_to_fill(few, ["a", "year"]) == ()
    assert columns_to_fill(merged.iloc[1:], ["a", "b", "year"]) == ()  # nothing stands above the first
    spelled = columns(("x", "p", 2010), (None, "p", 2011), ("ｘ", "p", 2011), (None, "p", 2012))
    assert columns_to_fill(spelled, ["a", "year"]) == ()  # x 2011 twice, in letters of two widths


def test_rows_of_no_key_and_notes_below_do_not_count() -> None:
    frame = columns(
        (None, "亿元", None), ("x", "", 2010), (None, "", 2011), (None, "", 2012), ("合计", 1, None)
    )
    assert columns_to_fill(frame, ["a", "year"]) == ("a",)
    assert columns_to_fill(frame.iloc[:1], ["a", "year"]) == ()
