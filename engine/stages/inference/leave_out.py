"""Leave-one-group-out estimates: jackknife errors by group, and which groups move the estimate."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from engine.infer.weighted import weighted_fit, weighted_sums
from engine.stages.data import CityData
from engine.stages.estimation import Estimated
from engine.stages.inference.book import Book
from engine.stages.inference.shared import tested_of, weighted_setting
from engine.stages.prepare import Prepared


def leave_out(prepared: Prepared, group: list[Estimated], by: str, book: Book) -> None:
    """Leave-one-group-out estimates, their jackknife errors, and how far each group moves the estimate."""
    data = prepared.shared.data
    units = data.panel.units if isinstance(data, CityData) else data.pairs.units
    labels = np.array(data.panel.labels[by] if by != "city" and isinstance(data, CityData) else units)
    setting = weighted_setting(prepared)
    groups = np.unique(labels[setting.units])  # a city without a pair is left out of nothing
    weights = (labels[None, :] != groups[:, None]).astype(np.float64)
    with jax.enable_x64(True):
        sums = weighted_sums(setting, weights)
    for result in group:
        cell = tested_of(prepared, result, None)
        _, estimate, _ = weighted_fit(setting, weights, cell, studentise=False, sums=sums)
        for k, position in enumerate(cell.tested):
            here, name = float(result.fit.estimate[position]), result.fit.names[position]
            shift = estimate[:, k] - here
            dof = len(groups) - 1
            error = float(np.sqrt(dof / len(groups) * (shift**2).sum()))
            margin = float(stdtrit(dof, 0.5 + result.cell.job.model.confidence / 2)) * error
            book.row(
                result.cell.id,
                name,
                f"jackknife_{by}",
                reps=len(groups),
                statistic=here / error,
                p_value=float(2 * stdtr(dof, -abs(here / error))),
                conf_low=here - margin,
                conf_high=here + margin,
            )
            table = {"cell": result.cell.id, "term": name, "left_out": groups, "estimate": estimate[:, k]}
            book.influence.append(pd.DataFrame({**table, "shift": shift}))
