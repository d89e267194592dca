"""City series before they meet in pairs: refused where no pair column can be made of them."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError

ROUNDING = 1e-12
"""Standardised values closer than this are equal; so is a spread this small beside its mean."""


def may_coincide(z: Array, *, look_ahead: bool, clip: float) -> bool:
    """False where no two standardised series ``[n_units, n_years]`` are equal, or at their bound, in any year.

    Neighbours in their order, and its ends, tell without a look at the pairs.
    """
    near = 2 * ROUNDING  # twice, so that no rounding of this check itself hides a pair
    if clip > near:
        return False
    ordered, bound = np.sort(z, axis=0), 2.0 * np.sqrt(z.shape[1] - 1.0)
    if (np.diff(ordered, axis=0) <= near).any():
        return True
    return look_ahead and bool((ordered[-1] - ordered[0] >= bound - near).any())


def refuse_flat(series: Array, window: Flags, panel: CityPanel, *, formula: str, key: str) -> None:
    """Raise InputError for a city whose series does not vary, which cannot be standardised."""
    values = series[:, window]
    finite = np.isfinite(values)
    n = finite.sum(axis=1, keepdims=True)
    centre = np.where(finite, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    spread = np.abs(np.where(finite, values - centre, 0.0)).max(axis=1)
    # With fewer than three years a city has no pair that could be standardised: its rows are missing.
    flat = (spread <= ROUNDING * np.abs(centre[:, 0])) & (n[:, 0] >= 3)
    if flat.any():
        names = [panel.units[k] for k in np.flatnonzero(flat)]
        raise InputError(
            f"'{formula}' has zero variance in {', '.join(names[:5])}"
            + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            where=key,
            remedy="correct these series or leave these cities out",
        )


def refuse_not_positive(values: Array, panel: CityPanel, *, formula: str, key: str, remedy: str) -> None:
    """Raise InputError for the first value that is zero or negative."""
    if (values <= 0).any():
        unit, year = np.argwhere(values <= 0)[0]
        raise InputError(
            f"'{formula}' is {values[unit, year]:g} in {panel.units[unit]}, {panel.years[year]}",
            where=key,
            remedy=remedy,
        )
