"""Pair-years as rows, for regressions that moments cannot serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Integers


@dataclass(frozen=True)
class PairRows:
    """The observed pair-years of a design, rows of a pair together.

    Attributes
    ----------
    i, j : int32 ``[n_pairs]``
        Units of every pair of the design, in its order; of a pair without rows too, so that the two
        directions of a dyad stay side by side.
    pair, year : int32 ``[n_rows]``
        Positions.
    values : float64 ``[n_rows, m]``
        Columns of the design, the outcome last.
    weights : float64 ``[n_rows]``
    infinite, singletons : int
        Infinite outcomes; pairs with a single observed year, which are left out.
    """

    i: Integers
    j: Integers
    pair: Integers
    year: Integers
    values: Array
    weights: Array
    infinite: int
    singletons: int

    @property
    def first(self) -> Integers:
        """``[n_rows]`` unit that stands first."""
        return self.i[self.pair]

    @property
    def second(self) -> Integers:
        """``[n_rows]`` unit that stands second."""
        return self.j[self.pair]


def concatenated(parts: Sequence[PairRows]) -> PairRows:
    """The rows of all parts, one part after the other."""
    starts = np.cumsum([0, *(len(part.i) for part in parts)])
    pair = [part.pair + np.int32(start) for part, start in zip(parts, starts, strict=False)]
    return PairRows(
        i=np.concatenate([part.i for part in parts]),
        j=np.concatenate([part.j for part in parts]),
        pair=np.concatenate(pair),
        year=np.concatenate([part.year for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        infinite=sum(part.infinite for part in parts),
        singletons=sum(part.singletons for part in parts),
    )


def merge_rows(earlier: PairRows, later: PairRows) -> PairRows:
    """Rows of both parts, the earlier ones first."""
    return concatenated((earlier, later))


def no_rows(n_columns: int) -> PairRows:
    """Empty rows, to which others are added."""
    empty = np.zeros(0, dtype=np.int32)
    return PairRows(empty, empty, empty, empty, np.zeros((0, n_columns)), np.zeros(0), 0, 0)
