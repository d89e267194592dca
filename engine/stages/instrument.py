"""Cells with an instrument: which regression a cell is, and what the instrument's strength is under each error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from engine.arrays import Array
from engine.estimate.fit import Fit, MomentFit, Stage, fit
from engine.estimate.instrument import Instrumented, Strength, instrumented, strength
from engine.infer.errors import covariances
from engine.infer.guard import semidefinite
from engine.notes import Note
from engine.spec import Cell
from engine.stages.pass_cells import INSTRUMENT

INSTRUMENT_COLUMNS = (
    "job", "cell", "errors", "first_stage", "reduced_form", "f_statistic", "ar_p_value", "ar_shape", "ar_low",
    "ar_high",
)  # fmt: skip


def fit_cell(stage: Stage, cell: Cell, controls: tuple[str, ...], terms: tuple[str, ...]) -> MomentFit:
    """The regression of a cell on its controls and terms, or what its estimator puts in their place."""
    estimator = cell.job.model.estimator
    if estimator == "first_stage":
        return fit(stage, (*controls, INSTRUMENT), outcome=terms[0])
    if estimator == "reduced_form":
        return fit(stage, (*controls, INSTRUMENT))
    stand = (*controls, INSTRUMENT) if estimator == "iv" else None
    return fit(stage, (*controls, *terms), instruments=stand)


def behind(
    stage: Stage, cell: Cell, controls: tuple[str, ...], terms: tuple[str, ...]
) -> Instrumented | None:
    """First stage, reduced form and their sum; None for cells that are not ``iv``."""
    if cell.job.model.estimator != "iv":
        return None
    return instrumented(stage, controls, treatment=terms[0], instrument=INSTRUMENT)


def strengths(
    cell: Cell, found: Instrumented, products: list[tuple[Array, Array]]
) -> tuple[dict[str, Strength], tuple[Note, ...]]:
    """The instrument's strength under each kind of error that the cell prints, and what a reader should know.

    The instrument's coefficients in reduced form and first stage are two terms of one joint covariance, so that a
    variance that is not positive is replaced for one of them alone, and what an Anderson-Rubin interval asks is the
    variance of a combination, never negative.
    """
    model = cell.job.model
    out: dict[str, Strength] = {}
    fits = (found.reduced, found.first)
    joint: Fit = replace(
        found.reduced,
        names=("the reduced form", "the first stage"),
        estimate=np.array([one.estimate[-1] for one in fits]),
        city_first=np.stack([one.city_first[:, -1] for one in fits], axis=1),
        city_second=np.stack([one.city_second[:, -1] for one in fits], axis=1),
        without_city=np.stack([one.without_city[:, -1] for one in fits], axis=1),
    )
    own, reverse = (_crossed([sums[part][-1, -1] for sums in products]) for part in (0, 1))
    kinds = covariances(joint, own, reverse, tuple(model.errors))
    for covariance in kinds:
        known = np.isfinite(covariance.matrix).all()
        matrix = semidefinite(covariance.matrix) if known else covariance.matrix
        out[covariance.kind] = strength(
            float(joint.estimate[0]),
            float(joint.estimate[1]),
            (float(matrix[0, 0]), float(matrix[1, 1]), float(matrix.sum())),
            dof=covariance.smallest_dof,
            confidence=model.confidence,
        )
    return out, tuple(
        Note.of("of_errors", errors=errors.kind, notes=[Note.of("of_instrument", note=note)])
        for errors in kinds
        for note in errors.notes
    )


def _crossed(sums: list[float]) -> Array:
    """Sums of products ``[2, 2]`` of two influences, from those of each and of their sum."""
    yy, dd, total = sums
    yd = (total - yy - dd) / 2
    return np.array([[yy, yd], [yd, dd]])


def instrument_frame(job: str, found: list[tuple[Cell, dict[str, Strength], Instrumented]]) -> pd.DataFrame:
    """One row an ``iv`` cell and kind of error, ``INSTRUMENT_COLUMNS``."""
    rows = [
        (
            job,
            cell.id,
            kind,
            float(behind.first.estimate[-1]),
            float(behind.reduced.estimate[-1]),
            one.f,
            one.ar_p,
            one.shape,
            one.low,
            one.high,
        )
        for cell, by_kind, behind in found
        for kind, one in by_kind.items()
    ]
    return pd.DataFrame(rows, columns=list(INSTRUMENT_COLUMNS))
