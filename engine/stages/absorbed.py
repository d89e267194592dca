"""Cells with more effects than pair and year: one pass that makes rows, effects absorbed, refits for the jackknife."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags
from engine.errors import InputError
from engine.estimate.absorb import Effect, rows_not_alone
from engine.estimate.absorbed_fit import (
    LeftOut,
    RowProblem,
    RowStage,
    leave_out_cities,
    leave_out_setting,
    merge_left_out,
    one_step_leave_outs,
    row_fit,
    row_stage,
)
from engine.estimate.city_years import CityYears, row_city_years, row_interaction
from engine.estimate.estimate import Estimate
from engine.estimate.terms import Term, column_terms, distinct, unite_terms
from engine.infer.errors import Covariance, error_type
from engine.notes import Note
from engine.pairs.design import PairDesign
from engine.pairs.map_reduce import pair_rows
from engine.pairs.pair_rows import PairRows, merge_rows
from engine.runtime.execute import Machine
from engine.spec import Cell, Job
from engine.spec.job import Model
from engine.stages.averages import TermRows, reported, with_rows
from engine.stages.estimation import Estimated, LeftRows, covariances_of, first_pass, named
from engine.stages.pass_cells import columns_of
from engine.stages.prepare_passes import Prepared

_REFITS = 8  # cities of one task
Samples = TypeVar("Samples")


def estimate_absorbed(machine: Machine, prepared: Prepared) -> list[Estimated]:
    """Estimate the cells of a pass whose effects are absorbed row by row.

    Raises
    ------
    InputError
        For an empty sample, regressors that the effects explain, or infinite outcomes under ``infinite: error``.
    """
    cells, design = prepared.pass_cells.cells, prepared.design
    problem, cell_terms = row_problem(machine, prepared)
    controls, rows = prepared.pass_cells.controls, problem.rows
    with named(cells[0]):
        stage = row_stage(problem)
    problem = stage.problem  # without rows alone in a level
    fits, term_rows = [], _rows_of_terms(cells, problem, design.n_units)
    for cell, treatment in zip(cells, cell_terms, strict=True):
        regression = cell.job.model.registered.functions.regression(
            columns_of(cell, controls), with_rows(treatment, term_rows)
        )
        with named(cell), advised(cell.job):
            fits.append(
                row_fit(
                    stage,
                    regression.regressors,
                    n_units=design.n_units,
                    directed=design.directed,
                    both_treated_kept=cell.job.pairs.exclude == "none",
                )
            )
    unconverged, models = 0, [cell.job.model for cell in cells]
    fits = [
        replace(fit, one_step=one_step_leave_outs(stage, fit)) if _with_one_step(model) else fit
        for fit, model in zip(fits, models, strict=True)
    ]
    if any(_takes_refits(code, model) for model in models for code in model.errors):
        samples = leave_out_setting(stage, [fit.terms for fit in fits])
        fits, unconverged = with_leave_outs(machine, leave_out_cities, samples, stage.problem.rows, fits)
    city_years = None
    if any(error_type(code).of_interaction for model in models for code in model.errors):
        city_years = row_city_years(stage, design.n_units, design.n_years, directed=design.directed)
    sample = LeftRows(rows.infinite, rows.singletons, rows.singletons + stage.absorption.singletons)
    return [
        _estimated(cell, estimate, term_rows, sample, stage, unconverged, city_years)
        for cell, estimate in zip(cells, fits, strict=True)
    ]


def row_problem(machine: Machine, prepared: Prepared) -> tuple[RowProblem, list[tuple[Term, ...]]]:
    """The rows of a pass with all its columns and treatment terms, and the treatment terms of each cell."""
    cells, design = prepared.pass_cells.cells, prepared.design
    _, rows = first_pass(machine, design, cells[0], pair_rows, merge_rows, label="rows")
    table, cell_terms = unite_terms(prepared.terms)
    terms = (*column_terms(prepared.pass_cells.controls), *distinct(cell_terms))
    effects = tuple(Effect(effect.name, effect.codes(rows, design.n_years)) for effect in prepared.effects)
    return RowProblem(rows, terms, _columns(rows, design, table), effects), cell_terms


def _with_one_step(model: Model) -> bool:
    """Some standard-error type of a cell reads the leave-one-city-out values that hold the effects as they are."""
    return any(error_type(code).leave_outs and not _takes_refits(code, model) for code in model.errors)


def _takes_refits(code: str, model: Model) -> bool:
    """A standard-error type of a cell reads refits without each city."""
    leave_outs = error_type(code).leave_outs
    return leave_outs == "refits" or bool(leave_outs and model.leave_outs == "refits")


def _rows_of_terms(cells: tuple[Cell, ...], problem: RowProblem, n_units: int) -> dict[Term, TermRows]:
    """Sum over the rows, and over those of each city, of each treatment term; empty where none are averaged."""
    models = [cell.job.model for cell in cells if cell.job.model.registered.functions.combination is not None]
    if not models:
        return {}
    has_refits = any(_takes_refits(code, model) for model in models for code in model.errors)
    rows, places = problem.rows, [place for place, term in enumerate(problem.terms) if term.is_treatment]
    on = rows.weights[:, None] * problem.columns[:, places]
    of_city, alone = np.zeros((2, n_units, len(places)))
    np.add.at(of_city, rows.first, on)
    np.add.at(of_city, rows.second, on)
    for city in np.union1d(rows.first, rows.second) if has_refits else ():
        others = (rows.first != city) & (rows.second != city)
        if not others.any():
            continue
        effects = [Effect(effect.name, effect.codes[others]) for effect in problem.effects]
        alone[city] = on[others][~rows_not_alone(effects)].sum(axis=0)
    return {
        problem.terms[place]: TermRows(float(on[:, at].sum()), of_city[:, at], alone=alone[:, at])
        for at, place in enumerate(places)
    }


def _estimated(
    cell: Cell,
    fit: Estimate,
    term_rows: Mapping[Term, TermRows],
    sample: LeftRows,
    stage: RowStage,
    unconverged: int,
    city_years: CityYears | None,
) -> Estimated:
    """A cell's reported estimate with its covariances."""
    estimate = reported(cell, fit, term_rows)
    if city_years is not None:
        estimate = replace(estimate, interaction=row_interaction(stage, estimate, city_years))
    errors, studentising = covariances_of(cell, estimate)
    return Estimated(
        cell=cell,
        fit=estimate,
        covariances=tuple(
            with_unconverged(covariance, unconverged)
            if _takes_refits(covariance.kind, cell.job.model)
            else covariance
            for covariance in errors
        ),
        studentising=studentising,
        sample=sample,
        normal=None,
        absorption=stage.absorption,
        in_moving_pairs=_in_moving_pairs(stage.problem, fit),
    )


def _in_moving_pairs(problem: RowProblem, fit: Estimate) -> Flags | None:
    """``[n_units]`` cities in a pair whose treatment terms vary over its rows; None without treatment terms."""
    terms = problem.positions([term for term in fit.terms if term.is_treatment])
    if not terms:
        return None
    rows, values = problem.rows, problem.columns[:, terms]
    start = np.flatnonzero(np.diff(rows.pair, prepend=-1))  # rows of a pair are together
    spread = np.maximum.reduceat(values, start) - np.minimum.reduceat(values, start)
    moving = rows.pair[start][(spread > 0).any(axis=1)]
    out = np.zeros(len(fit.city_first), dtype=bool)
    out[rows.i[moving]] = out[rows.j[moving]] = True
    return out


def with_unconverged(covariance: Covariance, unconverged: int) -> Covariance:
    """Errors made of refits say of how many of their samples the effects were not absorbed to the tolerance."""
    if not unconverged:
        return covariance
    return replace(covariance, notes=(*covariance.notes, Note.of("leave_out_unconverged", count=unconverged)))


def _columns(rows: PairRows, design: PairDesign, table: Array) -> Array:
    """Regressors and outcome ``[n_rows, ...]`` in the order controls, terms, outcome."""
    class_i, class_j = design.pair_classes(rows.i, rows.j)
    terms = table[class_i[rows.pair], class_j[rows.pair], rows.year]
    return np.concatenate([rows.values[:, :-1], terms, rows.values[:, -1:]], axis=1)


@contextmanager
def advised(job: Job) -> Iterator[None]:
    """Refusals of regressors that the effects explain name the keys that decide it."""
    try:
        yield
    except InputError as error:
        key = "; pairs.exclude: none keeps them" if "two treated units" in (error.remedy or "") else ""
        where = "model.fixed_effects" if error.where is None else error.where
        raise InputError(error.problem, where=where, remedy=f"{error.remedy}{key}") from None


def with_leave_outs(
    machine: Machine,
    refit: Callable[[Samples, AnyIntegers], LeftOut],
    samples: Samples,
    rows: PairRows,
    fits: list[Estimate],
) -> tuple[list[Estimate], int]:
    """The fits with their leave-one-city-out coefficients, and how many refits did not converge.

    ``refit`` makes those of some cities from the samples. A city without rows is left out of nothing.
    """
    cities = np.union1d(rows.first, rows.second)
    tasks = [cities[start : start + _REFITS] for start in range(0, len(cities), _REFITS)]
    left_out = machine.reduce(refit, samples, tasks, merge_left_out, label="refits")
    out = []
    for fit, estimates in zip(fits, left_out.estimates, strict=True):
        without = np.tile(fit.values, (len(fit.city_first), 1))
        without[cities] = estimates
        out.append(replace(fit, without_city=without))
    return out, left_out.unconverged
