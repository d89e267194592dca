"""Coordinates as places: a key that is equal for units at one spot of the globe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array

_DIGITS = 9  # of a degree: a tenth of a millimetre, and more than what folding a longitude rounds


def places(latitude: Array, longitude: Array) -> list[tuple[float, float]]:
    """One key a unit, equal for units at one place.

    Longitudes count once around the globe (0 and 360 are one meridian, so are -180 and 180), and at a pole
    they do not count at all. NaN stays NaN.
    """
    around = np.round((longitude + 180.0) % 360.0 - 180.0, _DIGITS)
    around = np.where(around == 180.0, -180.0, around)
    north = np.round(latitude, _DIGITS)
    return list(zip(north.tolist(), np.where(np.abs(north) == 90.0, 0.0, around).tolist(), strict=True))


def groups_at_one_place(
    units: Sequence[str], latitude: Array, longitude: Array
) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more units at one place; units without coordinates are in none."""
    by_place: dict[tuple[float, float], list[str]] = {}
    for unit, place in zip(units, places(latitude, longitude), strict=True):
        if not np.isnan(place).any():
            by_place.setdefault(place, []).append(unit)
    return tuple(tuple(group) for group in by_place.values() if len(group) > 1)
