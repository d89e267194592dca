"""Groups of cities by a label, for effects, strata and jackknife: a city without a label is in none, and is named."""

from __future__ import annotations

import numpy as np

from engine.arrays import Integers
from engine.stages.load_data import CityData


def labels_of(data: CityData, column: str, *, key: str) -> tuple[str, ...]:
    """One label a city; raises InputError where a city has none.

    Parameters
    ----------
    data : CityData
    column : str
    key : str
        What needs the labels, for the message: ``inference.permutation.strata`` and the like.
    """
    return data.panel.label(column, key=key, source=f"{data.source.name}: column '{column}'")


def group_codes(data: CityData, column: str, *, key: str) -> tuple[tuple[str, ...], Integers]:
    """Labels that occur, sorted, and the place of each city's among them."""
    groups, codes = np.unique(labels_of(data, column, key=key), return_inverse=True)
    return tuple(groups.tolist()), codes.astype(np.int32)
