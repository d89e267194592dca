"""Clean comparisons of cohorts: changes of the outcome of adopters, beside those of pairs not treated meanwhile.

A cohort g is the pairs that become treated in year g. At event year l it is compared from a year before adoption on,

    tau_gl = mean over g of (y_g+l - y_g+base) - mean over the clean controls of g at l of (y_g+l - y_g+base)

and an estimator is a way to choose the controls and to weigh the cohorts (`engine.estimate.comparison_fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags

CohortWeights = Literal["variance", "equal", "stacked"]
"""Of local projections by variance, and by treated pairs; of stacked sub-experiments by treated pairs."""


@dataclass(frozen=True, eq=False)
class CleanComparisons:
    """Cohorts that are compared, each with its controls at each event year.

    Attributes
    ----------
    adopted : float64 ``[n_classes, n_classes]``
        Year in which a pair becomes treated, by the classes of its cities; ``inf`` for never, and the latest of all
        where there are no pairs.
    cohorts : float64 ``[C]``
        Those years, ascending, of the pairs that the sample may have.
    event_times : tuple of int
        Event years whose effects are estimated, K of them.
    treated : int64 ``[G]``
        Positions in ``cohorts`` of those that are compared.
    later : int64 ``[K, G]``
        Position of year g + l among the sample's; 0 where there is no comparison.
    earlier : int64 ``[G]``
        Position of year g + base.
    clean : bool ``[K, G, C]``
        Cohorts that are controls; none where there is no comparison.
    years : float64 ``[T]``
        Of the sample.
    weights : str
        How cohorts are weighed, see `CohortWeights`.
    """

    adopted: Array
    cohorts: Array
    event_times: tuple[int, ...]
    treated: AnyIntegers
    later: AnyIntegers
    earlier: AnyIntegers
    clean: Flags
    years: Array
    weights: CohortWeights

    @property
    def n_years(self) -> int:
        """Years of the sample."""
        return len(self.years)

    @property
    def in_use(self) -> Flags:
        """``[K, G]``: whether a cohort is compared at an event year."""
        return np.asarray(self.clean.any(axis=2))

    @property
    def compared(self) -> AnyIntegers:
        """Positions of the cohorts that are compared at some event year."""
        return self.treated[self.in_use.any(axis=0)]

    @property
    def left_out(self) -> AnyIntegers:
        """Positions of the cohorts of adopters that are compared at none; their pairs may be controls."""
        return np.setdiff1d(self.treated, self.compared)

    def rows(self) -> Flags:
        """``[C, T]`` cohort-years that some comparison reads."""
        return np.asarray(self.rows_of_each().any(axis=0))

    def rows_of_each(self) -> Flags:
        """``[G, C, T]`` cohort-years that the comparisons of each cohort read."""
        read = np.zeros((len(self.treated), len(self.cohorts), self.n_years), dtype=bool)
        for time, event in np.argwhere(self.in_use):
            members = self.clean[time, event].copy()
            members[self.treated[event]] = True
            read[np.ix_([event], members, [self.earlier[event], self.later[time, event]])] = True
        return read


def clean_comparisons_of(
    adopted: Array,
    cohorts: Array,
    years: Array,
    event_times: tuple[int, ...],
    *,
    base: int,
    clean_until: AnyIntegers,
    weights: CohortWeights,
) -> CleanComparisons:
    """Comparisons of every cohort at every event year at which the sample has both years and clean controls.

    Parameters
    ----------
    adopted, cohorts
        As in `CleanComparisons`.
    years : float64 ``[T]``
    event_times : tuple of int
    base : int
        Event year from which changes are taken, below zero.
    clean_until : int ``[K]``
        Controls of cohort g become treated after year g + clean_until, or never.
    weights : str
    """
    treated = np.flatnonzero(np.isfinite(cohorts))
    starts = cohorts[treated]
    later = starts + np.array(event_times, dtype=np.float64)[:, None]
    earlier = starts + base
    is_observed = np.isin(later, years) & np.isin(earlier, years)
    clean = cohorts > (starts + clean_until[:, None])[:, :, None]
    return CleanComparisons(
        adopted=adopted,
        cohorts=cohorts,
        event_times=event_times,
        treated=treated,
        later=np.where(is_observed, np.searchsorted(years, later), 0),
        earlier=np.where(np.isin(earlier, years), np.searchsorted(years, earlier), 0),
        clean=clean & is_observed[:, :, None],
        years=years,
        weights=weights,
    )
