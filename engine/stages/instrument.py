"""The strength of a cell's instrument under each standard-error type, and the frame of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import stdtr

from engine.estimate.estimate import Estimate
from engine.estimate.instrument import Instrumented, joint_estimate
from engine.infer.anderson_rubin import anderson_rubin_set, variance_at
from engine.infer.errors import covariances
from engine.infer.inversion import ConfidenceSet, listed_pieces
from engine.infer.summary import t_ratio
from engine.notes import Note
from engine.spec import Cell

INSTRUMENT_COLUMNS = (
    "job", "cell", "errors", "first_stage", "reduced_form", "f_statistic", "ar_p_value", "ar_shape", "ar_low",
    "ar_high",
)  # fmt: skip


Shape = Literal["interval", "outside", "line", "empty", "pieces", "unknown"]


@dataclass(frozen=True)
class Strength:
    """Strength of the instrument under one standard-error type.

    Attributes
    ----------
    f : float
        Kleibergen-Paap F.
    ar_p : float
        p-value of no effect, Anderson-Rubin.
    effects : ConfidenceSet or None
        Effects that the Anderson-Rubin test does not reject; None where it rejects all.
    """

    f: float
    ar_p: float
    effects: ConfidenceSet | None

    @property
    def shape(self) -> Shape:
        """Of the set; ``pieces`` where it is no interval, nor all but one; ``unknown`` without a variance."""
        if self.effects is None:
            return "empty"
        if np.isnan(self.effects.low):
            return "unknown"
        if len(self.effects.pieces) > 1:
            is_outside = (
                len(self.effects.pieces) == 2 and np.isinf([self.effects.low, self.effects.high]).all()
            )
            return "outside" if is_outside else "pieces"
        return "line" if np.isinf([self.effects.low, self.effects.high]).all() else "interval"

    @property
    def ends(self) -> tuple[float, float]:
        """Of the set; of shape ``outside`` it is below the first and above the second; NaN for an empty one."""
        if self.effects is None:
            return np.nan, np.nan
        if self.shape == "outside":
            (_, low), (high, _) = self.effects.pieces
            return low, high
        return self.effects.low, self.effects.high


def strengths(cell: Cell, regressions: Instrumented) -> tuple[dict[str, Strength], tuple[Note, ...]]:
    """The instrument's strength under each kind of error that the cell prints, and what a reader should know."""
    model, joint = cell.job.model, joint_estimate(regressions)
    by_errors: dict[str, Strength] = {}
    notes: list[Note] = []
    for covariance in covariances(joint, model.errors):
        of_type = by_errors[covariance.kind] = _strength(joint, covariance.kind, model.confidence)
        of_covariance = list(covariance.notes)
        if of_type.effects is not None and of_type.shape == "pieces":
            pieces = of_type.effects.pieces
            of_covariance.append(
                Note.of("anderson_rubin_in_pieces", count=len(pieces), pieces=listed_pieces(of_type.effects))
            )
        notes += [
            Note.of("of_errors", errors=covariance.kind, notes=[Note.of("of_instrument", note=note)])
            for note in of_covariance
        ]
    return by_errors, tuple(notes)


def _strength(joint: Estimate, code: str, confidence: float) -> Strength:
    """Each number by the type's own rule for the regression that it is of; NaN without a positive variance."""
    reduced, first = (variance_at(joint, weights, code) for weights in ((1.0, 0.0), (0.0, 1.0)))
    y, d = joint.values
    f = float(t_ratio(d, first.std_error[0])) ** 2
    p = float(2 * stdtr(reduced.smallest_dof, -abs(float(t_ratio(y, reduced.std_error[0])))))
    return Strength(f, p, anderson_rubin_set(joint, code, confidence=confidence))


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
            *strength_of.ends,
        )
        for cell, by_kind, regressions in cells
        for kind, strength_of in by_kind.items()
    ]
    return pd.DataFrame(rows, columns=list(INSTRUMENT_COLUMNS))
