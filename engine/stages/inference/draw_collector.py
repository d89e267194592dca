"""Where inference writes down what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """Frames of the inference block; empty where nothing was asked.

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
    """Collects rows, draws, influences and notes."""

    job: str
    rows: list[dict[str, Any]]
    draws: list[pd.DataFrame]
    influence: list[pd.DataFrame]
    notes: list[Note]

    def row(self, cell: str, term: str, method: str, **values: Any) -> None:
        empty = {
            "statistic": np.nan,
            "p_value": np.nan,
            "conf_low": np.nan,
            "conf_high": np.nan,
            "mc_error": np.nan,
        }
        self.rows.append({"job": self.job, "cell": cell, "term": term, "method": method, **empty, **values})

    def draw(
        self, cell: str, method: str, replicates: Integers, term: str, estimate: Array, statistic: Array
    ) -> None:
        table = {"cell": cell, "method": method, "replicate": replicates, "term": term}
        self.draws.append(pd.DataFrame({**table, "estimate": estimate, "statistic": statistic}))
