"""The frame of effects by the adoption years of both cities, of cells that compare such types of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from engine.arrays import AnyIntegers, Array, Flags
from engine.estimate.estimator import PairTiming
from engine.estimate.pair_types import ONE_PAIR, SampleTypes, TypeCell, controls_of, pair_types, type_cells
from engine.infer.errors import Covariance
from engine.infer.intervals import student
from engine.report.outputs.pair_group_time import PAIR_GROUP_TIME_COLUMNS
from engine.stages.estimation import Estimated
from engine.stages.prepare_passes import Prepared


def pair_group_time_frame(
    passes: Sequence[tuple[Prepared, list[Estimated]]], estimated_cells: Sequence[Estimated], job: str
) -> pd.DataFrame:
    """One row a cell, standard-error type, type of pairs and year, and the columns of a sweep."""
    timings = {
        cell.id: timing
        for prepared, _ in passes
        for cell, timing in zip(prepared.pass_cells.cells, prepared.timings, strict=True)
    }
    keys = list(estimated_cells[0].cell.keys) if estimated_cells else []
    columns = [*PAIR_GROUP_TIME_COLUMNS, *keys]
    parts = [
        part.assign(
            job=job, cell=estimated.cell.id, **{key: estimated.cell.keys.get(key, "") for key in keys}
        )
        for estimated in estimated_cells
        if estimated.cohort_cells is not None and estimated.cohort_cells.by_cities
        for part in _effects(estimated, timings[estimated.cell.id])
    ]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _effects(estimated: Estimated, timing: PairTiming | None) -> Iterator[pd.DataFrame]:
    """Effects under each standard-error type; the cells are the same under all."""
    model, cohort_cells = estimated.cell.job.model, estimated.cohort_cells
    functions = model.registered.functions
    if functions.comparisons is None or timing is None or cohort_cells is None or cohort_cells.fit is None:
        raise ValueError(f"{model.estimator} compares no types of pairs")
    sums = cohort_cells.sums
    comparisons = functions.comparisons(timing, sums.rows)
    types = pair_types(timing, sums)
    cells = type_cells(timing, types, sums, comparisons)
    is_control = controls_of(types, comparisons)
    of_cells = _columns(types, cells, is_control)
    places = np.array([-1 if cell.place is None else cell.place for cell in cells])
    has_error = (places >= 0) & np.array([cell.reason != ONE_PAIR for cell in cells])
    estimates = _at(cohort_cells.fit.values, places, places >= 0)
    for covariance in cohort_cells.covariances:
        yield of_cells.assign(
            errors=covariance.kind,
            estimate=estimates,
            **_intervals(estimates, covariance, places, has_error, model.confidence),
        )


def _columns(types: SampleTypes, cells: Sequence[TypeCell], is_control: Flags) -> pd.DataFrame:
    """Columns that do not depend on the errors."""
    names = types.names
    numbers = np.array([cell.pair_type for cell in cells])
    years = np.array([cell.year for cell in cells])
    n_controls = is_control @ types.n_pairs
    controls = ["; ".join(names[number] for number in np.flatnonzero(row)) for row in is_control]
    return pd.DataFrame(
        {
            "adopted_i": types.cities[numbers, 0],
            "adopted_j": types.cities[numbers, 1],
            "year": years,
            "event_time": years - types.changed[numbers].astype(np.int64),
            "treatment": np.array([cell.treatment for cell in cells]),
            "n_pairs": types.n_pairs[numbers],
            "n_controls": [0 if cell.place is None else int(n_controls[cell.place]) for cell in cells],
            "control_types": ["" if cell.place is None else controls[cell.place] for cell in cells],
            "reason": [cell.reason for cell in cells],
        }
    )


def _intervals(
    estimates: Array, covariance: Covariance, places: AnyIntegers, has_error: Flags, confidence: float
) -> dict[str, Array]:
    """Standard errors, degrees of freedom and intervals; missing where a cell has no error."""
    errors = _at(covariance.std_error, places, has_error)
    dof = _at(covariance.dof_of_coefficients.astype(np.float64), places, has_error)
    tests = student(estimates, errors, dof, confidence)
    return {"std_error": errors, "dof": dof, "conf_low": tests.low, "conf_high": tests.high}


def _at(values: Array, places: AnyIntegers, is_there: Flags) -> Array:
    """Values at the places of cells; NaN elsewhere."""
    return np.where(is_there, values[np.where(is_there, places, 0)], np.nan)
