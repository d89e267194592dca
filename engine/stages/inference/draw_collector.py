"""Rows, draws, influences and notes of the ``inference`` block, collected for its frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from engine.arrays import Array, Integers
from engine.notes import Note

INFERENCE = (
    "job", "cell", "term", "method", "reps", "statistic", "p_value", "conf_low", "conf_high", "mc_error",
)  # fmt: skip
DRAWS = ("cell", "method", "replicate", "term", "estimate", "statistic")


@dataclass(frozen=True)
class Inferred:
    """Frames of the inference block; empty where a job requests none.

    Attributes
    ----------
    rows : DataFrame
        ``inference.parquet``.
    draws : DataFrame
        ``draws.parquet``.
    influence : DataFrame
        Leave-out estimates: ``cell, term, left_out, estimate, shift``.
    notes : tuple of Note
    """

    rows: pd.DataFrame
    draws: pd.DataFrame
    influence: pd.DataFrame
    notes: tuple[Note, ...]


@dataclass
class DrawCollector:
    """Rows, draws, influences and notes of a job, in the order in which they are made."""

    job: str
    rows: list[dict[str, object]] = field(default_factory=list)
    draws: list[pd.DataFrame] = field(default_factory=list)
    influence: list[pd.DataFrame] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def row(self, cell: str, term: str, method: str, **values: float) -> None:
        """Add a row of ``inference.parquet``; columns that are not among the values are missing."""
        missing = dict.fromkeys(INFERENCE[5:], np.nan)
        self.rows.append({"job": self.job, "cell": cell, "term": term, "method": method, **missing, **values})

    def draw(
        self, cell: str, method: str, replicates: Integers, term: str, estimate: Array, statistic: Array
    ) -> None:
        """Add the draws of one term of a cell."""
        table = {"cell": cell, "method": method, "replicate": replicates, "term": term}
        self.draws.append(pd.DataFrame({**table, "estimate": estimate, "statistic": statistic}))
