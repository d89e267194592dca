"""Tests that several coefficients are zero together, by a covariance of theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from engine.arrays import Array

_SMALLEST = 1e-10  # eigenvalue of the correlations: what is less is a combination without a variance


@dataclass(frozen=True)
class Wald:
    """F = b' V^-1 b / K, its degrees of freedom and p-value; NaN where some combination has no variance to test by."""

    statistic: float
    n_terms: int
    dof: float
    p_value: float


def wald(values: Array, matrix: Array, dof: float) -> Wald:
    """The test that all coefficients are zero.

    Parameters
    ----------
    values : float64 ``[K]``
    matrix : float64 ``[K, K]``
        Their covariance.
    dof : float
        Degrees of freedom of the denominator: the fewest of the coefficients. With fewer of them than coefficients
        the matrix has combinations that rest on nothing, and there is no test.
    """
    n_terms, error = len(values), np.sqrt(np.diag(matrix))
    unknown = Wald(np.nan, n_terms, dof, np.nan)
    if n_terms > dof or not (np.isfinite(matrix).all() and (error > 0).all()):
        return unknown
    correlations = matrix / error[:, None] / error
    if np.linalg.eigvalsh(correlations)[0] < _SMALLEST:
        return unknown
    t = values / error
    statistic = float(t @ np.linalg.solve(correlations, t)) / n_terms
    return Wald(statistic, n_terms, dof, float(fdtrc(n_terms, dof, statistic)))
