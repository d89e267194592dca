"""Constants that are subtracted from columns before they are squared: every regression absorbs them.

Each is subtracted twice, or is a value of the data itself: what is left carries the rounding of the deviations, not
that of the level.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags

_BITS = 32  # of a year effect


def middle_values(values: Array) -> Array:
    """The lower median of each column of ``[n_pairs, n_years, n_columns]``; 0 where no value is finite.

    A value of the column, so that subtracting it is exact wherever the values are near to each other.
    """
    columns = (column[np.isfinite(column)] for column in np.moveaxis(values, 2, 0))
    return np.array(
        [np.partition(c, (len(c) - 1) // 2)[(len(c) - 1) // 2] if len(c) else 0.0 for c in columns]
    )


def deviations(levels: Array) -> Array:
    """Rows ``[n, n_years]`` without their means over the years that are finite; zero where a row does not vary."""
    finite = np.isfinite(levels)
    n = np.maximum(finite.sum(axis=1, keepdims=True), 1)

    def mean_of(x: Array) -> Array:
        return np.asarray(np.where(finite, x, 0.0).sum(axis=1, keepdims=True) / n)

    mean = mean_of(levels)
    centred = levels - mean
    centred = centred - mean_of(centred)
    length = np.abs(np.where(finite, centred, 0.0)).max(axis=1, keepdims=True)
    still = finite & (length <= levels.shape[1] * np.finfo(float).eps * np.abs(mean))
    return np.where(still, 0.0, centred)


def standardise(series: Array, window: Flags) -> Array:
    """z = (x - mean) / sd over the window's years, with the population sd; ``[n_units, n_years]``."""
    centred = series - series[:, window].mean(axis=1, keepdims=True)
    centred = centred - centred[:, window].mean(axis=1, keepdims=True)  # what the rounding of the mean left
    spread = np.sqrt((centred[:, window] ** 2).mean(axis=1, keepdims=True))
    return np.asarray(centred / spread, dtype=np.float64)


def year_effects(outcome: Array) -> Array:
    """Year effects ``[n_years]`` of rows ``[n, n_years]``, NaN where missing, with an effect of every row.

    f = EE^+ E'y with y the deviations from row means and EE = diag(o) - sum o o' / n over rows with two observed years
    o; zero in years that no such row knows. Rounded to 32 bits, so that subtracting them is exact where values have
    not more digits than float64 holds beside them; what that leaves of the effects is small.
    """
    finite = np.isfinite(outcome)
    finite &= finite.sum(axis=1, keepdims=True) >= 2
    centred = np.where(finite, deviations(np.where(finite, outcome, np.nan)), 0.0)
    present = finite.any(axis=0)
    o = finite[:, present].astype(np.float64)
    equations = np.diag(o.sum(axis=0)) - (o / np.maximum(o.sum(axis=1, keepdims=True), 1.0)).T @ o
    effects = np.zeros(outcome.shape[1])
    if present.any():
        effects[present] = np.linalg.lstsq(equations, centred[:, present].sum(axis=0), rcond=1e-12)[0]
    largest = np.abs(effects).max()
    if largest == 0:
        return effects
    unit = np.exp2(np.ceil(np.log2(largest)) - _BITS)
    return np.asarray(np.round(effects / unit) * unit)
