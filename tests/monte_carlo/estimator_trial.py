"""What each estimator says of one simulated panel without an effect, under every kind of error.

Cells are those of jobs, and go the road that jobs go; their pairs are a simulated panel's in place of a file's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import truth_worlds
import worlds
from trial import CONFIDENCE, KINDS

from engine.estimate.estimate import Estimate
from engine.infer.errors import Covariance
from engine.infer.intervals import intervals
from engine.pairs.table_design import TableDesign
from engine.pairs.treatment import Adoption, adoption_classes, allowed_classes
from engine.runtime.execute import Machine
from engine.spec import Cell, Job
from engine.spec.validate import validate
from engine.stages.compared_cells import estimate_compared
from engine.stages.estimation import estimate_cells
from engine.stages.job_data import JobData
from engine.stages.pass_cells import PassCells
from engine.stages.prepare_passes import Prepared
from engine.stages.treatment_terms import timing_of, treatment_terms

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


@dataclass(frozen=True)
class SimulatedPairs(TableDesign):
    """Pairs of a simulated panel, by the adoption classes of their cities."""

    adoption: Adoption | None = None

    @property
    def n_classes(self) -> int:  # type: ignore[override]
        return len(self._adoption.years)

    @property
    def classes(self) -> Any:
        return self._adoption.classes

    @property
    def allowed(self) -> Any:
        return allowed_classes(self._adoption, "both_treated") & self._adoption.has_pairs

    @property
    def _adoption(self) -> Adoption:
        assert self.adoption is not None
        return self.adoption


@cache
def cell_of(name: str) -> Cell:
    """The cell of a job with an estimator of `MODELS`."""
    document = {
        "job": "truth",
        "panel": {"source": "truth.csv"},
        "outcome": {"synchronization": "y"},
        "pairs": {"exclude": "both_treated"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "model": {**MODELS[name], "controls": [], "errors": list(KINDS)},
    } | ({"instrument": {"sum": "z"}} if name == _IV else {})
    return Cell(name, 1, name, validate(Job, document, file="truth"), {})


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
    cell = cell_of(name)
    adoption = adoption_classes(worlds.ADOPTED[panel.classes], _YEARS[-1])
    timing = timing_of(cell.job, _YEARS, adoption)
    terms = treatment_terms(cell.job, _YEARS, adoption, timing)
    first, second = (side[panel.eligible] for side in worlds.pairs_of(panel.n_cities))
    columns = [series[first] + series[second]] * (name == _IV) + [panel.outcome[panel.eligible]]
    design = SimulatedPairs(
        first, second, np.stack(columns, axis=2), panel.n_cities, directed=False, adoption=adoption
    )
    pass_cells = PassCells((cell,), cast(JobData, None))
    prepared = Prepared(pass_cells, adoption, design, (terms,), (timing,), steps=(), effects=())
    if prepared.has_clean_controls:
        (estimated,) = estimate_compared(Machine(), prepared)
    else:
        names = pass_cells.controls
        (estimated,) = estimate_cells(
            Machine(), (cell,), design, columns=names, terms=(terms,), timings=(timing,)
        )
    rows = [_rejected(estimated.fit, estimated.covariances)]
    if estimated.instrument is not None:
        _, strengths, _ = estimated.instrument
        rows.append(np.array([float(strengths[kind].ar_p <= 0.05) for kind in KINDS]))
    return rows


def _rejected(estimate: Estimate, covariances: tuple[Covariance, ...]) -> Array:
    tested = list(estimate.tested_positions)
    p = np.stack([intervals(estimate, each, CONFIDENCE).p_value[tested] for each in covariances])
    return np.asarray((p <= 0.05).mean(axis=1))
