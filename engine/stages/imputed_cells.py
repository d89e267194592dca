"""Cells of the imputation estimator: statistics of the untreated window, and the influences that they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from engine.estimate.estimate import Estimate
from engine.estimate.imputed_fit import EventRows, ImputedFit, WindowSums, fit_imputation
from engine.estimate.terms import Term, names_of, terms_of_set
from engine.notes import Note
from engine.pairs.map_reduce import MomentPass, merge_products
from engine.pairs.statistic_influences import (
    JacobianPass,
    WindowPass,
    merge_window_interactions,
    statistic_products,
    window_interactions,
)
from engine.pairs.treatment import Terms
from engine.runtime.execute import UNITS, Machine
from engine.spec import Cell
from engine.stages.averages import takes_both
from engine.stages.estimation import Estimated, covariances_of, named, reads_interaction, sample_moments
from engine.stages.pair_sums import sample_city_years
from engine.stages.pass_cells import columns_of
from engine.stages.prepare_passes import Prepared


def estimate_imputed(machine: Machine, prepared: Prepared) -> list[Estimated]:
    """Estimate the cells of a pass, all of the imputation estimator.

    Raises
    ------
    InputError
        Where no pairs are left, untreated rows do not tell what is fitted on them, or ``infinite: error`` finds an
        infinite outcome.
    """
    cells, design, columns = prepared.pass_cells.cells, prepared.design, prepared.pass_cells.controls
    if design.untreated is None:
        raise ValueError("the design does not say which pair-years are untreated")
    pass_input, moments, sample = sample_moments(machine, design, cells[0], products=False)
    sums = WindowSums.of(moments, design.classes, design.untreated)
    fits: list[ImputedFit] = []
    for cell, terms in zip(cells, prepared.terms, strict=True):
        with named(cell):
            fits.append(_fit(cell, columns, terms, sums))
    estimates = [
        replace(estimate, takes_both=takes_both(cell.job))
        for cell, estimate in zip(cells, _with_pair_meat(machine, pass_input, fits), strict=True)
    ]
    if reads_interaction(cells):
        estimates = _with_interaction(machine, pass_input, fits, estimates)
    estimated = []
    for cell, fit, estimate in zip(cells, fits, estimates, strict=True):
        errors, studentising = covariances_of(cell, estimate)
        notes, moving = tuple(_notes(sums)), fit.in_moving_pairs
        estimated.append(
            Estimated(cell, estimate, errors, studentising, sample, None, in_moving_pairs=moving, notes=notes)
        )
    return estimated


def _with_pair_meat(machine: Machine, pass_input: MomentPass, fits: list[ImputedFit]) -> list[Estimate]:
    """Estimates with the products of the influences of pairs, of a second pass over them for all cells."""
    products = machine.reduce(
        statistic_products,
        JacobianPass(pass_input, np.concatenate([fit.jacobian for fit in fits], axis=2)),
        pass_input.design.tasks(),
        merge_products,
        label="scores",
        units=UNITS,
    )
    stops = np.cumsum([len(fit.estimate.terms) for fit in fits]).tolist()
    starts = [0, *stops[:-1]]
    return [
        fit.summed(products[start:stop, start:stop])
        for fit, start, stop in zip(fits, starts, stops, strict=True)
    ]


def _with_interaction(
    machine: Machine, pass_input: MomentPass, fits: list[ImputedFit], estimates: list[Estimate]
) -> list[Estimate]:
    """Estimates with what the default error subtracts, of one more pass over the pairs for all cells."""
    city_years = sample_city_years(machine, pass_input)
    paths = tuple(fit.residuals.without_cities(city_years) for fit in fits)
    sums = machine.reduce(
        window_interactions,
        WindowPass(pass_input, paths),
        pass_input.design.tasks(),
        merge_window_interactions,
        label="interactions",
        units=UNITS,
    )
    return [
        replace(estimate, interaction=fit.residuals.interaction(estimate, city_years, of_cell, cell_sums))
        for fit, estimate, of_cell, cell_sums in zip(fits, estimates, paths, sums, strict=True)
    ]


def _fit(cell: Cell, columns: tuple[str, ...], terms: Terms, sums: WindowSums) -> ImputedFit:
    of_cell = columns_of(cell, columns)
    (average,) = cell.job.model.registered.functions.averages
    return fit_imputation(
        sums,
        of_cell,
        [columns.index(name) for name in names_of(of_cell)],
        Term(average, 0),
        EventRows.of(terms_of_set(terms), terms.table),
    )


def _notes(sums: WindowSums) -> Iterator[Note]:
    """On pairs for which nothing is imputed."""
    n_pairs, n_rows = sums.without_window
    if n_pairs:
        yield Note.of("pairs_without_untreated_rows", count=n_pairs, rows=n_rows)
