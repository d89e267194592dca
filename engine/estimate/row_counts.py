"""Rows in which each treatment term is on, counted from type sums: the weights of estimators that average terms."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.errors import InputError
from engine.pairs.moments import CityMoments, Layout


def term_rows(moments: CityMoments, classes: Integers, table: Array) -> Array:
    """``[r]`` sum over the rows of each treatment term.

    Statistics are demeaned within pairs, so that rows are known where all pairs of a type have the same years.

    Parameters
    ----------
    moments : CityMoments
    classes : int ``[n_units]``
    table : float64 ``[H, H, T, r]``

    Raises
    ------
    InputError
        Where pairs of one type differ in their years.
    """
    sums = np.zeros((*table.shape[:2], moments.layout.size))
    np.add.at(sums, classes, moments.first)
    return np.asarray(np.einsum("ght,ghtr->r", rows_by_year(moments.layout, sums), table))


def city_term_rows(moments: CityMoments, classes: Integers, table: Array) -> Array:
    """``[n_units, r]`` sum over the rows of each city's pairs of each treatment term, as `term_rows`."""
    first, second = (rows_by_year(moments.layout, sums) for sums in (moments.first, moments.second))
    of_city = np.zeros((len(classes), table.shape[-1]))
    for number in range(len(table)):
        members = classes == number
        of_city[members] = np.einsum("cht,htr->cr", first[members], table[number])
        of_city[members] += np.einsum("cht,htr->cr", second[members], table[:, number])
    return of_city


def rows_by_year(layout: Layout, sums: Array) -> Array:
    """``[..., T]`` rows in each year of pairs of which all have the same, from their statistics ``[..., size]``.

    Raises
    ------
    InputError
        Where they differ in their years.
    """
    rows, is_complete = complete_rows(layout, sums)
    if not is_complete.all():
        raise InputError(
            "pairs of the same adoption years differ in their observed years, so that terms have no known weights",
            where="model.estimator",
            remedy="use cities without missing years (panel.balance: drop)",
        )
    return rows


def complete_rows(layout: Layout, sums: Array) -> tuple[Array, Flags]:
    """Rows in each year ``[..., T]`` as `rows_by_year`, and whether pairs have the same years ``[...]``."""
    totals, ee, _, _ = layout.split(sums)
    n_pairs, n_rows = totals[..., 0], totals[..., 1]
    n_years = np.where(n_pairs > 0, n_rows / np.where(n_pairs > 0, n_pairs, 1.0), layout.n_years)
    # Of a pair with n years, EE has 1 - 1/n on the diagonal in each of them.
    rows = np.diagonal(ee, axis1=-2, axis2=-1) / (1.0 - 1.0 / n_years[..., None])
    observed = np.abs(rows) > 1e-6
    of_pairs = observed * n_pairs[..., None]
    is_complete = np.isclose(rows, of_pairs, rtol=0, atol=1e-6).all(axis=-1)
    return np.asarray(of_pairs), np.asarray(is_complete)
