"""Deflation to constant prices and interpolation of interior gaps, before values enter the panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError

MOST_GAP = 10
"""Longest gap, in years, that may be filled."""


@dataclass(frozen=True)
class Deflation:
    """Money columns to constant prices of ``base_year``, by a price index or by nominal over real GDP.

    Attributes
    ----------
    columns : sequence of str
        Canonical columns to deflate.
    base_year : int
        Year whose prices are used; anywhere in the file, also outside the sample years.
    price_index : str, optional
        Price level column, any base, one series a city.
    nominal, real : str, optional
        GDP at current and at constant prices, whose ratio is the price level.
    """

    columns: Sequence[str]
    base_year: int
    price_index: str | None = None
    nominal: str | None = None
    real: str | None = None

    @property
    def price_columns(self) -> tuple[str, ...]:
        """The columns the price level comes from."""
        return tuple(name for name in (self.price_index, self.nominal, self.real) if name is not None)


@dataclass(frozen=True)
class Filling:
    """Interpolation of interior gaps of at most ``max_gap`` years.

    Attributes
    ----------
    max_gap : int
        Longest gap that is filled, in years.
    method : {'linear', 'log_linear'}
        A straight line in levels or in logarithms.
    columns : sequence of str, optional
        Canonical columns to fill; None means every column that varies over time and that no other rule names.
    key : str
        Place of the rule in the job, for messages.
    """

    max_gap: int
    method: Literal["linear", "log_linear"] = "linear"
    columns: Sequence[str] | None = None
    key: str = "panel.fill"


def real_factor(price: Array, base: int) -> Array:
    """Factor P_base / P_t of each city that turns current into constant prices.

    Parameters
    ----------
    price : float64 ``[n_units, n_years]``
        Price level, positive where known.
    base : int
        Position of the base year.

    Returns
    -------
    float64 ``[n_units, n_years]``
        NaN where the price level of the year or of the base year is missing.
    """
    return price[:, base, None] / price


def fill_gaps(
    values: Array,
    *,
    filling: Filling,
    column: str,
    units: tuple[str, ...],
    years: tuple[int, ...],
) -> tuple[Array, Flags]:
    """Interpolate interior gaps, never beyond the first or last known year of a city.

    x_t = x_a + (x_b - x_a) (t - a) / (b - a) between the known years a < t < b, b - a - 1 <= max_gap; in
    logarithms for ``log_linear``.

    Parameters
    ----------
    values : float64 ``[n_units, n_years]``
        NaN where missing.
    filling : Filling
        Longest gap and method.
    column, units, years
        Names for messages.

    Returns
    -------
    tuple of float64 and bool ``[n_units, n_years]``
        The filled values, and which cells were filled.

    Raises
    ------
    InputError
        Where ``log_linear`` meets a value that is not positive at the edge of a gap.
    """
    observed = ~np.isnan(values)
    if observed.all():
        return values, np.zeros(values.shape, dtype=bool)
    n_years = values.shape[1]
    position = np.arange(n_years)
    previous = np.maximum.accumulate(np.where(observed, position, -1), axis=1)
    following = np.minimum.accumulate(np.where(observed, position, n_years)[:, ::-1], axis=1)[:, ::-1]
    gap = ~observed & (previous >= 0) & (following < n_years) & (following - previous - 1 <= filling.max_gap)
    row, year = np.nonzero(gap)
    start_year, stop_year = previous[row, year], following[row, year]
    start, stop = values[row, start_year], values[row, stop_year]
    share = (year - start_year) / (stop_year - start_year)
    if filling.method == "log_linear":
        bad = ~((start > 0) & (stop > 0))
        if bad.any():
            first = int(np.argmax(bad))
            edge = start_year[first] if not start[first] > 0 else stop_year[first]
            raise InputError(
                f"log_linear filling of '{column}' in {units[row[first]]} meets "
                f"{values[row[first], edge]:g} in {years[edge]}, which has no logarithm",
                where=filling.key,
                remedy=f"use method: linear, or name under {filling.key}.columns only columns that are positive",
            )
        filled_values = np.exp(np.log(start) + (np.log(stop) - np.log(start)) * share)
    else:
        filled_values = start + (stop - start) * share
    sound = np.isfinite(filled_values)  # an infinite edge is reported later, not spread
    row, year = row[sound], year[sound]
    complete, filled = values.copy(), np.zeros(values.shape, dtype=bool)
    complete[row, year], filled[row, year] = filled_values[sound], True
    return complete, filled
