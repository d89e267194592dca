"""Merged cells of a sheet: Excel keeps their value in the first cell, though it stands for every row that they span.

Of a column of units or years, which says what each row is of, all rows take the value. In a column of data a value is
that of the first row alone: a sum over the merged rows would otherwise be counted in each of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

Value = TypeVar("Value")

_RANGE = re.compile(r"([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})")


def merged_rows(reference: str) -> tuple[str, int, int] | None:
    """Letters of the first column, first and last row of a merged range; None within one row, and for no range.

    >>> merged_rows("A4:A15"), merged_rows("A1:F1"), merged_rows("A4")
    (('A', 4, 15), None, None)
    """
    match = _RANGE.fullmatch(reference)
    if match is None or int(match[2]) >= int(match[3]):
        return None
    return match[1], int(match[2]), int(match[3])


def merged_values(
    column: Mapping[int, Value], ranges: Iterable[tuple[int, int]], rows: Sequence[int]
) -> dict[int, Value]:
    """Values of the empty cells of a column that lie in merged ranges, by row.

    Parameters
    ----------
    column : mapping of int to value
        Filled cells by row.
    ranges : iterable of (int, int)
        First and last row of each range; of two that overlap, as those of no sound sheet do, the first counts.
    rows : sequence of int
        Rows that take the value, ascending.
    """
    values: dict[int, Value] = {}
    end = 0
    for first, last in sorted(ranges):
        if first > end and first in column:
            end = last
            spanned = rows[bisect_right(rows, first) : bisect_right(rows, last)]
            values |= {row: column[first] for row in spanned if row not in column}
    return values
