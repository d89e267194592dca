"""Which level of a fixed effect each pair-year is in.

An effect through both ends of a pair gives a row two levels, one of each end; both are added to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import AnyIntegers, Array, Integers
from engine.pairs.gravity import distance_km
from engine.pairs.pair_rows import PairRows


@dataclass(frozen=True)
class OfPairs:
    """Every pair."""

    name: str

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows]``."""
        return rows.pair


@dataclass(frozen=True)
class OfYears:
    """Every year."""

    name: str

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows]``."""
        return rows.year


@dataclass(frozen=True)
class OfBothEnds:
    """Every label of a unit in every year, through both ends of a pair: alpha_{g(i) t} + alpha_{g(j) t}.

    Pairs within one label have years of their own, gamma_{g t}: what moves a label's pairs with others need
    not move those within it twice, or once, as much.

    Attributes
    ----------
    name : str
    label : int32 ``[n_units]``
        From 0; the unit itself where the effect is unit by year.
    """

    name: str
    label: Integers

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows, 2]``."""
        first, second = self.label[rows.first], self.label[rows.second]
        second = second + np.where(first == second, self.label.max() + 1, 0)
        return np.asarray(np.stack([first, second], axis=1) * n_years + rows.year[:, None], dtype=np.int32)


@dataclass(frozen=True)
class OfLabelPairs:
    """Every unordered pair of labels in every year; ``label`` as in `OfBothEnds`."""

    name: str
    label: Integers

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows]``."""
        label_i, label_j, n_labels = self.label[rows.i], self.label[rows.j], int(self.label.max()) + 1
        label_pair = np.minimum(label_i, label_j).astype(np.int64) * n_labels + np.maximum(label_i, label_j)
        return _by_year(np.unique(label_pair, return_inverse=True)[1][rows.pair], rows, n_years)


@dataclass(frozen=True)
class OfDistance:
    """Classes of equally many pairs, by great-circle distance, in every year.

    The pairs are those with rows; a class reaches up to its quantile of their distances, that included.

    Attributes
    ----------
    name : str
    unit_vector : float64 ``[n_units, 3]``
        Position on the unit sphere.
    n_classes : int
    """

    name: str
    unit_vector: Array
    n_classes: int

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows]``."""
        distance = distance_km(self.unit_vector, rows.i, rows.j)
        bounds = np.quantile(distance[np.unique(rows.pair)], np.arange(1, self.n_classes) / self.n_classes)
        return _by_year(np.searchsorted(bounds, distance, side="left")[rows.pair], rows, n_years)


@dataclass(frozen=True)
class OfColumn:
    """Every value of a pair table's column.

    Attributes
    ----------
    name : str
    value : int32 ``[n_pairs, n_years]``
        Code of the value, -1 where there is no row.
    by_year : bool
    """

    name: str
    value: Integers
    by_year: bool

    def codes(self, rows: PairRows, n_years: int) -> Integers:
        """Levels ``[n_rows]``."""
        value = self.value[rows.pair, rows.year]
        return _by_year(value, rows, n_years) if self.by_year else value


PairEffect = OfPairs | OfYears | OfBothEnds | OfLabelPairs | OfDistance | OfColumn


def _by_year(level: AnyIntegers, rows: PairRows, n_years: int) -> Integers:
    """A level of its own in every year."""
    return np.asarray(level * n_years + rows.year, dtype=np.int32)
