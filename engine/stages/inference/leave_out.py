"""Leave-one-group-out estimates: jackknife errors by group, and which groups move the estimate."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd

from engine.infer.weighted import weighted_fit
from engine.stages.data import CityData
from engine.stages.estimation import Estimated
from engine.stages.inference.book import Book
from engine.stages.inference.shared import tested_of, weighted_setting
from engine.stages.prepare import Prepared


def leave_out(prepared: Prepared, group: list[Estimated], by: str, book: Book) -> None:
    """Leave-one-group-out estimates, their jackknife errors, and how far each group moves the estimate."""
    data = prepared.shared.data
    units = data.panel.units if isinstance(data, CityData) else data.pairs.units
    labels = np.array(units if by == "city" or not isinstance(data, CityData) else data.panel.labels[by])
    groups = np.unique(labels)
    setting = weighted_setting(prepared)
    weights = (labels[None, :] != groups[:, None]).astype(np.float64)
    for result in group:
        cell = tested_of(prepared, result, None)
        with jax.enable_x64(True):
            _, estimate, _ = weighted_fit(setting, weights, cell, studentise=False)
        for k, position in enumerate(cell.tested):
            here, name = float(result.fit.estimate[position]), result.fit.names[position]
            shift = estimate[:, k] - here
            variance = (len(groups) - 1) / len(groups) * float((shift**2).sum())
            book.row(
                result.cell.id, name, f"jackknife_{by}", reps=len(groups), statistic=here / np.sqrt(variance)
            )
            table = {"cell": result.cell.id, "term": name, "left_out": groups, "estimate": estimate[:, k]}
            book.influence.append(pd.DataFrame({**table, "shift": shift}))
