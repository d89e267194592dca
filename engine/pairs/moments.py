"""Layout of the per-pair sufficient statistics, and their sums by city and partner class.

For the base columns Z = [E (year dummies) | X | y] of a pair, demeaned over its observed years, the
statistics are the distinct entries of Z'Z (``methods``: every linear estimate is a contraction of them):

    EE  diag(o) - o o'/n      only stored where years are missing; else I - 11'/T
    EV  the demeaned columns  [year, column]
    VV  X'X, X'y, y'y         upper triangle

with four totals beside them: pairs, observations, sum and square of the outcome's pair mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.arrays import AnyArray, AnyIntegers, Array, Integers

Indices = tuple[AnyArray, AnyArray]


@dataclass(frozen=True)
class Layout:
    """Where each statistic of a pair stands in its vector.

    Attributes
    ----------
    n_years, n_columns : int
        Years of the panel; base columns (regressors, then the outcome).
    balanced : bool
        True where no pair-year is missing, so EE need not be stored.
    """

    n_years: int
    n_columns: int
    balanced: bool

    @property
    def n_ee(self) -> int:
        return 0 if self.balanced else self.n_years * (self.n_years + 1) // 2

    @property
    def n_ev(self) -> int:
        return self.n_years * self.n_columns

    @property
    def n_vv(self) -> int:
        return self.n_columns * (self.n_columns + 1) // 2

    @property
    def size(self) -> int:
        """Statistics of a pair."""
        return 4 + self.n_ee + self.n_ev + self.n_vv

    @cached_property
    def year_pairs(self) -> Indices:
        return np.triu_indices(self.n_years)

    @cached_property
    def column_pairs(self) -> Indices:
        return np.triu_indices(self.n_columns)

    @property
    def outcomes(self) -> Integers:
        """``[T]`` positions of the outcome's sums by year; it is the last of the columns."""
        start = 4 + self.n_ee
        return np.arange(start + self.n_columns - 1, start + self.n_ev, self.n_columns, dtype=np.int32)

    def split(self, statistics: Array) -> tuple[Array, Array, Array, Array]:
        """Statistics ``[..., size]`` as totals ``[..., 4]``, EE ``[..., T, T]``, EV ``[..., T, m]`` and VV."""
        lead, t, m = statistics.shape[:-1], self.n_years, self.n_columns
        totals, ee_flat, ev_flat, vv_flat = np.split(
            statistics, np.cumsum([4, self.n_ee, self.n_ev]), axis=-1
        )
        if self.balanced:
            ee = totals[..., 0, None, None] * (np.eye(t) - 1.0 / t)
        else:
            ee = _symmetric(ee_flat, t, self.year_pairs)
        return totals, ee, ev_flat.reshape(*lead, t, m), _symmetric(vv_flat, m, self.column_pairs)


def _symmetric(flat: Array, n: int, index: Indices) -> Array:
    full = np.empty((*flat.shape[:-1], n, n))
    full[..., index[0], index[1]] = flat
    full[..., index[1], index[0]] = flat
    return full


@dataclass(frozen=True)
class CityMoments:
    """Pair statistics summed by city and by the partner's class.

    Attributes
    ----------
    layout : Layout
    first, second : float64 ``[n, n_classes, size]``
        Sums over the pairs in which the city stands first (second), by the class of the other. A part of a pass has
        the cities that its tiles meet, all of them together have every city.
    infinite : int
        Pair-years with an infinite outcome.
    singletons : int
        Pairs with a single observed year; they carry no information and are left out.
    weight : float
        Sum of the weights of the rows that count; their number where all weights are one.
    products : float64 ``[n_types, size, size]`` or None
        Sums over pairs of the products of their statistics, by the two classes (`type_of`), where asked for.
    first_at, second_at : int
        Position of the first city in ``first`` (``second``).
    profile : float64 ``[n_years]`` or None
        What was subtracted from the outcome in each year; the totals are those of the outcome itself.
    rows_by_year : float64 ``[T]`` or None
        Rows that count in each year.
    """

    layout: Layout
    first: Array
    second: Array
    infinite: int
    singletons: int
    weight: float
    products: Array | None = None
    first_at: int = 0
    second_at: int = 0
    profile: Array | None = None
    rows_by_year: Array | None = None


def added(earlier: Array, earlier_start: int, later: Array, later_start: int) -> tuple[Array, int]:
    """Sums of two ranges of cities, each with its first city, over the range that covers both; and its first city."""
    start = min(earlier_start, later_start)
    stop = max(earlier_start + len(earlier), later_start + len(later))
    sums = np.zeros((stop - start, *earlier.shape[1:]))
    sums[earlier_start - start :][: len(earlier)] = earlier
    sums[later_start - start :][: len(later)] += later
    return sums, start


def type_of(class_i: AnyIntegers, class_j: AnyIntegers, n_classes: int) -> AnyIntegers:
    """Number of the type of pair that two classes make, whichever comes first: (0, 0), (0, 1), ... (1, 1), ..."""
    low, high = np.minimum(class_i, class_j), np.maximum(class_i, class_j)
    number: AnyIntegers = low * n_classes - low * (low - 1) // 2 + high - low
    return number
