"""Simultaneous (sup-t) bands: critical values for the t ratios of several coefficients together.

    P(max_k |t_k| <= c) = 1 - alpha,   t multivariate t with the correlations of the estimates

A multivariate t vector is a direction u of the sphere, seen through a root L of the correlations, times a radius whose
square over its rank is F(rank, dof). So the probability is the mean over directions of F's distribution function at
c^2 / (rank m_u^2), m_u = max_k |(L u)_k|: smooth in c, and free of draws.

Where degrees of freedom differ by coefficient, c is that of the most, whose t ratios depend on each other least, and
every coefficient has the value of its own t distribution at the level that c has in that one: an approximation, on the
safe side in the level, and exact where they do not differ. Sources: Montiel Olea and Plagborg-Moller (2019) for the
band; Somerville (1997) for the radius; Sidak (1971) for values that need no correlations.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import optimize, stats

from engine.arrays import Array

_DIRECTIONS = 4096
_SMALLEST = 1e-10  # eigenvalue of the correlations: what is less is rounding


def simultaneous_critical_values(matrix: Array, dof: Array, confidence: float) -> Array:
    """Critical values ``[K]`` of all t ratios together, to 2e-3 of them.

    Parameters
    ----------
    matrix : float64 ``[K, K]``
        Covariance of the coefficients.
    dof : float64 ``[K]``
    confidence : float
        Probability that intervals of so many standard errors cover all coefficients.

    Returns
    -------
    float64 ``[K]``
        Never below those of one coefficient, whose they are where all correlate perfectly; NaN where a variance is not
        positive.
    """
    most = float(np.max(dof))
    level = 2 * stats.t.sf(_common_value(matrix, most, confidence), most)
    return np.asarray(stats.t.isf(level / 2, dof))


def sidak_critical_values(dof: Array, confidence: float) -> Array:
    """Critical values ``[K]`` that hold for t ratios of any correlations, and are too large for most."""
    return np.asarray(stats.t.isf((1 - confidence ** (1 / len(dof))) / 2, dof))


def _common_value(matrix: Array, dof: float, confidence: float) -> float:
    """The critical value where degrees of freedom do not differ."""
    error = np.sqrt(np.diag(matrix))
    if not (np.isfinite(matrix).all() and (error > 0).all() and dof > 0):
        return float("nan")
    eigenvalues, vectors = np.linalg.eigh(matrix / error[:, None] / error)
    present = eigenvalues > _SMALLEST
    root = vectors[:, present] * np.sqrt(eigenvalues[present])  # [K, rank]
    root /= np.linalg.norm(root, axis=1, keepdims=True)  # one again where negative eigenvalues were left out
    rank = root.shape[1]
    single = float(stats.t.isf((1 - confidence) / 2, dof))
    if rank == 1:
        return single
    largest = np.max((even_directions(rank) @ root.T) ** 2, axis=1)

    def excess(critical: float) -> float:
        return float(np.mean(stats.f.cdf(critical**2 / (rank * largest), rank, dof))) - confidence

    widest = float(np.sqrt(rank * stats.f.ppf(confidence, rank, dof)))  # Scheffe's, of every combination
    if excess(single) >= 0:
        return single
    return float(optimize.brentq(excess, single, widest * (1 + 1e-9), xtol=1e-10))


@cache
def even_directions(rank: int) -> Array:
    """Directions evenly spread over the sphere, ``[_DIRECTIONS, rank]``."""
    normal = stats.norm.ppf(even_points(rank, _DIRECTIONS))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def even_points(dimensions: int, count: int) -> Array:
    """Points evenly spread within the unit cube, ``[count, dimensions]``; ``count`` a power of two."""
    return np.asarray(stats.qmc.Sobol(dimensions, scramble=False).random(count) + 0.5 / count)
