"""The full-pipeline bootstrap: resampled cities go through entropy weights, standardisation and screen again.

Not a contraction: each draw is a new panel. Copies of one city form no pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import AnyIntegers, Array, Integers
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.fit import fit, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import column_terms, terms_of_set
from engine.infer.draws import resampled_counts
from engine.infer.permutation import Draws
from engine.pairs.map_reduce import MomentPass, city_moments, merge_moments
from engine.pairs.tiles import serial_map_reduce
from engine.spec import Job
from engine.stages.city_data import with_indices
from engine.stages.make_design import panel_design
from engine.stages.pass_cells import PassCells, columns_of
from engine.stages.sample import build_sample
from engine.stages.treatment_terms import sample_adoption, treatment_terms


@dataclass(frozen=True)
class PipelineInput:
    """Input of every draw.

    Attributes
    ----------
    pass_cells : PassCells
        The cells and the clean panel, its indices still to be computed anew.
    tested : tuple of tuple of str
        Names of the tested coefficients of each cell.
    seed : int
    """

    pass_cells: PassCells
    tested: tuple[tuple[str, ...], ...]
    seed: int


def pipeline_draws(pass_input: PipelineInput, replicates: Integers) -> Draws:
    """Estimates of every cell on resampled cities; NaN where a draw does not identify a regression."""
    panel = pass_input.pass_cells.data.panel
    counts = resampled_counts(pass_input.seed, replicates, panel.n_units).astype(np.int64)
    rows = [_one_draw(pass_input, panel, np.repeat(np.arange(len(row)), row)) for row in counts]
    estimates = tuple(np.stack([row[k] for row in rows]) for k in range(len(pass_input.tested)))
    return Draws.without_inversion(replicates, estimates)


def _one_draw(pass_input: PipelineInput, panel: CityPanel, origin: AnyIntegers) -> list[Array]:
    """Estimates on the panel whose city k is city ``origin[k]`` of the sample, of each cell as if it were alone."""
    pass_cells, tested = pass_input.pass_cells, pass_input.tested
    try:
        return _estimates(pass_input, _resampled(panel, pass_cells.job, origin), origin)
    except InputError:  # a cohort is gone, or a regressor is collinear in this draw
        if len(tested) == 1:
            return [np.full(len(tested[0]), np.nan)]
    by_cell = zip(pass_cells.cells, tested, strict=True)
    alone = (
        PipelineInput(replace(pass_cells, cells=(cell,)), (names,), pass_input.seed)
        for cell, names in by_cell
    )
    return [_one_draw(of_cell, panel, origin)[0] for of_cell in alone]


def _resampled(panel: CityPanel, job: Job, origin: AnyIntegers) -> CityPanel:
    values = {name: column[origin] for name, column in panel.values.items() if name not in job.index}
    units = tuple(f"{panel.units[k]}#{number}" for number, k in enumerate(origin))
    resampled = CityPanel(units, panel.years, values)
    return with_indices(resampled, job, "resampled panel")[0]


def _estimates(pass_input: PipelineInput, panel: CityPanel, origin: AnyIntegers) -> list[Array]:
    pass_cells = pass_input.pass_cells
    job, controls = pass_cells.job, pass_cells.controls
    adoption = sample_adoption(panel, job, pass_cells.years_ahead)
    sample = build_sample(panel, job, adoption, origin=origin.astype(np.int32))
    design = panel_design(panel, job, controls, sample, adoption)
    moments = serial_map_reduce(
        city_moments, MomentPass(design, design.complete), design.tasks(), merge_moments
    )
    estimates = []
    for cell, names in zip(pass_cells.cells, pass_input.tested, strict=True):
        paths = treatment_terms(cell.job, panel.years, adoption)
        treatment = terms_of_set(paths)
        normal = normal_equations(
            moments, design.classes, terms=(*column_terms(controls), *treatment), table=paths.table
        )
        regression = cell.job.model.registered.functions.regression
        cell_fit = fit(stage(normal), regression(columns_of(cell, controls), treatment))
        estimates.append(cell_fit.values[[cell_fit.names.index(name) for name in names]])
    return estimates
