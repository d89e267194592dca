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
    no_names, no_values = np.zeros(0, dtype=object), np.zeros(0)
    columns = {name: [no_names] for name in COVARIANCE_COLUMNS[:-1]}
    values = [no_values]
    for estimated in estimated_cells:
        names = np.array(estimated.fit.names, dtype=object)
        for covariance in estimated.covariances:
            n_rows = covariance.matrix.size
            columns["job"].append(np.full(n_rows, job, dtype=object))
            columns["cell"].append(np.full(n_rows, estimated.cell.id, dtype=object))
            columns["errors"].append(np.full(n_rows, covariance.kind, dtype=object))
            columns["term"].append(np.repeat(names, len(names)))
            columns["other"].append(np.tile(names, len(names)))
            values.append(covariance.matrix.ravel())
    of_text = {name: np.concatenate(parts) for name, parts in columns.items()}
    return pd.DataFrame({**of_text, COVARIANCE_COLUMNS[-1]: np.concatenate(values)})


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


def _groups(terms: Sequence[Term], anticipation: int) -> Iterator[tuple[str, list[int]]]:
    """Positions of the event years before adoption, but for those in which effects may begin, and from it on."""
    times = {place: term.event_time for place, term in enumerate(terms)}
    yield BEFORE, [place for place, time in times.items() if time is not None and time < -anticipation]
    yield AFTER, [place for place, time in times.items() if time is not None and time >= 0]
