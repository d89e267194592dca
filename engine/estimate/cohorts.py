"""Cohorts of pairs: sums of their outcomes, and which means an estimator compares and averages.

A cohort is the pairs that become treated in one year, or whose treatment takes one path; the last one is the reference,
whose pairs are never treated, or do not change, in the rows of the sample. Nothing here imports JAX, so that job files
can be checked without it; the numbers are computed in `engine.estimate.cohort_effects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.estimate.row_counts import rows_by_year
from engine.estimate.terms import Term
from engine.pairs.moments import CityMoments


@dataclass(frozen=True)
class PairCohorts:
    """Cohorts of pairs by the classes of their cities.

    Attributes
    ----------
    numbers : float64 ``[n_classes, n_classes]``
        Adoption year of the pairs, or the number of their cohort; the reference has the highest, and so have classes
        without pairs.
    changed : float64 ``[G]`` or None
        Of cohorts with a number, ascending: year in which their treatment first changes, ``inf`` for never.
    """

    numbers: Array
    changed: Array | None = None


@dataclass(frozen=True)
class CohortRows:
    """Cohorts of a sample and the years of their pairs, all the same within a cohort.

    Attributes
    ----------
    years : float64 ``[T]``
    adopted : float64 ``[G]``
        Adoption year of each cohort, or its number, ascending; the last is the reference, ``inf`` where it is never
        treated.
    is_observed : bool ``[G, T]``
        Cohorts and years with rows.
    changed : float64 ``[G]`` or None
        As in `PairCohorts`.
    """

    years: Array
    adopted: Array
    is_observed: Flags
    changed: Array | None = None

    @property
    def switch_years(self) -> Array:
        """``[G]`` years in which cohorts become treated, or in which their treatment first changes."""
        return self.adopted if self.changed is None else self.changed

    def place(self, term: Term) -> tuple[int, int]:
        """Positions of a term's cohort and year."""
        cohort = term.cohort or 0
        year = cohort + (term.event_time or 0) if term.year is None else term.year
        return int(np.searchsorted(self.adopted, cohort)), int(np.searchsorted(self.years, year))


@dataclass(frozen=True)
class CohortSums:
    """Statistics of the pairs of a sample by cohort: the number of pairs, then the outcome of each year.

    Attributes
    ----------
    rows : CohortRows
    of_cities : float64 ``[2, n_units, G, 1 + T]``
        Sums over the pairs in which a city stands first, and second; outcomes are demeaned within pairs.
    """

    rows: CohortRows
    of_cities: Array

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
        """``[G]`` cohorts whose year no pair has without a single city, so that none is left when it is."""
        switch_years = self.rows.switch_years
        same_year = (switch_years == switch_years[:, None]).astype(np.float64)
        n_pairs = same_year @ self.n_pairs
        most = (self.of_cities[..., 0].sum(axis=0) @ same_year).max(axis=0)
        return np.asarray((self.n_pairs > 0) & (most == n_pairs))


def cohort_sums(
    moments: CityMoments, classes: Integers, years: Array, pair_cohorts: PairCohorts
) -> CohortSums:
    """Sums of the pair statistics of a first pass by cohort.

    Parameters
    ----------
    moments : CityMoments
    classes : int ``[n_units]``
    years : float64 ``[T]``
    pair_cohorts : PairCohorts

    Raises
    ------
    InputError
        Where pairs of a cohort differ in their observed years.
    """
    cohorts = np.unique(pair_cohorts.numbers)
    cohort = np.searchsorted(cohorts, pair_cohorts.numbers)
    layout, n_units = moments.layout, len(classes)
    statistics = np.zeros((len(cohorts), layout.size))
    of_cities = np.zeros((2, n_units, len(cohorts), 1 + layout.n_years))
    for side, of_city in enumerate((moments.first, moments.second)):
        values = of_city[..., [0, *layout.outcomes]]
        np.add.at(of_cities[side], (np.arange(n_units)[:, None], cohort[classes]), values)
    np.add.at(statistics, cohort[classes], moments.first)
    rows = rows_by_year(layout, statistics)
    return CohortSums(CohortRows(years, cohorts, rows > 0, pair_cohorts.changed), of_cities)


@dataclass(frozen=True)
class Average:
    """A reported term: an average of cells in two steps, first within blocks by pairs, then over blocks.

    Attributes
    ----------
    term : Term
    blocks : float64 ``[n_blocks, n_cells]``
        1 where a cell belongs to a block, -1 where it does with the other sign.
    by_pairs : bool
        Blocks are of one cohort each and count by its pairs; else equally.
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
