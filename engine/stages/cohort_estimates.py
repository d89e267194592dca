"""Cells whose estimator compares cohorts: the regression of cohort means, and what is reported of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Flags, Integers
from engine.estimate.cohort_effects import estimates_of_cohorts
from engine.estimate.cohorts import CohortBatch, CohortRows, CohortSums, cohort_sums
from engine.estimate.estimate import Estimate
from engine.estimate.estimator import PairTiming
from engine.estimate.fit import Stage, fit
from engine.estimate.pair_types import type_name
from engine.estimate.terms import Term
from engine.infer.errors import Covariance, error_type
from engine.notes import Note
from engine.pairs.design import PairDesign
from engine.pairs.moments import CityMoments
from engine.spec import Cell


@dataclass(frozen=True)
class CohortCells:
    """Cohorts behind the averages that a cell reports, and effects of each and year where cohorts adopt in a year.

    Attributes
    ----------
    sums : CohortSums
    left_out : tuple of str
        Cohorts that no average has.
    fit : Estimate or None
        None of cohorts with numbers.
    covariances : tuple of Covariance
        Of ``fit``.
    """

    sums: CohortSums
    left_out: tuple[str, ...]
    fit: Estimate | None = None
    covariances: tuple[Covariance, ...] = ()

    @property
    def by_cities(self) -> bool:
        """Whether cohorts are of one type of pairs each, the adoption years of their two cities."""
        return self.sums.rows.partition.cities is not None

    def notes(self, covariances: Sequence[Covariance]) -> Iterator[Note]:
        """On cohorts without controls, and on those that are gone with one city: averages are then of the others."""
        if self.left_out:
            yield Note.of("switchers_not_compared", cohorts=list(self.left_out))
        partition, is_of_one_city = self.sums.rows.partition, self.sums.of_one_city()
        if partition.cities is None:
            years = np.unique(partition.changed[is_of_one_city])
            yield from one_city_notes(years[np.isfinite(years)].tolist(), covariances)
        else:
            names = [type_name(*cities) for cities in partition.cities.tolist()]
            yield from self._notes_on_types(names, is_of_one_city, covariances)

    def _notes_on_types(
        self, names: Sequence[str], is_of_one_city: Flags, covariances: Sequence[Covariance]
    ) -> Iterator[Note]:
        estimated = {self.sums.rows.place(term)[0] for term in self.fit.terms} if self.fit else set()
        present = np.flatnonzero(self.sums.n_pairs[:-1] > 0).tolist()
        unseen = [names[place] for place in present if place not in estimated]
        if unseen:
            yield Note.of("types_not_identified", types=unseen)
        one_city = [names[place] for place in np.flatnonzero(is_of_one_city[:-1]).tolist()]
        if one_city and _reads_leave_outs(covariances):
            yield Note.of("types_of_one_city", types=one_city)


def one_city_notes(adopted: Sequence[float], covariances: Sequence[Covariance]) -> tuple[Note, ...]:
    """A note on cohorts that have a single city in every pair, where some error reads leave-one-city-out values.

    ``adopted``: the years of those cohorts.
    """
    if not (adopted and _reads_leave_outs(covariances)):
        return ()
    return (Note.of("cohorts_of_one_city", cohorts=[f"{year:.0f}" for year in adopted]),)


def _reads_leave_outs(covariances: Sequence[Covariance]) -> bool:
    return any(error_type(covariance.kind).leave_outs for covariance in covariances)


def sums_of_cell(
    cell: Cell, timing: PairTiming | None, moments: CityMoments, classes: Integers
) -> CohortSums | None:
    """Sums by cohort of a cell whose estimator compares cohorts; None of others."""
    functions = cell.job.model.registered.functions
    if functions.comparisons is None:
        return None
    if timing is None:
        raise ValueError(f"{cell.job.model.estimator} needs the timing of its cell")
    return cohort_sums(moments, classes, timing.years, functions.cohorts(timing))


def estimates_of_cell(
    projected: Stage, cell: Cell, timing: PairTiming, treatment: tuple[Term, ...], sums: CohortSums
) -> tuple[Estimate, list[Estimate], CohortCells]:
    """The regression of cohort means, the averages that the cell reports, and what is behind them.

    After the averages come the effects by cohort and year, where cohorts adopt in a year.
    """
    functions = cell.job.model.registered.functions
    if functions.comparisons is None:
        raise ValueError(f"{cell.job.model.estimator} compares no cohorts")
    comparisons = functions.comparisons(timing, sums.rows)
    present = tuple(term for term in treatment if sums.rows.is_observed[sums.rows.place(term)])
    present = _without_one_year(present, sums.rows)
    regressed = fit(projected, functions.regression((), present))
    averages, by_cohort = estimates_of_cohorts(regressed, comparisons, sums)
    reported = [averages, by_cohort] if not sums.rows.partition.by_path else [averages]
    return regressed, reported, CohortCells(sums, comparisons.left_out)


def _without_one_year(terms: tuple[Term, ...], rows: CohortRows) -> tuple[Term, ...]:
    """Dummies of observed years of all cohorts but the last with rows, one year of each omitted.

    That is the first, where the base period has no rows.
    """
    last = np.flatnonzero(rows.is_observed.any(axis=1))[-1]
    omitted: list[Term] = []
    for cohort, is_observed in enumerate(rows.is_observed):
        of_cohort = [term for term in terms if term.cohort == cohort]
        if cohort == last:
            omitted += of_cohort
        elif of_cohort and len(of_cohort) == is_observed.sum():
            omitted.append(of_cohort[0])
    return tuple(term for term in terms if term not in omitted)


def cohort_batch(
    cell: Cell,
    timing: PairTiming,
    design: PairDesign,
    types: list[tuple[int, int]],
    names: tuple[str, ...],
    observed_years: Flags,
) -> CohortBatch:
    """The averages of a cell by their names, for samples that have other pairs of the classes.

    ``types``: classes of the pairs, in the order of their sums; ``observed_years`` ``[T]``: with rows in the sample.
    """
    functions = cell.job.model.registered.functions
    if functions.comparisons is None:
        raise ValueError(f"{cell.job.model.estimator} compares no cohorts")
    partition = functions.cohorts(timing)
    shape = (*timing.exists.shape, len(timing.years))
    has_rows = np.ones(shape, dtype=bool) if design.kept_rows is None else design.kept_rows
    has_rows = has_rows & timing.exists[:, :, None] & observed_years
    is_observed = np.stack(
        [has_rows[partition.of_classes == cohort].any(axis=0) for cohort in range(len(partition.changed))]
    )
    comparisons = functions.comparisons(timing, CohortRows(timing.years, partition, is_observed))
    by_name = {average.term.name: average for average in comparisons.averages}
    tested = replace(comparisons, averages=tuple(by_name[name] for name in names))
    of_types = np.array([partition.of_classes[pair] for pair in types])
    return CohortBatch(tested.arrays(), len(names), of_types.astype(np.int32), is_observed)
