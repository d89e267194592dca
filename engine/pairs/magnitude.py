"""Sizes of numbers whose squares, and the squares of those, stay within float64."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.errors import InputError

LARGEST = 1e50
SMALLEST = 1 / LARGEST
"""Sums over pairs multiply four values (1e200), variances hold the square of a ratio of two (1e200); float64 ends
at 1e308, on either side, and what lies beyond is infinite or zero."""


def refuse_magnitude(values: Array, name: str, *, where: str) -> None:
    """Raise InputError where the largest absolute value of a column, missing and infinite ones aside, is out of range.

    A column of zeros passes: it has no size.
    """
    sizes = np.abs(values[np.isfinite(values)])
    size = float(sizes.max()) if sizes.size else 0.0
    if size == 0 or SMALLEST <= size <= LARGEST:
        return
    raise InputError(
        f"'{name}' has values of {size:.3g}, whose squares are beyond the range of floating-point numbers"
        if size > LARGEST
        else f"'{name}' has no value above {size:.3g}, whose square is beyond the range of floating-point numbers",
        where=where,
        remedy=f"give it in other units, so that its largest value is between {SMALLEST:g} and {LARGEST:g}",
    )
