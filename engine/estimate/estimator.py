"""The functions that make an estimator, and the adoption of pairs that its treatment paths are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import Array, Flags
from engine.estimate.cohorts import (
    CohortRows,
    Comparisons,
    Partition,
    cohorts_by_cities,
    cohorts_by_year,
)
from engine.estimate.fit import Stage
from engine.estimate.instrument import Instrumented
from engine.estimate.terms import Regression, Term
from engine.pairs.treatment import NEVER, Adoption, Terms, pair_adoption, policy_paths


@dataclass(frozen=True)
class Comparison:
    """With which pairs, and with which year, a treated cohort is compared.

    Attributes
    ----------
    control : str
        ``never | not_yet``.
    base_period : str
        ``varying | universal``.
    anticipation : int
        Years before adoption in which effects may begin.
    weights : str
        ``variance | equal``: how cohorts are weighed.
    cohorts : str
        ``pair | cities``: pairs that become treated in one year, or those whose cities adopt in the same two years.
    """

    control: str = "never"
    base_period: str = "varying"
    anticipation: int = 0
    weights: Literal["variance", "equal"] = "variance"
    cohorts: Literal["pair", "cities"] = "pair"


@dataclass(frozen=True)
class PairTiming:
    """When the pairs of a sample become treated, and how event years are shown.

    Attributes
    ----------
    adoption : Adoption
        Of the cities, by a year of the sample or never; a placebo in time has moved its years.
    exists : bool ``[n_classes, n_classes]``
        Classes of which the sample may have pairs.
    years : float64 ``[T]``
    rule : str
        ``exactly_one | both | either | count``.
    term : str
        Name of the treatment.
    base : int
        Omitted event year.
    window : (int, int)
        First and last event year.
    ends : str
        ``bin | drop``: event years outside the window join its ends, or their rows are dropped.
    comparison : Comparison
    """

    adoption: Adoption
    exists: Flags
    years: Array
    rule: str
    term: str
    base: int = -1
    window: tuple[int, int] = (-5, 3)
    ends: str = "bin"
    comparison: Comparison = Comparison()

    @property
    def adopted(self) -> Array:
        """``[n_classes, n_classes]`` year in which a pair becomes treated; ``inf`` for never."""
        return pair_adoption(self.adoption, self.rule)

    @property
    def cohorts(self) -> Array:
        """`adopted`, but the latest of all where there are no pairs."""
        return np.where(self.exists, self.adopted, self.adopted[self.exists].max())

    @property
    def changed(self) -> Array:
        """``[n_classes, n_classes]`` year in which the treatment of a pair first changes; ``inf`` for never.

        It is `adopted`, but under ``exactly_one`` pairs whose cities adopt together are never treated.
        """
        years = self.adoption.years
        together = (years[:, None] == years) & (self.rule == "exactly_one")
        return np.where(together, NEVER, self.adopted)

    @property
    def partition(self) -> Partition:
        """Cohorts that are compared; classes that have no pairs are in the reference."""
        if self.comparison.cohorts == "pair":
            return cohorts_by_year(self.cohorts)
        changed = self.changed
        latest = changed[self.exists].max()
        return cohorts_by_cities(np.where(self.exists, changed, latest), self.adoption.years)

    def treatment_of(self, partition: Partition) -> Array:
        """``[G, T]`` treatment of the pairs of each cohort; of the reference that of some pairs."""
        paths = policy_paths(self.adoption, self.years, self.rule)
        _, members = np.unique(partition.of_classes, return_index=True)
        return np.asarray(paths.reshape(-1, len(self.years))[members])

    def no_terms(self) -> Terms:
        """Terms of a regression without treatment."""
        return Terms((), np.zeros((*self.exists.shape, len(self.years), 0)))


def partition_of(timing: PairTiming) -> Partition:
    """Cohorts by the year in which pairs become treated, or by the adoption years of both cities."""
    return timing.partition


@dataclass(frozen=True)
class EstimatorFunctions:
    """An estimator's file in one value.

    Attributes
    ----------
    paths : callable
        Treatment terms of a timing, by the classes of a pair; raises InputError where the sample has none. Terms with
        `CleanComparisons` are cohorts by year, and no regressors: the estimates are functions of the cohorts' sums.
    regression : callable
        The regression on the cell's columns (the instrument last, where there is one) and treatment terms; of no use
        to an estimator with clean controls.
    kept_rows : callable or None
        ``[n_classes, n_classes, T]`` pair-years that the estimator is defined on; None where it is on all.
    combination : callable or None
        From the treatment's name, its terms and the rows in which each is on: the terms that are reported, and their
        weights ``[n_reported, n_terms]`` on those of the regression. None where these are reported themselves.
    averages : tuple of str
        Names of the terms that are reported beside those of event years.
    comparisons : callable or None
        From a timing and the rows of cohorts: the cells that are identified and their averages, which are reported in
        place of the coefficients (`engine.estimate.cohort_effects`). The regression then is of cohort means: its terms
        are of one cohort and year each.
    cohorts : callable
        The cohorts of a timing's pairs, for `comparisons`: by adoption year, or others.
    reported_names : callable or None
        From the treatment's name and the window, the terms that are reported; None where these are ``averages`` and
        the event years of the terms.
    instrument_regressions : callable or None
        The regressions behind an instrument, of a regression by two-stage least squares.
    """

    paths: Callable[[PairTiming], Terms]
    regression: Callable[[tuple[Term, ...], tuple[Term, ...]], Regression]
    kept_rows: Callable[[PairTiming], Flags] | None = None
    combination: Callable[[str, tuple[Term, ...], Array], tuple[tuple[Term, ...], Array]] | None = None
    averages: tuple[str, ...] = ()
    comparisons: Callable[[PairTiming, CohortRows], Comparisons] | None = None
    cohorts: Callable[[PairTiming], Partition] = partition_of
    reported_names: Callable[[str, tuple[int, int]], tuple[str, ...]] | None = None
    instrument_regressions: Callable[[Stage, Regression], Instrumented] | None = None
