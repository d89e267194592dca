"""The full-pipeline bootstrap: resampled cities go through entropy weights, standardisation and screen again.

Not a contraction: each draw is a new panel. Copies of one city form no pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays import Array, Integers
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.fit import fit, stage
from engine.estimate.normal import normal_equations
from engine.infer.draws import resampled_counts
from engine.infer.permutation import Draws
from engine.pairs.map_reduce import MomentPass, city_moments, merge_moments
from engine.pairs.tiles import in_turn
from engine.pairs.treatment import adoption_classes
from engine.spec import Job
from engine.stages.city_data import with_indices
from engine.stages.make_design import panel_design
from engine.stages.pass_cells import PassCells
from engine.stages.sample import build_sample
from engine.stages.treatment_terms import effective_years, treatment_terms


@dataclass(frozen=True)
class PipelineSetting:
    """What every draw starts from.

    Attributes
    ----------
    shared : PassCells
        The cells and the clean panel, its indices still to be computed anew.
    tested : tuple of tuple of str
        Names of the coefficients wanted of each cell.
    seed : int
    """

    shared: PassCells
    tested: tuple[tuple[str, ...], ...]
    seed: int


def pipeline_draws(setting: PipelineSetting, replicates: Integers) -> Draws:
    """Estimates of every cell on resampled cities; NaN where a draw does not identify a regression."""
    panel = setting.shared.data.panel
    counts = resampled_counts(setting.seed, replicates, panel.n_units).astype(np.int64)
    rows = [_one_draw(setting, panel, np.repeat(np.arange(len(row)), row)) for row in counts]
    estimates = tuple(np.stack([row[k] for row in rows]) for k in range(len(setting.tested)))
    missing = tuple(np.full_like(one, np.nan) for one in estimates)
    nothing = (np.full((len(replicates), 4), np.nan),) * len(estimates)
    return Draws(replicates, estimates, missing, (0,) * len(estimates), nothing)


def _one_draw(setting: PipelineSetting, panel: CityPanel, origin: Any) -> list[Array]:
    job = setting.shared.job
    try:
        return _estimates(setting, _resampled(panel, job, origin), origin)
    except InputError:  # a cohort is gone, or a regressor is collinear in this draw
        return [np.full(len(names), np.nan) for names in setting.tested]


def _resampled(panel: CityPanel, job: Job, origin: Any) -> CityPanel:
    values = {name: column[origin] for name, column in panel.values.items() if name not in job.index}
    units = tuple(f"{panel.units[k]}#{number}" for number, k in enumerate(origin))
    resampled = CityPanel(units, panel.years, values)
    return with_indices(resampled, job, "resampled panel")[0]


def _estimates(setting: PipelineSetting, panel: CityPanel, origin: Any) -> list[Array]:
    shared = setting.shared
    job = shared.job
    adoption = adoption_classes(effective_years(panel, job), panel.years[-1])
    terms = [treatment_terms(cell.job, panel.years, adoption) for cell in shared.cells]
    sample = build_sample(panel, job, adoption, origin=origin.astype(np.int32))
    design = panel_design(panel, job, shared.controls, sample, adoption)
    complete = MomentPass(design, design.complete)
    moments = in_turn(city_moments, complete, design.tasks(), merge_moments)
    out = []
    for cell, own, names in zip(shared.cells, terms, setting.tested, strict=True):
        normal = normal_equations(
            moments, design.classes, columns=shared.controls, terms=own.names, table=own.table
        )
        found = fit(stage(normal), (*cell.job.used_controls, *own.names))
        out.append(found.estimate[[found.names.index(name) for name in names]])
    return out
