"""Columns of what pairs differ in at first, one a year: each year then has a slope of its own.

A column ``x`` gives ``x x 2012``, which in 2012 is the first value in the sample, of each of the two cities or of the
pair of a table, and zero in every other year. The first year has no column: what is constant is in the pair effects. So
pairs that began differently may move differently, and nothing that treatment does to the column is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from engine.arrays import Array, Flags, LongIntegers


def slope_names(name: str, years: Sequence[int]) -> tuple[str, ...]:
    """Names of the columns of a regressor, of all years but the first.

    >>> slope_names("education", (2010, 2011, 2012))
    ('education x 2011', 'education x 2012')
    """
    return tuple(f"{name} x {year}" for year in years[1:])


def with_slopes(names: Iterable[str], by_year: Collection[str], years: Sequence[int]) -> tuple[str, ...]:
    """Names of columns, in place of each of ``by_year`` those of its years."""
    return tuple(
        column for name in names for column in (slope_names(name, years) if name in by_year else (name,))
    )


def regressor_of(column: str) -> tuple[str, int] | None:
    """Regressor and year of such a column; None for another.

    >>> regressor_of("education x 2011")
    ('education', 2011)
    """
    name, joint, year = column.rpartition(" x ")
    return (name, int(year)) if joint and year.isdecimal() else None


def first_values(values: Array) -> Array:
    """``[n]`` the first value of each row ``[n, T]`` that is not missing; NaN where all are.

    >>> first_values(np.array([[np.nan, 2.0, 3.0], [1.0, 5.0, np.nan]]))
    array([2., 1.])
    """
    first = np.argmax(~np.isnan(values), axis=1)
    return np.asarray(np.take_along_axis(values, first[:, None], axis=1)[:, 0])


def slope_columns(values: Array, pair: LongIntegers, year: LongIntegers, has_lag: Flags) -> list[Array]:
    """A column ``[n_rows]`` for each year but the first: in its rows the first value of the pair, else zero.

    Missing for a pair without a value, and in years that a lag loses. Year effects have what all first values are
    around, whose digits would be lost in squares: it is taken off.

    Parameters
    ----------
    values : float64 ``[n_rows]``
    pair, year : int64 ``[n_rows]``
    has_lag : bool ``[n_rows]``
        Rows whose pair has a row as many years before as values are lagged.
    """
    years = np.unique(year[has_lag])
    in_order = np.lexsort((year, pair))
    known = in_order[~np.isnan(values[in_order])]
    if not len(known):
        return [values for _ in years[1:]]
    pairs, first = np.unique(pair[known], return_index=True)
    of_pairs = values[known][first]
    place = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
    is_known = (pairs[place] == pair) & (year >= years[0])
    level = np.where(is_known, (of_pairs - of_pairs.mean())[place], np.nan)
    return [np.where(year == of_column, level, 0.0 * level) for of_column in years[1:]]
