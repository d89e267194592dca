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

    def notes(self, covariances: Sequence[Covariance]) -> Iterator[Note]:
        """On cohorts without controls, and on those that are gone with one city: averages are then of the others."""
        if self.left_out:
            yield Note.of("switchers_not_compared", cohorts=list(self.left_out))
        years = np.unique(self.sums.rows.switch_years[self.sums.of_one_city()])
        yield from one_city_notes(years[np.isfinite(years)].tolist(), covariances)


def one_city_notes(adopted: Sequence[float], covariances: Sequence[Covariance]) -> tuple[Note, ...]:
    """A note on cohorts that have a single city in every pair, where some error reads leave-one-city-out values.

    ``adopted``: the years of those cohorts.
    """
    reads_leave_outs = any(error_type(covariance.kind).leave_outs for covariance in covariances)
    if not (adopted and reads_leave_outs):
        return ()
    return (Note.of("cohorts_of_one_city", cohorts=[f"{year:.0f}" for year in adopted]),)


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
    reported = [averages, by_cohort] if sums.rows.changed is None else [averages]
    return regressed, reported, CohortCells(sums, comparisons.left_out)


def _without_one_year(terms: tuple[Term, ...], rows: CohortRows) -> tuple[Term, ...]:
    """Dummies of observed years of all cohorts but the last with rows, one year of each omitted.

    That is the first, where the base period has no rows.
    """
    observed = np.flatnonzero(rows.is_observed.any(axis=1))
    terms = tuple(term for term in terms if term.cohort != rows.adopted[observed[-1]])
    omitted: list[Term] = []
    for cohort, is_observed in zip(rows.adopted[:-1], rows.is_observed[:-1], strict=True):
        of_cohort = [term for term in terms if term.cohort == cohort]
        if of_cohort and len(of_cohort) == is_observed.sum():
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
    pair_cohorts = functions.cohorts(timing)
    cohorts, adopted = pair_cohorts.numbers, np.unique(pair_cohorts.numbers)
    shape = (*timing.exists.shape, len(timing.years))
    has_rows = np.ones(shape, dtype=bool) if design.kept_rows is None else design.kept_rows
    has_rows = has_rows & timing.exists[:, :, None] & observed_years
    is_observed = np.stack([has_rows[cohorts == year].any(axis=0) for year in adopted])
    comparisons = functions.comparisons(
        timing, CohortRows(timing.years, adopted, is_observed, pair_cohorts.changed)
    )
    by_name = {average.term.name: average for average in comparisons.averages}
    tested = replace(comparisons, averages=tuple(by_name[name] for name in names))
    of_types = np.searchsorted(adopted, [cohorts[pair] for pair in types])
    return CohortBatch(tested.arrays(), len(names), of_types.astype(np.int32), is_observed)
