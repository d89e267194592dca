"""Covariances of all coefficients, and tests of event years together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from engine.estimate.terms import Term
from engine.infer.wald import wald
from engine.notes import Note
from engine.report.outputs.covariance_matrix import COVARIANCE_COLUMNS
from engine.report.outputs.joint_tests import AFTER, BEFORE, JOINT_COLUMNS
from engine.stages.estimation import Estimated


def covariance_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, standard-error type and two terms: the whole matrix."""
    columns: dict[str, list[str]] = {name: [] for name in COVARIANCE_COLUMNS[1:-1]}
    values = [np.zeros(0)]
    for estimated in estimated_cells:
        names, covariances = estimated.fit.names, estimated.covariances
        n_rows = len(names) ** 2
        columns["cell"] += [estimated.cell.id] * n_rows * len(covariances)
        columns["errors"] += [covariance.kind for covariance in covariances for _ in range(n_rows)]
        columns["term"] += [name for name in names for _ in names] * len(covariances)
        columns["other"] += list(names) * len(names) * len(covariances)
        values += [covariance.matrix.ravel() for covariance in covariances]
    return pd.DataFrame(
        {
            COVARIANCE_COLUMNS[0]: [job] * len(columns["cell"]),
            **columns,
            COVARIANCE_COLUMNS[-1]: np.concatenate(values),
        }
    )


def joint_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, standard-error type and group of event years: all before adoption, and all from it on."""
    rows = [
        (job, estimated.cell.id, *row) for estimated in estimated_cells for row in _joint_tests(estimated)
    ]
    return pd.DataFrame(rows, columns=list(JOINT_COLUMNS))


def _joint_tests(estimated: Estimated) -> Iterator[tuple[str, str, int, float, float, float]]:
    fit = estimated.fit
    for name, at in _groups(fit.terms, estimated.cell.job.model.options.anticipation):
        if len(at) < 2:
            continue
        for covariance in estimated.covariances:
            dof = float(np.min(covariance.dof_of_coefficients[at]))
            matrix = covariance.matrix[np.ix_(at, at)]
            if covariance.replaced_terms.intersection(fit.names[place] for place in at):
                matrix = np.full_like(
                    matrix, np.nan
                )  # variances alone: they and covariances are no one matrix
            test = wald(fit.values[at], matrix, dof)
            yield name, covariance.kind, test.n_terms, test.statistic, test.dof, test.p_value


def joint_notes(estimated: Estimated) -> Iterator[Note]:
    """Which errors have fewer degrees of freedom than there are event years, so that none are tested together."""
    for _, at in _groups(estimated.fit.terms, estimated.cell.job.model.options.anticipation):
        kinds = [
            covariance.kind
            for covariance in estimated.covariances
            if len(at) > 1 and len(at) > np.min(covariance.dof_of_coefficients[at])
        ]
        if kinds:
            yield Note.of("joint_beyond_dof", errors=kinds, count=len(at))


def _groups(terms: Sequence[Term], anticipation: int) -> Iterator[tuple[str, list[int]]]:
    """Positions of the event years before adoption, but for those in which effects may begin, and from it on."""
    times = {place: term.event_time for place, term in enumerate(terms)}
    yield BEFORE, [place for place, time in times.items() if time is not None and time < -anticipation]
    yield AFTER, [place for place, time in times.items() if time is not None and time >= 0]
