"""Balance of covariates before and after matching: means, standardised differences, variance ratios and t."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags
from engine.errors import InputError

MEASURES = ("mean_treated", "mean_control", "smd", "variance_ratio", "t")
"""Measures that `balance` has of every column, before and after."""


def balance(columns: Array, treated: Flags, weight: Array, *, names: Sequence[str]) -> pd.DataFrame:
    """Means, standardised differences, variance ratios and t of every column, before and after matching.

    smd = (m_1 - m_0) / sqrt((s_1^2 + s_0^2) / 2) with the variances of the unmatched sample both times, so that
    it moves with the means alone. variance_ratio = s_1^2 / s_0^2, after matching of weighted variances
    sum w (x - m)^2 / (sum w - 1). t is that of the treated indicator in (weighted) least squares of the column
    on it, with n - 2 degrees of freedom, n the rows of positive weight; it treats rows as independent, which
    pairs that share a city are not, and it falls with the size of a sample: a description, no test.

    Parameters
    ----------
    columns : float64 ``[n, k]``
    treated : bool ``[n]``
    weight : float64 ``[n]``
        Of the matched sample: `engine.estimate.matching.Matched.weight`. Before matching every row counts once.
    names : sequence of str, k of them

    Returns
    -------
    DataFrame ``[k]``
        column, mean_treated_before, mean_control_before, smd_before, variance_ratio_before, t_before, and the
        same with _after. NaN where a variance is zero or has one row only.

    Raises
    ------
    InputError
        Where the treated or the controls are absent, before or after.

    References
    ----------
    Rosenbaum and Rubin (1985), American Statistician 39(1), for smd; pstest (Leuven and Sianesi 2003) for t and
    the variance ratio.
    """
    columns, treated = np.asarray(columns, dtype=np.float64), np.asarray(treated, dtype=bool)
    weight = np.asarray(weight, dtype=np.float64)
    if columns.ndim != 2 or columns.shape != (len(treated), len(names)) or weight.shape != treated.shape:
        raise ValueError(
            f"expected columns [n, {len(names)}] and [n] treated and weights, got {columns.shape}, "
            f"{treated.shape}, {weight.shape}"
        )
    measures: dict[str, Array] = {}
    centre = columns.mean(axis=0)  # differences of means far from zero would keep few digits
    columns = columns - centre
    denominator = np.zeros(columns.shape[1])
    for stage, w in (("before", np.ones(len(treated))), ("after", weight)):
        sample = w > 0
        parts = [
            _moments(columns[rows], w[rows], centre, stage) for rows in (sample & treated, sample & ~treated)
        ]
        (mean_1, square_1, sum_1), (mean_0, square_0, sum_0) = parts
        with np.errstate(divide="ignore", invalid="ignore"):
            variance_1, variance_0 = square_1 / (sum_1 - 1), square_0 / (sum_0 - 1)
            if stage == "before":
                denominator = np.sqrt((variance_1 + variance_0) / 2)
            error = np.sqrt((square_1 + square_0) / (sample.sum() - 2) * (1 / sum_1 + 1 / sum_0))
            values = (
                centre + mean_1,
                centre + mean_0,
                (mean_1 - mean_0) / denominator,
                variance_1 / variance_0,
                (mean_1 - mean_0) / error,
            )
        for measure, value in zip(MEASURES, values, strict=True):
            measures[f"{measure}_{stage}"] = np.where(np.isfinite(value), value, np.nan)
    return pd.DataFrame({"column": list(names), **measures})


def _moments(x: Array, w: Array, centre: Array, stage: str) -> tuple[Array, Array, float]:
    """Weighted mean, sum of squares around it, and sum of weights, of columns less a ``centre``."""
    if not len(x):
        raise InputError(
            f"there are no treated rows, or no controls, {stage} matching",
            where="balance",
            remedy="widen the caliper, or check which pairs the filters keep",
        )
    mean = w @ x / w.sum()
    square = w @ (x - mean) ** 2
    # What rounding leaves of a constant must not pass for a variance.
    rounding = (8 * np.finfo(float).eps) ** 2 * (w @ (np.abs(x) + np.abs(centre)) ** 2)
    return mean, np.where(square > rounding, square, 0.0), float(w.sum())
