"""Propensity scores by statsmodels, and matches by looking at every control."""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.api as sm


def score(x: pd.DataFrame, y: pd.Series | np.ndarray) -> np.ndarray:
    """Linear index of a logit."""
    design_matrix = sm.add_constant(x.to_numpy())
    fitted = sm.Logit(np.asarray(y, dtype=float), design_matrix).fit(disp=0, tol=1e-12, maxiter=100)
    return design_matrix @ fitted.params


def plain_search(scores: np.ndarray, treated: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Weights by looking at every control: common support, caliper of a quarter standard deviation."""
    treated = treated.astype(bool)
    groups = np.zeros(len(scores)) if groups is None else groups
    n1, n0 = treated.sum(), (~treated).sum()
    pooled = np.sqrt((scores[treated].var(ddof=1) + scores[~treated].var(ddof=1)) / 2)
    assert n1
    assert n0
    weight = np.zeros(len(scores))
    for k in np.flatnonzero(treated):
        controls = np.flatnonzero(~treated & (groups == groups[k]))
        inside = scores[controls].min() <= scores[k] <= scores[controls].max()
        distance = np.abs(scores[controls] - scores[k])
        if not inside or distance.min() > 0.25 * pooled:
            continue
        weight[k] += 1
        weight[controls[np.argmin(distance)]] += 1
    return weight
