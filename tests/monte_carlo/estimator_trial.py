"""What each estimator says of one simulated panel without an effect, under every kind of error.

Cells are those of jobs, and go the road that jobs go; their pairs are a simulated panel's in place of a file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import truth_worlds
import worlds
from trial import CONFIDENCE, KINDS

from engine.estimate.estimate import Estimate
from engine.infer.errors import Covariance
from engine.infer.intervals import intervals
from engine.pairs.table_design import TableDesign
from engine.pairs.treatment import adoption_classes
from engine.runtime.execute import Machine
from engine.spec import Cell, Job
from engine.spec.validate import validate
from engine.stages.estimate_pass import estimate_pass
from engine.stages.estimation import Estimated
from engine.stages.job_data import JobData
from engine.stages.pass_cells import PassCells
from engine.stages.prepare_passes import Prepared
from engine.stages.treatment_terms import timing_of, treatment_terms, untreated_rows

Array = np.ndarray[Any, np.dtype[np.float64]]

_IV = "2SLS"
MODELS: dict[str, dict[str, Any]] = {
    "event study": {"estimator": "event_study", "window": [-3, 3]},
    "Sun-Abraham": {"estimator": "sun_abraham", "window": [-3, 3]},
    "extended TWFE": {"estimator": "extended_twfe", "window": [0, 3]},
    "Callaway-Sant'Anna": {"estimator": "callaway_santanna"},
    "stacked": {"estimator": "stacked", "window": [-2, 1]},
    "local projection": {"estimator": "local_projection", "window": [-2, 1]},
    _IV: {"estimator": "iv"},
}
ESTIMATORS = (*MODELS, "Anderson-Rubin")
_YEARS = tuple(int(year) for year in worlds.YEARS)


@cache
def cell_of(name: str) -> Cell:
    """The cell of a job with an estimator of `MODELS`."""
    blocks = {"instrument": {"sum": "z"}} if name == _IV else {}
    return simulated_cell(MODELS[name], KINDS, blocks)


def simulated_cell(model: dict[str, Any], errors: Sequence[str], blocks: dict[str, Any]) -> Cell:
    """The cell of a job on a simulated panel, without controls."""
    document = {
        "job": "truth",
        "panel": {"source": "truth.csv"},
        "outcome": {"synchronization": "y"},
        "pairs": {"exclude": "both_treated"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "model": {**model, "controls": [], "errors": list(errors)},
        **blocks,
    }
    return Cell("1", 1, "1", validate(Job, document, file="truth"), {})


def shares(design: str, cities: int, adopters: str, number: int) -> Array:
    """``[ESTIMATORS, KINDS]`` share of an estimator's coefficients whose true null is rejected at the 5 % level."""
    panel = truth_worlds.panel(design, cities, adopters, number)
    rng = np.random.default_rng([cities, number])
    since = worlds.ADOPTED[panel.classes][:, None] <= worlds.YEARS
    series = 0.7 * since + 0.5 * truth_worlds._shocks(
        rng, cities, 0.6
    )  # an instrument that knows of adoption
    return np.array([row for name in MODELS for row in _rows(panel, name, series)])


def _rows(panel: worlds.Panel, name: str, series: Array) -> list[Array]:
    estimated = estimate(panel, cell_of(name), series if name == _IV else None)
    rows = [_rejected(estimated.fit, estimated.covariances)]
    if estimated.instrument is not None:
        _, strengths, _ = estimated.instrument
        rows.append(np.array([float(strengths[kind].ar_p <= 0.05) for kind in KINDS]))
    return rows


def estimate(panel: worlds.Panel, cell: Cell, instrument: Array | None = None) -> Estimated:
    """The result of a cell, by the road that jobs go; ``instrument`` ``[n_cities, T]`` is summed over a pair."""
    job, adoption = cell.job, adoption_classes(worlds.ADOPTED[panel.classes], _YEARS[-1])
    timing = timing_of(job, _YEARS, adoption)
    terms = treatment_terms(job, _YEARS, adoption, timing)
    first, second = worlds.pairs_of(panel.n_cities)
    columns = [] if instrument is None else [instrument[first] + instrument[second]]
    design = TableDesign(
        first,
        second,
        np.stack([*columns, panel.outcome], axis=2),
        panel.n_cities,
        directed=False,
        adoption=adoption,
        exclude="both_treated",
        untreated=untreated_rows(job, _YEARS, adoption),
    )
    pass_cells = PassCells((cell,), cast(JobData, SimpleNamespace(years=_YEARS)))
    prepared = Prepared(pass_cells, adoption, design, (terms,), (timing,), steps=(), effects=())
    (estimated,) = estimate_pass(Machine(), prepared)
    return estimated


def _rejected(estimate: Estimate, covariances: tuple[Covariance, ...]) -> Array:
    tested = list(estimate.tested_positions)
    p = np.stack([intervals(estimate, each, CONFIDENCE).p_value[tested] for each in covariances])
    return np.asarray((p <= 0.05).mean(axis=1))
