"""The frame of effects by cohort and year, of cells whose estimator compares cohorts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from engine.estimate.estimate import Estimate
from engine.infer.intervals import student
from engine.report.outputs.group_time_effects import GROUP_TIME_COLUMNS
from engine.stages.cohort_estimates import CohortCells
from engine.stages.estimation import Estimated


def group_time_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, standard-error type, cohort and year, and the columns of a sweep."""
    keys = list(estimated_cells[0].cell.keys) if estimated_cells else []
    columns = [*GROUP_TIME_COLUMNS, *keys]
    parts = [
        part.assign(
            job=job, cell=estimated.cell.id, **{key: estimated.cell.keys.get(key, "") for key in keys}
        )
        for estimated in estimated_cells
        if estimated.cohort_cells is not None
        and estimated.cohort_cells.fit is not None
        and not estimated.cohort_cells.by_cities
        for part in _effects(
            estimated.cohort_cells, estimated.cohort_cells.fit, estimated.cell.job.model.confidence
        )
    ]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _effects(cells: CohortCells, fit: Estimate, confidence: float) -> Iterator[pd.DataFrame]:
    """Effects under each standard-error type."""
    places = np.array([cells.sums.rows.place(term) for term in fit.terms]).T
    for covariance in cells.covariances:
        dof = covariance.dof_of_coefficients.astype(np.float64)
        tests = student(fit.values, covariance.std_error, dof, confidence)
        yield pd.DataFrame(
            {
                "errors": covariance.kind,
                "cohort": cells.sums.rows.changed[places[0]].astype(np.int64),
                "year": cells.sums.rows.years[places[1]].astype(np.int64),
                "estimate": fit.values,
                "std_error": covariance.std_error,
                "dof": dof,
                "conf_low": tests.low,
                "conf_high": tests.high,
                "n_pairs": cells.sums.n_pairs[places[0]].astype(np.int64),
            }
        )
