"""Groups of cities by a label, for effects, strata and jackknife: a city without a label is in none, and is named."""

from __future__ import annotations

import numpy as np

from engine.arrays import Integers
from engine.stages.job_data import JobData


def labels_of(job_data: JobData, column: str, *, key: str) -> tuple[str, ...]:
    """One label a city; raises InputError where a city has none.

    Parameters
    ----------
    job_data : JobData
    column : str
    key : str
        What needs the labels, for the message: ``inference.permutation.strata`` and the like.
    """
    return job_data.panel.label(column, key=key, source=f"{job_data.source.name}: column '{column}'")


def group_codes(job_data: JobData, column: str, *, key: str) -> tuple[tuple[str, ...], Integers]:
    """Labels that occur, sorted, and the place of each city's among them."""
    groups, codes = np.unique(labels_of(job_data, column, key=key), return_inverse=True)
    return tuple(groups.tolist()), codes.astype(np.int32)
