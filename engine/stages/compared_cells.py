"""Cells of cohorts beside clean controls: functions of cohorts' sums, from the passes that a regression takes."""

from __future__ import annotations

from collections.abc import Iterator

from engine.estimate.comparison_fit import ComparisonFit, fit_comparisons
from engine.estimate.fit import Stage, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Term, column_terms, distinct, unite_terms
from engine.infer.errors import Covariance
from engine.notes import Note
from engine.pairs.clean_comparisons import CleanComparisons
from engine.pairs.treatment import event_name
from engine.runtime.execute import Machine
from engine.spec import Cell
from engine.stages.cohort_estimates import one_city_notes
from engine.stages.estimation import (
    Estimated,
    covariances_of,
    in_moving_pairs_of,
    named,
    reads_interaction,
    sample_moments,
)
from engine.stages.pair_sums import CELLS, PassSums, city_years_of, with_sums
from engine.stages.prepare_passes import Prepared


def estimate_compared(machine: Machine, prepared: Prepared) -> list[Estimated]:
    """Estimate the cells of a pass, all of one estimator with clean controls.

    Raises
    ------
    InputError
        Where no pairs, or not all years of the pairs, are left, or ``infinite: error`` finds an infinite outcome.
    """
    cells, design, columns = prepared.pass_cells.cells, prepared.design, prepared.pass_cells.controls
    pass_input, moments, sample = sample_moments(machine, design, cells[0], products=len(cells) > CELLS)
    table, cell_terms = unite_terms(prepared.terms)
    all_terms = (*column_terms(columns), *distinct(cell_terms))
    normal = normal_equations(moments, design.classes, terms=all_terms, table=table)
    passes = PassSums(machine, pass_input, moments, normal, table)
    projected, fits = stage(normal), list[ComparisonFit]()
    for cell, cohort_terms, paths in zip(cells, cell_terms, prepared.terms, strict=True):
        with named(cell):
            fits.append(_fit(cell, paths.clean_comparisons, passes, projected, cohort_terms))
    city_years = city_years_of(passes) if reads_interaction(cells) else None
    summed = with_sums(passes, [fit.estimate for fit in fits], city_years)
    estimated = []
    for cell, fit, estimate in zip(cells, fits, summed, strict=True):
        reported = fit.reported(estimate)
        moving = in_moving_pairs_of(normal, fit.compared)
        errors, studentising = covariances_of(cell, reported)
        estimated.append(
            Estimated(
                cell,
                reported,
                errors,
                studentising,
                sample,
                normal,
                in_moving_pairs=moving,
                notes=tuple(_notes(fit, errors)),
            )
        )
    return estimated


def _fit(
    cell: Cell,
    comparisons: CleanComparisons | None,
    passes: PassSums,
    projected: Stage,
    cohort_terms: tuple[Term, ...],
) -> ComparisonFit:
    if comparisons is None:
        raise ValueError(f"estimator {cell.job.model.estimator} has no clean controls")
    name = cell.job.treatment_block.name
    return fit_comparisons(
        comparisons,
        passes.moments,
        passes.pass_input.design.classes,
        projected,
        cohort_terms=cohort_terms,
        reported=tuple(
            Term(event_name(name, time), cohort_terms[0].path_set, time) for time in comparisons.event_times
        ),
    )


def _notes(fit: ComparisonFit, errors: tuple[Covariance, ...]) -> Iterator[Note]:
    """On cohorts that no comparison has, and those that leave-one-city-out samples may lack."""
    if fit.left_out:
        yield Note.of("cohorts_not_compared", cohorts=[f"{year:.0f}" for year in fit.left_out])
    yield from one_city_notes(fit.emptied, errors)
