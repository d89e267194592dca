"""Poisson cells of pair tables: rows made once a pass, a fit a cell, since its weights are its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from engine.errors import InputError
from engine.estimate.absorbed_fit import RowProblem, leave_out_cities, leave_out_setting, row_fit
from engine.estimate.estimate import Estimate
from engine.estimate.poisson_fit import (
    PoissonStage,
    poisson_leave_out_units,
    poisson_leave_outs,
    poisson_stage,
)
from engine.estimate.terms import Term
from engine.infer.errors import Covariance, error_type
from engine.notes import Note
from engine.runtime.execute import Machine
from engine.spec import Cell
from engine.stages.absorbed import advised, row_problem, with_leave_outs, with_unconverged
from engine.stages.estimation import Estimated, LeftRows, covariances_of, named
from engine.stages.pass_cells import columns_of, offset_name
from engine.stages.prepare_passes import Prepared


def estimate_poisson(machine: Machine, prepared: Prepared) -> list[Estimated]:
    """Estimate the Poisson cells of a pass.

    Raises
    ------
    InputError
        For an empty sample, outcomes that are negative or all zero, regressors that the effects explain, or a fit that
        does not converge.
    """
    problem, _ = row_problem(machine, prepared)
    return [_estimated(machine, prepared, cell, problem) for cell in prepared.pass_cells.cells]


def _estimated(machine: Machine, prepared: Prepared, cell: Cell, problem: RowProblem) -> Estimated:
    design, offset = prepared.design, None
    name = offset_name(cell.job)
    if name is not None:
        offset = problem.columns[:, problem.positions([Term(name)])[0]]
    regressors = columns_of(cell, prepared.pass_cells.controls)
    columns = problem.columns[:, [*problem.positions(regressors), -1]]
    with named(cell):
        stage = poisson_stage(replace(problem, terms=regressors, columns=columns), offset)
    with named(cell), advised(cell.job), _separation_named(stage):
        fit = row_fit(
            stage.working,
            regressors,
            n_units=design.n_units,
            directed=design.directed,
            both_treated_kept=True,
        )
    fit = replace(fit, r2=np.nan, r2_within=np.nan)
    fit, unconverged = _with_leave_outs(machine, cell, stage, fit)
    errors, studentising = covariances_of(cell, fit)
    singletons = problem.rows.singletons + stage.working.absorption.singletons
    return Estimated(
        cell=cell,
        fit=fit,
        covariances=tuple(_with_notes(cell, covariance, unconverged) for covariance in errors),
        studentising=studentising,
        sample=LeftRows(problem.rows.infinite, problem.rows.singletons, singletons),
        normal=None,
        absorption=stage.working.absorption,
        likelihood=stage.summary,
    )


@contextmanager
def _separation_named(stage: PoissonStage) -> Iterator[None]:
    """A regressor that only separated rows would identify is refused with that reason."""
    try:
        yield
    except InputError as error:
        count = stage.summary.separated
        reason = f" ({count:,} separated rows, whose outcomes are zero, are left out)" if count else ""
        raise InputError(f"{error.problem}{reason}", where=error.where, remedy=error.remedy) from None


def _reads_leave_outs(code: str) -> bool:
    return bool(error_type(code).leave_outs)


def _with_leave_outs(
    machine: Machine, cell: Cell, stage: PoissonStage, fit: Estimate
) -> tuple[Estimate, int]:
    """The fit with its coefficients without each unit: of refits, or of one step from the fit of all rows."""
    model, rows = cell.job.model, stage.sample.rows
    if not any(_reads_leave_outs(code) for code in model.errors):
        return fit, 0
    if model.leave_outs == "refits":
        samples = poisson_leave_outs(stage)
        fits, unconverged = with_leave_outs(machine, poisson_leave_out_units, samples, rows, [fit])
    else:
        steps = leave_out_setting(stage.working, [fit.terms])
        fits, unconverged = with_leave_outs(machine, leave_out_cities, steps, rows, [fit])
    return fits[0], unconverged


def _with_notes(cell: Cell, covariance: Covariance, unconverged: int) -> Covariance:
    if not _reads_leave_outs(covariance.kind):
        return covariance
    if cell.job.model.leave_outs == "one_step":
        covariance = replace(covariance, notes=(*covariance.notes, Note("one_newton_step")))
    return with_unconverged(covariance, unconverged)
