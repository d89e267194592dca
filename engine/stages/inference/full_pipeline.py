"""The full-pipeline bootstrap: resampled cities go through entropy weights, standardisation and screen again.

Not a contraction: each draw is a new panel. Copies of one city form no pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import Array, Integers
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.fit import fit, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import column_terms, terms_of_set
from engine.infer.draws import resampled_counts
from engine.infer.permutation import Draws
from engine.pairs.map_reduce import MomentPass, city_moments, merge_moments
from engine.pairs.treatment import adoption_classes
from engine.spec import Job
from engine.stages.load_data import CityData, with_indices
from engine.stages.make_design import Shared, build_design
from engine.stages.sample import build_sample
from engine.stages.treatment_terms import effective_years, treatment_terms


@dataclass(frozen=True)
class PipelineSetting:
    """What every draw starts from.

    Attributes
    ----------
    shared : Shared
        The cells and the clean panel, its indices still to be computed anew.
    tested : tuple of tuple of str
        Names of the coefficients wanted of each cell.
    seed : int
    """

    shared: Shared
    tested: tuple[tuple[str, ...], ...]
    seed: int


def pipeline_draws(setting: PipelineSetting, replicates: Integers) -> Draws:
    """Estimates of every cell on resampled cities; NaN where a draw does not identify a regression."""
    data = setting.shared.data
    assert isinstance(data, CityData)
    counts = resampled_counts(setting.seed, replicates, data.panel.n_units).astype(np.int64)
    rows = [_one_draw(setting, data, np.repeat(np.arange(len(row)), row)) for row in counts]
    estimates = tuple(np.stack([row[k] for row in rows]) for k in range(len(setting.tested)))
    missing = tuple(np.full_like(one, np.nan) for one in estimates)
    nothing = (np.full((len(replicates), 4), np.nan),) * len(estimates)
    return Draws(replicates, estimates, missing, (0,) * len(estimates), nothing)


def _one_draw(setting: PipelineSetting, data: CityData, origin: Any) -> list[Array]:
    job = setting.shared.job
    try:
        return _estimates(setting, replace(data, panel=_resampled(data.panel, job, origin)), origin)
    except InputError:  # a cohort is gone, or a regressor is collinear in this draw
        return [np.full(len(names), np.nan) for names in setting.tested]


def _resampled(panel: CityPanel, job: Job, origin: Any) -> CityPanel:
    values = {name: column[origin] for name, column in panel.values.items() if name not in job.index}
    units = tuple(f"{panel.units[k]}#{number}" for number, k in enumerate(origin))
    resampled = CityPanel(units, panel.years, values)
    return with_indices(resampled, job, "resampled panel")[0]


def _estimates(setting: PipelineSetting, data: CityData, origin: Any) -> list[Array]:
    shared = replace(setting.shared, data=data)
    job = shared.job
    assert job.treatment is not None
    adoption = adoption_classes(effective_years(data.panel, job), data.panel.years[-1])
    terms = [treatment_terms(cell.job, data, adoption) for cell in shared.cells]
    sample = build_sample(data, job, adoption, origin=origin.astype(np.int32))
    design = build_design(shared, sample, adoption)
    complete = MomentPass(design, design.complete)
    moments = None
    for task in design.tasks():
        part = city_moments(complete, task)
        moments = part if moments is None else merge_moments(moments, part)
    assert moments is not None
    out = []
    for cell, own, names in zip(shared.cells, terms, setting.tested, strict=True):
        treatment = terms_of_set(own)
        columns = column_terms(shared.controls)
        normal = normal_equations(moments, design.classes, terms=(*columns, *treatment), table=own.table)
        regression = cell.job.model.registered.functions.regression
        found = fit(stage(normal), regression(column_terms(cell.job.used_controls), treatment))
        out.append(found.values[[found.names.index(name) for name in names]])
    return out
