"""How tables say that a value is missing: in words, which are known, and by numbers, which must be declared."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError

Code = int | float | str

MISSING_WORDS = (
    "NA",
    "N/A",
    "n.a.",
    "#N/A",
    "<NA>",
    "NaN",
    "NULL",
    "None",
    "nil",
    "\\N",
    "缺失",
    "无数据",
    "暂无数据",
)
MISSING_SIGNS = (".", "..", "...", "-", "--", "---", "–", "—", "——", "…", "……")
"""Codes for a missing value in a number column, capitals or not, besides the empty cell."""

_KNOWN = frozenset(
    unicodedata.normalize("NFKC", mark).casefold() for mark in (*MISSING_WORDS, *MISSING_SIGNS)
)
_NINES = [float("9" * digits) for digits in range(2, 9)]
_SUSPECTS = (*_NINES, *(-nines for nines in _NINES), -9.0, -1e30, 1e30)


def names_are_never_missing(key: str, column: str) -> InputError:
    """Codes for missing values are of numbers and labels, not of the names by which rows are known."""
    return InputError(
        f"the column '{column}' names the units of the rows, so no value of it means missing",
        where=key,
        remedy="leave out the rows in question, or take the column out of the list",
    )


def two_names_of_a_column(key: str, first: str, second: str) -> InputError:
    """Lists of codes under two names of one column, of which only one list would hold."""
    return InputError(
        f"two names stand for one column of the table: '{first}' and '{second}'",
        where=key,
        remedy="give each column one list",
    )


def half_width(text: str) -> str:
    """The text with full-width characters as plain ones; marks of footnotes, as ``¹`` and ``①``, stay what they are.

    >>> half_width("１２．５"), half_width("12.5¹")
    ('12.5', '12.5¹')
    """
    return text if text.isascii() else "".join(map(_of_usual_width, text))


@lru_cache(maxsize=1 << 12)
def _of_usual_width(character: str) -> str:
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    return chr(int(code, 16)) if kind in ("<wide>", "<narrow>", "<small>") and " " not in code else character


@lru_cache(maxsize=1 << 16)
def says_missing(text: str) -> bool:
    """True for an empty cell and for one of `MISSING_WORDS` or `MISSING_SIGNS`."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    return not plain or plain in _KNOWN


def numeric_codes(codes: Iterable[Code]) -> list[float]:
    """Those of the declared codes of a column that are numbers, or text that reads as one."""
    numbers = []
    for code in codes:
        try:
            numbers.append(float(code))
        except ValueError:
            continue
    return numbers


def text_codes(codes: Iterable[Code]) -> frozenset[str]:
    """Those of the declared codes of a column that are text, as `half_width` gives them and with bare edges."""
    return frozenset(half_width(code).strip() for code in codes if isinstance(code, str))


def suspects(values: Array, *, declared: Collection[Code] = ()) -> dict[float, Flags]:
    """Values that look like codes for missing ones, each with the mask of its cells.

    A value of nines (-999, 9999) that lies apart from all others by more than their whole range, or a
    negative one of nines where no other value is negative.

    Parameters
    ----------
    values : float64 of any shape
        A column, NaN where missing.
    declared : collection of number or str
        Codes that the job declares; they are no longer among the values.
    """
    observed = values[np.isfinite(values)]
    nines = np.isin(observed, _SUSPECTS)
    ordinary = observed[~nines]
    if not nines.any() or not len(ordinary):
        return {}
    low, high = float(ordinary.min()), float(ordinary.max())
    reach = high - low
    masks = {}
    for code in np.unique(observed[nines]).tolist():
        apart = code > high + max(reach, abs(high)) or code < low - max(reach, abs(low))
        if (apart or (code < 0 <= low)) and code not in numeric_codes(declared):
            masks[code] = values == code
    return masks
