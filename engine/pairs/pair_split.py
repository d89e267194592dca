"""A class of pairs by the sum of a city value, as `pairs.split` of a job selects it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Integers
from engine.notes import Note


@dataclass(frozen=True)
class PairSplit:
    """A class of pairs by the sum of a city value: low < v_i + v_j <= high.

    Attributes
    ----------
    value : float64 ``[n_units]``
    bounds : (float, float)
    n_pairs : int
        Pairs of the sample in it.
    name : Note
        Its name among the filters of the sample.
    third : int or None
        Which third of the pairs of the sample it is, from 0, where a sample of other pairs has other bounds.
    """

    value: Array
    bounds: tuple[float, float]
    n_pairs: int
    name: Note
    third: int | None = None

    def sums(self, i: Integers, j: Integers) -> Array:
        """v_i + v_j of pairs."""
        return np.asarray(self.value[i] + self.value[j])


def bounds_of_third(sums: Array, third: int) -> tuple[float, float]:
    """The bounds of a third of some pairs, from 0 on, by v_i + v_j of all of them."""
    low, high = np.quantile(sums, [1 / 3, 2 / 3])
    bounds = -np.inf, float(low), float(high), np.inf
    return bounds[third], bounds[third + 1]
