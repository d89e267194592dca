"""How tables say that a value is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.tables.cell_values import numbers
from engine.tables.missing import MISSING_SIGNS, MISSING_WORDS, suspects
from engine.tables.years import read_years

KEYS = Path(__file__).parents[2] / "jobs" / "KEYS.md"
MARKS = [*MISSING_WORDS, *MISSING_SIGNS, "null", "n/a", "NONE", "Nan", " . ", "－", "＃Ｎ／Ａ"]


@pytest.mark.parametrize("mark", MARKS)
def test_missing_marks(mark: str) -> None:
    values, n_marks = numbers(pd.Series([mark, "1.5", None, 2], dtype=object), source="a.csv")
    np.testing.assert_array_equal(values, [np.nan, 1.5, np.nan, 2.0])
    assert n_marks == 1


@pytest.mark.parametrize("mark", [*MISSING_WORDS, *MISSING_SIGNS])
def test_the_key_reference_states_every_mark(mark: str) -> None:
    assert f"`{mark}`" in KEYS.read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", [np.float64, object])
def test_codes_that_are_declared_are_missing(dtype: type) -> None:
    column = pd.Series([-999, 1, 9999, 3], dtype=dtype)
    values, n_marks = numbers(column, source="a.csv", missing=[-999, "9999"])
    np.testing.assert_array_equal(values, [np.nan, 1, np.nan, 3])
    assert n_marks == 2
    values, _ = numbers(pd.Series(["x", "2", "-999.0"]), source="a.csv", missing=["x", -999])
    np.testing.assert_array_equal(values, [np.nan, 2, np.nan])


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([1.0, 2.0, -999.0, -99.0], {-999.0, -99.0}),
        ([1.5, 2.5, 9999.0], {9999.0}),
        ([1e4, 2e4, 9999.0], set()),
        ([9990.0, 9999.0, 10010.0], set()),
        ([-800.0, 300.0, -999.0], set()),
        ([-3.0, 3.0, -999.0, np.nan], {-999.0}),
        ([98.0, 97.0, 99.0], set()),
        ([0.5, 0.7, 99.0], {99.0}),
        ([-999.0, -999.0], set()),
        ([np.nan, np.inf], set()),
    ],
)
def test_codes_stand_out_where_they_are_far_from_the_rest(values: list[float], codes: set[float]) -> None:
    assert set(suspects(np.array(values))) == codes
    assert suspects(np.array(values), declared=list(codes)) == {}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["#REF!", "1"], "row 2, column 'x': '#REF!' is an error of Excel, not a number"),
        (
            ["1", "12 万", "3 万", "a", "b", "c"],
            "row 3, column 'x': '12 万' is not a number; also rows 4, 5, 6 and 1 more",
        ),
        ([[1], 2], "'[1]' is not a number"),
        ([10**400, 2], "is not a number"),
        ([{"a": 1}, 2], "is not a number"),
    ],
    ids=ascii,
)
def test_cells_that_are_no_numbers_are_refused_all_of_them(cells: list[object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        numbers(pd.Series(cells, name="x", dtype=object), source="a.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize("cell", ["12.5¹", "10²", "①", "²⁰⁰⁹", "½"])
def test_marks_of_footnotes_are_no_digits(cell: str) -> None:
    """Unicode's compatibility forms would read 12.5 with a footnote 1 as 12.51."""
    with pytest.raises(InputError, match="is not a number"):
        numbers(pd.Series(["3", cell], name="x"), source="t")
    with pytest.raises(InputError, match="is not a year"):
        read_years(pd.Series(["2009", cell], name="x"), source="t")


def test_full_width_digits_are_read() -> None:
    values, _ = numbers(pd.Series(["１２．５", "－３", "　４"], name="x"), source="t")
    assert values.tolist() == [12.5, -3.0, 4.0]
