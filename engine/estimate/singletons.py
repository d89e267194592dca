"""Rows alone in a year, counted from moments: a draw has no rows of its own to look at.

A row that is alone in its year is fitted exactly by the year's effect: it changes no coefficient and no residual,
only the number of observations and of effects. As fixest does, it is left out, and so is what is then alone in its
pair, until nothing is. The sums over pairs of diag(o) - oo'/n, with o the n observed years of a pair, tell all: two
rows of a year make its diagonal entry one or more, a single row of a pair of n years makes it 1 - 1/n, and that
year's other entries are -1/n in the years of that pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.arrays import Array, LongIntegers


def year_singletons(ee: Array) -> tuple[LongIntegers, LongIntegers]:
    """Rows to leave out, and years that then have rows, int ``[n_samples]`` each.

    Parameters
    ----------
    ee : float64 ``[n_samples, T, T]``
        Moments of the year dummies within pairs; rows have weight one, or whole numbers that count copies.
    """
    size = np.diagonal(ee, axis1=1, axis2=2)
    n_rows, n_years = np.zeros(len(ee), dtype=np.int64), (size > 0.25).sum(axis=1)
    for sample in np.flatnonzero(_alone(size).any(axis=1)):
        n_rows[sample], n_years[sample] = _left_out(ee[sample].copy())
    return n_rows, n_years


def _alone(size: Array) -> Any:
    """Which years have a single row; 1 - 1/n is at least a half, and at most 1 - 1/T."""
    return (size > 0.25) & (size < 1 - 0.5 / size.shape[-1])


def _left_out(ee: Array) -> tuple[int, int]:
    n_rows = 0
    while (alone := np.flatnonzero(_alone(np.diag(ee)))).size:
        year = int(alone[0])
        n = round(1 / (1 - ee[year, year]))
        observed = (np.abs(ee[year]) > 0.5 / n).astype(np.float64)
        ee -= _within(observed, n)
        observed[year] = 0.0
        n_rows += 1
        if n > 2:
            ee += _within(observed, n - 1)
        else:  # the other row is now alone in its pair
            n_rows += 1
    return n_rows, int((np.diag(ee) > 0.25).sum())


def _within(observed: Array, n: int) -> Array:
    """diag(o) - oo'/n of one pair."""
    return np.diag(observed) - np.outer(observed, observed) / n
