"""Effects by the adoption years of both cities: the cells of every type of pairs, and what identifies each.

A type is the unordered pair of the adoption years of a pair's two cities, ``inf`` for never. The effect of type z in
year t compares the change of its pairs since the base period s with that of the control pairs,

    ATT(g_i, g_j, t) = (m[z, t] - m[z, s]) - (m[C, t] - m[C, s])

C being all pairs of the sample, of whatever type, whose treatment has not changed by t (`callaway_santanna`). Every
other cell is listed with the reason why nothing identifies it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags
from engine.estimate.cohorts import CohortSums, Comparisons
from engine.estimate.estimator import PairTiming
from engine.pairs.treatment import policy_paths, year_name

NO_PAIRS, NO_BASE, NO_ROWS, NO_CONTROLS = "no_pairs", "no_base_period", "no_rows", "no_controls"
ONE_PAIR = "one_pair"


@dataclass(frozen=True)
class SampleTypes:
    """Types of the pairs of a sample, by their earlier and then their later adoption year.

    Attributes
    ----------
    cities : float64 ``[Z, 2]``
        Adoption years of the two cities, the earlier first; ``inf`` for never.
    changed : float64 ``[Z]``
        Year in which the treatment of the pairs first changes, ``inf`` for never.
    cohort : int ``[Z]``
        Position among the cohorts that are compared; those that never change in the rows are in the last.
    n_pairs : int64 ``[Z]``
    treatment : float64 ``[Z, T]``
    """

    cities: Array
    changed: Array
    cohort: AnyIntegers
    n_pairs: AnyIntegers
    treatment: Array

    @property
    def names(self) -> list[str]:
        """``2013-2015``, ``2013-never`` and so on."""
        return [type_name(*years) for years in self.cities.tolist()]


@dataclass(frozen=True)
class TypeCell:
    """The effect on the pairs of a type in a year.

    Attributes
    ----------
    pair_type : int
        Position among the types.
    year : int
    treatment : float
        That the pairs have in the year.
    place : int or None
        Position among the cells that are estimated; None where nothing identifies it.
    reason : str
        ``no_pairs``: the filters of pairs leave none of the type; ``no_base_period``: its pairs are not observed
        before their treatment changes; ``no_rows``: they have none in the year; ``no_controls``: no pair of another
        type is still untreated then. ``one_pair``: an effect, but no error of it. Else empty.
    """

    pair_type: int
    year: int
    treatment: float
    place: int | None
    reason: str


def type_name(earlier: float, later: float) -> str:
    """``2013-2015``, or ``2013-never``."""
    return f"{year_name(earlier)}-{year_name(later)}"


def pair_types(timing: PairTiming, sums: CohortSums) -> SampleTypes:
    """Types of the pairs that a sample may have, and how many it has."""
    first, second = np.nonzero(np.triu(timing.exists))
    years, pairs = timing.adoption.years, sums.pairs_of_classes
    n_pairs = np.where(first == second, 0.0, pairs[second, first]) + pairs[first, second]
    cities = np.sort(np.stack([years[first], years[second]], axis=1), axis=1)
    cities, members, of_types = np.unique(cities, axis=0, return_index=True, return_inverse=True)
    first, second = first[members], second[members]
    paths = policy_paths(timing.adoption, timing.years, timing.rule)
    return SampleTypes(
        cities,
        timing.changed[first, second],
        timing.partition.of_classes[first, second],
        np.rint(np.bincount(of_types.ravel(), weights=n_pairs)).astype(np.int64),
        paths[first, second],
    )


def type_cells(
    timing: PairTiming, types: SampleTypes, sums: CohortSums, comparisons: Comparisons
) -> list[TypeCell]:
    """Cells of all types whose treatment changes in the sample, type by type and year by year, but base periods."""
    estimated = {
        (cohort, year): place
        for place, (cohort, year) in enumerate(
            zip(comparisons.cohort.tolist(), comparisons.year.tolist(), strict=True)
        )
    }
    cells = []
    for number in np.flatnonzero(np.isfinite(types.changed)).tolist():
        cohort, n_pairs = int(types.cohort[number]), int(types.n_pairs[number])
        observed = sums.rows.is_observed[cohort] if n_pairs else np.ones(len(timing.years), dtype=bool)
        base = _base_year(timing, float(types.changed[number]), timing.years[observed])
        for at, year in enumerate(timing.years.tolist()):
            if year == base:
                continue
            place = estimated.get((cohort, at)) if n_pairs else None
            if place is not None:
                reason = ONE_PAIR if n_pairs == 1 else ""
            elif not n_pairs:
                reason = NO_PAIRS
            elif base is None:
                reason = NO_BASE
            else:
                reason = NO_CONTROLS if observed[at] or _is_after_rows(timing, year) else NO_ROWS
            cells.append(TypeCell(number, int(year), float(types.treatment[number, at]), place, reason))
    return cells


def controls_of(types: SampleTypes, comparisons: Comparisons) -> Flags:
    """``[n_cells, Z]`` types of the sample whose pairs are the controls of each estimated cell."""
    return np.asarray((comparisons.controls[:, types.cohort] > 0) & (types.n_pairs > 0))


def _base_year(timing: PairTiming, changed: float, years: Array) -> float | None:
    """The year of a type that has no cell, among those in which it is observed; None without a base period."""
    before = years[years + timing.comparison.anticipation < changed]
    if not len(before):
        return None
    return float(before.max() if timing.comparison.base_period == "universal" else years.min())


def _is_after_rows(timing: PairTiming, year: float) -> bool:
    """Whether rows end before a year, since every pair is treated by then or anticipates it."""
    return bool(year >= timing.partition.changed[-1] - timing.comparison.anticipation)
