"""Covariances of all coefficients, and tests of event years together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from engine.estimate.terms import Term
from engine.infer.wald import wald
from engine.report.outputs.covariance_matrix import COVARIANCE_COLUMNS
from engine.report.outputs.joint_tests import AFTER, BEFORE, JOINT_COLUMNS
from engine.stages.estimation import Estimated


def covariance_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, standard-error type and two terms: the whole matrix."""
    parts = []
    for estimated in estimated_cells:
        names = np.array(estimated.fit.names)
        for covariance in estimated.covariances:
            n_terms = len(names)
            part = {
                "term": np.repeat(names, n_terms),
                "other": np.tile(names, n_terms),
                "covariance": covariance.matrix.ravel(),
            }
            parts.append(pd.DataFrame(part).assign(job=job, cell=estimated.cell.id, errors=covariance.kind))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COVARIANCE_COLUMNS))
    return frame[list(COVARIANCE_COLUMNS)]


def joint_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, standard-error type and group of event years: all before adoption, and all from it on."""
    rows = [
        (job, estimated.cell.id, *row) for estimated in estimated_cells for row in _joint_tests(estimated)
    ]
    return pd.DataFrame(rows, columns=list(JOINT_COLUMNS))


def _joint_tests(estimated: Estimated) -> Iterator[tuple[str, str, int, float, float, float]]:
    fit = estimated.fit
    for name, at in _groups(fit.terms):
        if len(at) < 2:
            continue
        for covariance in estimated.covariances:
            dof = float(np.min(covariance.dof_of_coefficients[at]))
            test = wald(fit.values[at], covariance.matrix[np.ix_(at, at)], dof)
            yield name, covariance.kind, test.n_terms, test.statistic, test.dof, test.p_value


def _groups(terms: Sequence[Term]) -> Iterator[tuple[str, list[int]]]:
    """Positions of the event years before adoption, and from it on."""
    times = {place: term.event_time for place, term in enumerate(terms)}
    yield BEFORE, [place for place, time in times.items() if time is not None and time < 0]
    yield AFTER, [place for place, time in times.items() if time is not None and time >= 0]
