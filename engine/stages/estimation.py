"""The two passes over the pairs, and what the cells of a pass make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.absorbed_fit import Absorption
from engine.estimate.estimate import Estimate
from engine.estimate.estimator import PairTiming
from engine.estimate.fit import LOOSEN, Stage, fit, stage
from engine.estimate.instrument import Instrumented
from engine.estimate.normal import Normal, normal_equations
from engine.estimate.poisson_fit import PoissonSummary
from engine.estimate.terms import Term, column_terms, distinct, unite_terms
from engine.infer.errors import STUDENTISING, Covariance, covariances, error_type
from engine.notes import Note
from engine.pairs.design import PairDesign
from engine.pairs.map_reduce import (
    MomentPass,
    city_moments,
    merge_moments,
)
from engine.pairs.moments import CityMoments
from engine.pairs.pair_rows import PairRows
from engine.pairs.treatment import Terms
from engine.runtime.execute import UNITS, Machine
from engine.spec import Cell
from engine.stages.averages import reported, rows_of_terms, with_rows
from engine.stages.city_ties import NO_TIES, CityTies
from engine.stages.cohort_estimates import CohortCells, estimates_of_cell, sums_of_cell
from engine.stages.draw_counts import by_block
from engine.stages.instrument import Strength, strengths
from engine.stages.left_out_samples import samples_without_groups
from engine.stages.near_cities import with_nearby
from engine.stages.pair_dependence import Correlogram, correlograms
from engine.stages.pair_sums import CELLS, PassSums, city_years_of, with_sums
from engine.stages.pass_cells import columns_of

Found = TypeVar("Found", CityMoments, PairRows)


@dataclass(frozen=True)
class LeftRows:
    """Rows of a pass that its regressions leave out.

    Attributes
    ----------
    infinite : int
        Pair-years with an infinite outcome.
    singleton_pairs : int
        Pairs with a single observed year to begin with.
    singletons : int
        Rows that were alone in a level of a fixed effect, left out until there were none; those pairs included.
    """

    infinite: int
    singleton_pairs: int
    singletons: int


@dataclass(frozen=True)
class Estimated:
    """One cell with its fit and covariances, and what became of the rows of its pass.

    Attributes
    ----------
    fit : Estimate
    studentising : Covariance
        Dyadic-robust, whatever kinds the cell prints.
    sample : LeftRows
    normal : Normal or None
        None where effects were absorbed row by row.
    absorption : Absorption or None
        How effects beyond pair and year were taken out.
    instrument : (Instrumented, dict of str to Strength, tuple of str) or None
        What is behind an ``iv`` cell, the instrument's strength by kind of error, and notes on those.
    likelihood : PoissonSummary or None
        Numbers of a Poisson fit.
    in_moving_pairs : bool ``[n_units]`` or None
        Cities in a pair of the sample whose treatment varies over its rows; None without treatment terms.
    n_adopters : int or None
        Adopting cities among those, see `engine.stages.adopters`.
    correlograms : tuple of Correlogram
        Correlations of the pair scores of its tested coefficients; none where the cell does not ask for them.
    cohort_cells : CohortCells or None
        Of estimators that compare cohorts.
    notes : tuple of Note
        On the estimator's use of the sample.
    passes : PassSums or None
        Where the cell asks for diagnostics or draws that read sums by type.
    """

    cell: Cell
    fit: Estimate
    covariances: tuple[Covariance, ...]
    studentising: Covariance
    sample: LeftRows
    normal: Normal | None
    absorption: Absorption | None = None
    instrument: tuple[Instrumented, dict[str, Strength], tuple[Note, ...]] | None = None
    likelihood: PoissonSummary | None = None
    in_moving_pairs: Flags | None = None
    n_adopters: int | None = None
    correlograms: tuple[Correlogram, ...] = ()
    cohort_cells: CohortCells | None = None
    notes: tuple[Note, ...] = ()
    passes: PassSums | None = None


def estimate_cells(
    machine: Machine,
    cells: tuple[Cell, ...],
    design: PairDesign,
    *,
    columns: tuple[str, ...],
    terms: tuple[Terms, ...],
    timings: tuple[PairTiming | None, ...] = (),
    city_ties: CityTies = NO_TIES,
) -> list[Estimated]:
    """Estimate the cells that share a design.

    Parameters
    ----------
    machine : Machine
    cells : tuple of Cell
    design : PairDesign
    columns : tuple of str
        Names of the design's regressor columns.
    terms : tuple of Terms
        Treatment terms of each cell.
    timings : tuple of (PairTiming or None), optional
        Of each cell, for estimators that compare cohorts.
    city_ties : CityTies, optional
        For cells with spatial or network errors, block jackknives or score correlations.

    Raises
    ------
    InputError
        For an empty sample, collinear regressors, or infinite outcomes under ``infinite: error``.
    """
    pass_input, moments, sample = sample_moments(machine, design, cells[0], products=len(cells) > CELLS)
    table, cell_terms = unite_terms(terms)
    all_terms = (*column_terms(columns), *distinct(cell_terms))
    normal = normal_equations(moments, design.classes, terms=all_terms, table=table)
    passes = PassSums(machine, pass_input, moments, normal, table)
    of_groups = samples_without_groups(passes, city_ties.blocks)
    projected = stage(normal, of_groups.samples)
    with named(cells[0]):
        rows = rows_of_terms(cells, distinct(cell_terms), design.classes, passes, of_groups)
    estimates: list[Estimate] = []
    samples: list[tuple[Flags | None, CohortCells | None]] = []
    for cell, treatment, timing in zip(cells, cell_terms, timings or [None] * len(cells), strict=True):
        with named(cell):
            sums = sums_of_cell(cell, timing, moments, design.classes)
            cohorts: CohortCells | None = None
            if timing is None or sums is None:
                regressed, *behind = _estimates(
                    projected, cell, columns_of(cell, columns), with_rows(treatment, rows)
                )
                behind.insert(0, reported(cell, regressed, rows))
            else:
                regressed, behind, cohorts = estimates_of_cell(projected, cell, timing, treatment, sums)
        estimates += behind
        samples.append((in_moving_pairs_of(normal, regressed.terms), cohorts))
    city_years = city_years_of(passes) if reads_interaction(cells) else None
    summed = with_sums(passes, estimates, city_years)
    if city_ties.radii and city_years is not None:
        summed = with_nearby(passes, projected, city_years, city_ties, summed)
    remaining = iter(summed)
    results = [
        replace(_result(cell, remaining, sample, passes, cohorts), in_moving_pairs=moving)
        for cell, (moving, cohorts) in zip(cells, samples, strict=True)
    ]
    return _with_correlograms(passes, results, city_ties.kilometres)


def _with_correlograms(
    passes: PassSums, results: list[Estimated], distances: Array | None
) -> list[Estimated]:
    """The results with correlations of their pair scores, where cells ask for them; cells alike share a pass."""
    if distances is None:
        return results
    at = {result.cell.id: place for place, result in enumerate(results)}
    with_scores = list(results)
    inexact = [result for result in results if not result.fit.exact]
    for block, group in by_block(inexact, lambda result: result.cell.job.inference.score_correlations):
        for start in range(0, len(group), CELLS):
            some = group[start : start + CELLS]
            of_cells = correlograms(passes, [result.fit for result in some], block, distances)
            for result, of_cell in zip(some, of_cells, strict=True):
                with_scores[at[result.cell.id]] = replace(result, correlograms=of_cell)
    return with_scores


def reads_interaction(cells: tuple[Cell, ...]) -> bool:
    """Whether a standard-error type of some cell subtracts the interaction of cities."""
    return any(error_type(code).of_interaction for cell in cells for code in cell.job.model.errors)


def _result(
    cell: Cell, estimates: Iterator[Estimate], sample: LeftRows, passes: PassSums, cohorts: CohortCells | None
) -> Estimated:
    """A cell's result, from the next of the estimates in the order of `estimate_cells`."""
    fit, instrument = next(estimates), None
    if cohorts is not None and not cohorts.sums.rows.partition.by_path:
        of_cells = next(estimates)
        errors_of_cells = covariances(of_cells, cell.job.model.errors)
        cohorts = replace(cohorts, fit=of_cells, covariances=errors_of_cells)
    if cell.job.model.registered.functions.instrument_regressions is not None:
        regressions = Instrumented(next(estimates), next(estimates), next(estimates))
        instrument = (regressions, *strengths(cell, regressions))
    errors, studentising = covariances_of(cell, fit)
    return Estimated(
        cell,
        fit,
        errors,
        studentising,
        sample,
        passes.normal,
        instrument=instrument,
        cohort_cells=cohorts,
        passes=passes if cell.job.model.diagnostics or _draws_from_passes(cell) else None,
    )


def _draws_from_passes(cell: Cell) -> bool:
    """Whether the cell's bootstrap makes passes over the pairs of its own."""
    bootstrap = cell.job.inference.bootstrap
    return bootstrap is not None and bootstrap.kind == "two_way_wild"


def _estimates(
    projected: Stage, cell: Cell, columns: tuple[Term, ...], treatment: tuple[Term, ...]
) -> list[Estimate]:
    """A cell's estimate, and those of the regressions behind its instrument where it has one."""
    functions = cell.job.model.registered.functions
    regression = functions.regression(columns, treatment)
    estimates = [fit(projected, regression)]
    if functions.instrument_regressions is not None:
        behind = functions.instrument_regressions(projected, regression)
        estimates += [behind.first, behind.reduced, behind.summed]
    return estimates


def covariances_of(cell: Cell, fit: Estimate) -> tuple[tuple[Covariance, ...], Covariance]:
    """Covariances under the kinds that the cell prints, and the dyadic one whatever they are."""
    kinds = tuple(dict.fromkeys([*cell.job.model.errors, STUDENTISING]))
    errors = covariances(fit, kinds)
    return errors[: len(cell.job.model.errors)], errors[kinds.index(STUDENTISING)]


def sample_moments(
    machine: Machine, design: PairDesign, cell: Cell, *, products: bool
) -> tuple[MomentPass, CityMoments, LeftRows]:
    """Moments of the rows that are alone neither in their pair nor in their year, as fixest has them.

    A year with a single row goes as a whole, and the pass is made again; pairs of a single row are no part of any
    pass. Raises InputError where no row is left.
    """
    first: CityMoments | None = None
    while True:
        pass_input, moments = first_pass(
            machine, design, cell, city_moments, merge_moments, label="moments", products=products
        )
        first = first or moments
        assert first.rows_by_year is not None
        assert moments.rows_by_year is not None
        is_singleton_year = moments.rows_by_year == 1
        if not is_singleton_year.any():
            n_observed = first.rows_by_year.sum() + first.singletons
            n_left_out = int(n_observed - moments.rows_by_year.sum())
            return pass_input, moments, LeftRows(first.infinite, first.singletons, n_left_out)
        if is_singleton_year.all() or moments.rows_by_year[~is_singleton_year].sum() == 0:
            raise InputError(
                "no row is left: each is alone in its pair or in its year",
                where=f"cell '{cell.label}'",
                remedy=LOOSEN,
            )
        design = design.without_years(is_singleton_year)


@contextmanager
def named(cell: Cell) -> Iterator[None]:
    """Errors of a regression name its cell."""
    try:
        yield
    except InputError as error:
        where = f"cell '{cell.label}': {error.where}" if error.where else f"cell '{cell.label}'"
        raise error.at(where) from None


def first_pass(
    machine: Machine,
    design: PairDesign,
    cell: Cell,
    leaf: Callable[[MomentPass, Any], Found],
    merge: Callable[[Found, Found], Found],
    *,
    label: str,
    products: bool = False,
) -> tuple[MomentPass, Found]:
    """First pass; a complete panel takes the compact layout unless an outcome turns out infinite.

    ``products``: sum products of statistics too, where the layout is compact and the table undirected.
    """
    tasks, infinite = design.tasks(), cell.job.outcome.infinite
    for balanced in [True, False] if design.complete else [False]:
        pass_input = MomentPass(design, balanced, products and balanced and not design.directed)
        sums = machine.reduce(leaf, pass_input, tasks, merge, label=label, units=UNITS)
        if sums.infinite and infinite == "error":
            raise InputError(
                f"the outcome is infinite in {sums.infinite:,} pair-years",
                where="outcome",
                remedy="two cities have equal standardised values (see identical series in the validation report); "
                "use outcome.infinite: drop or clip",
            )
        if not sums.infinite:
            break
    return pass_input, sums


def in_moving_pairs_of(normal: Normal, fitted: tuple[Term, ...]) -> Flags | None:
    """Cities in a pair whose treatment terms vary: a path that moves leaves half or more within its pair."""
    treatment = normal.positions(term for term in fitted if term.is_treatment)
    terms = [normal.n_years + position for position in treatment]
    if not terms:
        return None
    within = normal.first[:, terms, terms] + normal.second[:, terms, terms]
    return np.asarray((within > 1e-6).any(axis=1))
