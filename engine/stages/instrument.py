"""The strength of a cell's instrument under each standard-error type, and the frame of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.estimate.instrument import Instrumented, Strength, joint_estimate, strength
from engine.infer.errors import covariances
from engine.infer.guard import semidefinite
from engine.notes import Note
from engine.spec import Cell

INSTRUMENT_COLUMNS = (
    "job", "cell", "errors", "first_stage", "reduced_form", "f_statistic", "ar_p_value", "ar_shape", "ar_low",
    "ar_high",
)  # fmt: skip


def strengths(cell: Cell, regressions: Instrumented) -> tuple[dict[str, Strength], tuple[Note, ...]]:
    """The instrument's strength under each kind of error that the cell prints, and what a reader should know.

    The instrument's coefficients in reduced form and first stage are two terms of one joint covariance, so that a
    variance that is not positive is replaced for one of them alone, and what an Anderson-Rubin interval asks is the
    variance of a combination, never negative.
    """
    model, joint = cell.job.model, joint_estimate(regressions)
    by_errors: dict[str, Strength] = {}
    kinds = covariances(joint, model.errors)
    for covariance in kinds:
        is_defined = np.isfinite(covariance.matrix).all()
        matrix = semidefinite(covariance.matrix) if is_defined else covariance.matrix
        by_errors[covariance.kind] = strength(
            float(joint.values[0]),
            float(joint.values[1]),
            (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix.sum())),
            dof=covariance.smallest_dof,
            confidence=model.confidence,
        )
    return by_errors, tuple(
        Note.of("of_errors", errors=covariance.kind, notes=[Note.of("of_instrument", note=note)])
        for covariance in kinds
        for note in covariance.notes
    )


def instrument_frame(job: str, cells: list[tuple[Cell, dict[str, Strength], Instrumented]]) -> pd.DataFrame:
    """One row an ``iv`` cell and kind of error, ``INSTRUMENT_COLUMNS``."""
    rows = [
        (
            job,
            cell.id,
            kind,
            float(regressions.first.values[-1]),
            float(regressions.reduced.values[-1]),
            strength_of.f,
            strength_of.ar_p,
            strength_of.shape,
            strength_of.low,
            strength_of.high,
        )
        for cell, by_kind, regressions in cells
        for kind, strength_of in by_kind.items()
    ]
    return pd.DataFrame(rows, columns=list(INSTRUMENT_COLUMNS))
