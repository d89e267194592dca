"""Cells with an instrument: which regression a cell is, and what the instrument's strength is under each error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine.estimate.fit import MomentFit, Stage, fit
from engine.estimate.instrument import Instrumented, Strength, instrumented, strength
from engine.infer.variance import covariances
from engine.spec import Cell
from engine.stages.design import INSTRUMENT

Array = np.ndarray[Any, np.dtype[np.float64]]

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


def strengths(cell: Cell, found: Instrumented, products: list[tuple[Array, Array]]) -> dict[str, Strength]:
    """The instrument's strength under each kind of error that the cell prints."""
    model = cell.job.model
    out: dict[str, Strength] = {}
    fits = (found.reduced, found.first, found.both)
    by_fit = [
        covariances(one, own, reverse, tuple(model.errors))
        for one, (own, reverse) in zip(fits, products, strict=True)
    ]
    for kind, same in zip(model.errors, zip(*by_fit, strict=True), strict=True):
        variances = tuple(float(covariance.matrix[-1, -1]) for covariance in same)
        out[kind] = strength(
            float(found.reduced.estimate[-1]),
            float(found.first.estimate[-1]),
            (variances[0], variances[1], variances[2]),
            dof=same[0].dof,
            confidence=model.confidence,
        )
    return out


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
