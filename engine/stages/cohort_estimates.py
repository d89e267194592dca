"""Cells whose estimator compares cohorts: the regression of cohort means, and what is reported of it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.arrays import Integers
from engine.estimate.cohort_effects import estimates_of_cohorts
from engine.estimate.cohorts import CohortSums, cohort_sums
from engine.estimate.estimate import Estimate
from engine.estimate.estimator import PairTiming
from engine.estimate.fit import Stage, fit
from engine.estimate.terms import Term
from engine.infer.errors import Covariance, error_type
from engine.notes import Note
from engine.pairs.moments import CityMoments
from engine.spec import Cell


@dataclass(frozen=True)
class CohortCells:
    """Effects of each cohort and year, behind the averages that a cell reports.

    Attributes
    ----------
    fit : Estimate
    covariances : tuple of Covariance
    sums : CohortSums
    """

    fit: Estimate
    covariances: tuple[Covariance, ...]
    sums: CohortSums

    @property
    def notes(self) -> tuple[Note, ...]:
        """On cohorts that are gone with one city: without it, averages are of the others."""
        gone = self.sums.adopted[self.sums.of_one_city()]
        reads_leave_outs = any(error_type(covariance.kind).leave_outs for covariance in self.covariances)
        if not (len(gone) and reads_leave_outs):
            return ()
        return (Note.of("cohorts_of_one_city", cohorts=[f"{year:.0f}" for year in gone]),)


def sums_of_cell(
    cell: Cell, timing: PairTiming | None, moments: CityMoments, classes: Integers
) -> CohortSums | None:
    """Sums by cohort of a cell whose estimator compares cohorts; None of others."""
    if cell.job.model.registered.functions.comparisons is None:
        return None
    if timing is None:
        raise ValueError(f"{cell.job.model.estimator} needs the timing of its cell")
    return cohort_sums(moments, classes, timing.years, timing.cohorts)


def estimates_of_cell(
    projected: Stage, cell: Cell, timing: PairTiming, treatment: tuple[Term, ...], sums: CohortSums
) -> tuple[Estimate, Estimate, Estimate]:
    """The regression of cohort means, the averages that the cell reports, and its effects by cohort and year."""
    functions = cell.job.model.registered.functions
    if functions.comparisons is None:
        raise ValueError(f"{cell.job.model.estimator} compares no cohorts")
    comparisons = functions.comparisons(timing, sums)
    # The filters of pairs may leave no pair of a cohort.
    present = tuple(term for term in treatment if sums.is_observed[sums.place(term)])
    regressed = fit(projected, functions.regression((), present))
    return regressed, *estimates_of_cohorts(regressed, comparisons, sums)
