"""Cohorts of pairs: sums of their outcomes, and which means an estimator compares and averages.

A cohort is the pairs that become treated in one year, or those of them whose two cities adopt in the same two years, or
those whose treatment takes one path; the last one is the reference, whose pairs are never treated, or do not change, in
the rows of the sample. Nothing here imports JAX, so that job files can be checked without it; the numbers are computed
in `engine.estimate.cohort_effects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, Integers
from engine.estimate.row_counts import rows_by_year
from engine.estimate.terms import Term
from engine.pairs.moments import CityMoments


@dataclass(frozen=True)
class Partition:
    """Cohorts of pairs by the classes of their two cities.

    Attributes
    ----------
    of_classes : int ``[n_classes, n_classes]``
        Position of the cohort of the pairs of two classes.
    changed : float64 ``[G]``
        Year in which each becomes treated, or in which its treatment first changes, ascending; ``inf`` for never. The
        last is the reference.
    cities : float64 ``[G, 2]`` or None
        Adoption years of the two cities, the earlier first, where a cohort is of one such type; ``inf`` for never, and
        in the reference, whose pairs are of any type.
    by_path : bool
        A cohort is of one path of the treatment, so that several may have one year.
    """

    of_classes: AnyIntegers
    changed: Array
    cities: Array | None = None
    by_path: bool = False

    @property
    def of_year(self) -> AnyIntegers:
        """``[G]`` a number for the cohorts that are told of by their year alone: all of one year, where by path."""
        groups = (
            np.unique(self.changed, return_inverse=True)[1] if self.by_path else np.arange(len(self.changed))
        )
        return np.asarray(groups)


def cohorts_by_year(adopted: Array) -> Partition:
    """A cohort for each year in which pairs become treated, from those of two classes ``[n_classes, n_classes]``."""
    years, of_classes = np.unique(adopted, return_inverse=True)
    return Partition(of_classes.reshape(adopted.shape), years)


def cohorts_by_cities(adopted: Array, years: Array) -> Partition:
    """A cohort for each type, the unordered pair of the cities' adoption years, and one reference.

    Parameters
    ----------
    adopted : float64 ``[n_classes, n_classes]``
        Year in which the pairs of two classes become treated; the latest of all is that of the reference.
    years : float64 ``[n_classes]``
        Adoption year of each class, ``inf`` for never.
    """
    in_reference = adopted == adopted.max()
    earlier, later = (
        np.where(in_reference, np.inf, order(years[:, None], years)) for order in (np.minimum, np.maximum)
    )
    keys = np.stack([adopted, earlier, later], axis=-1).reshape(-1, 3)
    types, of_classes = np.unique(keys, axis=0, return_inverse=True)
    return Partition(of_classes.reshape(adopted.shape), types[:, 0], types[:, 1:])


@dataclass(frozen=True)
class CohortRows:
    """Cohorts of a sample and the years of their pairs, all the same within a cohort.

    Attributes
    ----------
    years : float64 ``[T]``
    partition : Partition
    is_observed : bool ``[G, T]``
        Cohorts and years with rows.
    """

    years: Array
    partition: Partition
    is_observed: Flags

    @property
    def changed(self) -> Array:
        """``[G]`` year in which each cohort becomes treated, or in which its treatment first changes."""
        return self.partition.changed

    def place(self, term: Term) -> tuple[int, int]:
        """Positions of a term's cohort and year."""
        if term.cohort is None or term.year is None:
            raise ValueError(f"{term} is not of one cohort and year")
        return term.cohort, int(np.searchsorted(self.years, term.year))


@dataclass(frozen=True)
class CohortSums:
    """Statistics of the pairs of a sample by cohort: the number of pairs, then the outcome of each year.

    Attributes
    ----------
    rows : CohortRows
    of_cities : float64 ``[2, n_units, G, 1 + T]``
        Sums over the pairs in which a city stands first, and second; outcomes are demeaned within pairs.
    pairs_of_classes : float64 ``[n_classes, n_classes]``
        Pairs by the classes of their first and their second city.
    """

    rows: CohortRows
    of_cities: Array
    pairs_of_classes: Array

    @property
    def total(self) -> Array:
        """``[G, 1 + T]`` sums over all pairs."""
        return np.asarray(self.of_cities[0].sum(axis=0))

    @property
    def n_pairs(self) -> Array:
        """``[G]`` pairs of each cohort."""
        return self.total[:, 0]

    @property
    def means(self) -> Array:
        """``[G, T]`` mean outcomes; zero where a cohort has no pairs."""
        total = self.total
        return total[:, 1:] / np.where(total[:, 0] > 0, total[:, 0], 1.0)[:, None]

    def share_meat(self, jacobian: Array) -> Array:
        """``[K, K]`` pair meat of the cohorts' shares, from derivatives ``[K, G, 1 + T]`` by the sums."""
        of_shares = jacobian[:, :, 0] + (jacobian[:, :, 1:] * self.means).sum(axis=2)
        return np.asarray((of_shares * self.n_pairs) @ of_shares.T)

    def of_one_city(self) -> Flags:
        """``[G]`` cohorts of which a single city is in every pair, so that none is left without it.

        Of cohorts by path these are all that no pair of the same year is without.
        """
        groups = self.rows.partition.of_year
        is_alike = (groups == groups[:, None]).astype(np.float64)
        n_pairs = is_alike @ self.n_pairs
        most = (self.of_cities[..., 0].sum(axis=0) @ is_alike).max(axis=0)
        return np.asarray((self.n_pairs > 0) & (most == n_pairs))


def cohort_sums(moments: CityMoments, classes: Integers, years: Array, partition: Partition) -> CohortSums:
    """Sums of the pair statistics of a first pass by cohort.

    Parameters
    ----------
    moments : CityMoments
    classes : int ``[n_units]``
    years : float64 ``[T]``
    partition : Partition

    Raises
    ------
    InputError
        Where pairs of a cohort differ in their observed years.
    """
    cohort, n_cohorts = partition.of_classes, len(partition.changed)
    layout, n_units = moments.layout, len(classes)
    statistics = np.zeros((n_cohorts, layout.size))
    of_cities = np.zeros((2, n_units, n_cohorts, 1 + layout.n_years))
    pairs_of_classes = np.zeros(cohort.shape)
    for side, of_city in enumerate((moments.first, moments.second)):
        values = of_city[..., [0, *layout.outcomes]]
        np.add.at(of_cities[side], (np.arange(n_units)[:, None], cohort[classes]), values)
    np.add.at(statistics, cohort[classes], moments.first)
    np.add.at(pairs_of_classes, classes, moments.first[..., 0])
    is_observed = rows_by_year(layout, statistics) > 0
    return CohortSums(CohortRows(years, partition, is_observed), of_cities, pairs_of_classes)


@dataclass(frozen=True)
class Average:
    """A reported term: an average of cells in two steps, first within blocks by pairs, then over blocks.

    Attributes
    ----------
    term : Term
    blocks : float64 ``[n_blocks, n_cells]``
        1 where a cell belongs to a block, -1 where it does with the other sign.
    by_pairs : bool
        Blocks are of one cohort or type each and count by its pairs; else equally.
    divisors : float64 ``[n_blocks, n_cells]`` or None
        What each pair of a cell adds to the sum that its block is divided by; None for 1 in the block's cells, so
        that the block is a mean.
    """

    term: Term
    blocks: Array
    by_pairs: bool = False
    divisors: Array | None = None


@dataclass(frozen=True)
class Comparisons:
    """Cells, each the difference of a cohort's change and that of others, and their averages.

        cell = (m[g, t] - m[g, s]) - sum_h n_h (m[h, t] - m[h, s]) / sum_h n_h

    with m the mean outcome of a cohort in a year, n its pairs, and h the cohorts that are compared with.

    Attributes
    ----------
    cells : tuple of Term
        With cohort and event time.
    cohort, year, base : int32 ``[n_cells]``
        Positions of g, t and s.
    controls : float64 ``[n_cells, G]``
        1 for the cohorts h.
    averages : tuple of Average
    left_out : tuple of str
        Cohorts of adopters, or of switchers, that are in no cell.
    """

    cells: tuple[Term, ...]
    cohort: Integers
    year: Integers
    base: Integers
    controls: Array
    averages: tuple[Average, ...]
    left_out: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """Those of the averages, then the cells."""
        return (*(average.term for average in self.averages), *self.cells)

    def arrays(self) -> ComparisonArrays:
        """All that an evaluation needs, the blocks of all averages one after another."""
        blocks = [average.blocks for average in self.averages]
        divisors = [
            average.blocks if average.divisors is None else average.divisors for average in self.averages
        ]
        n_blocks = [len(block) for block in blocks]
        owner = np.repeat(np.arange(len(blocks)), n_blocks)
        by_pairs = np.repeat([average.by_pairs for average in self.averages], n_blocks)
        of_averages = (owner == np.arange(len(blocks))[:, None]).astype(np.float64)
        treated = np.arange(self.controls.shape[1])[:, None] == self.cohort
        return ComparisonArrays(
            treated.astype(np.float64),
            self.controls.T,
            self.year,
            self.base,
            np.concatenate(blocks),
            np.concatenate(divisors),
            of_averages,
            by_pairs,
        )


class ComparisonArrays(NamedTuple):
    """`Comparisons` as arrays: 0 and 1 but for the positions of years, signs and divisors.

    Attributes
    ----------
    treated, controls : float64 ``[G, n_cells]``
    year, base : int32 ``[n_cells]``
    blocks, divisors : float64 ``[n_blocks, n_cells]``
    of_averages : float64 ``[n_averages, n_blocks]``
    by_pairs : bool ``[n_blocks]``
    """

    treated: Array
    controls: Array
    year: Integers
    base: Integers
    blocks: Array
    divisors: Array
    of_averages: Array
    by_pairs: Flags


@dataclass(frozen=True)
class CohortBatch:
    """Averages of cohorts to be computed in many samples of the same classes, whose pairs are summed by type.

    Attributes
    ----------
    comparisons : ComparisonArrays
        Of the averages and of all cells behind them, whether or not a sample has pairs of their cohorts.
    n_averages : int
    of_types : int32 ``[n_types]``
        Cohort of each type of pair.
    is_observed : bool ``[G, T]``
    """

    comparisons: ComparisonArrays
    n_averages: int
    of_types: Integers
    is_observed: Flags
