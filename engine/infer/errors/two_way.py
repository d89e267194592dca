"""Two-way errors: clusters are first cities and second cities, so they depend on the order of the cities.

    V = c (sum_c phi_c phi_c' + sum_c chi_c chi_c' - sum_p psi_p psi_p'),   c = G/(G-1) (n-1)/(n-K)

with phi_c and chi_c the influences of the pairs in which city c stands first and second, and G the smaller number of
clusters (fixest's cluster.df = "min"); G - 1 degrees of freedom. Pairs that share a city on different sides are taken
as independent. Source: Cameron, Gelbach and Miller (2011).
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import ErrorType, marked_names
from engine.infer.errors.small_sample import small_sample_factor
from engine.notes import Note


def covariance(estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    """V_first + V_second - V_pair, mended where a variance is negative."""
    n_clusters = _fewest_clusters(estimate)
    if n_clusters < 2:
        return np.full_like(estimate.pair_meat, np.nan), (Note("one_city_in_every_pair"),)
    (matrix,) = forms(estimate)
    negative = np.diag(matrix) < 0
    if not negative.any():
        return matrix, ()
    note = Note.of("variance_negative", terms=marked_names(estimate, negative))
    return _clipped(matrix, negative), (note,)


def forms(estimate: Estimate) -> tuple[Array]:
    """V_first + V_second - V_pair as it is; NaN where one city is in every pair."""
    first, second, n_clusters = estimate.city_first, estimate.city_second, _fewest_clusters(estimate)
    if n_clusters < 2:
        return (np.full_like(estimate.pair_meat, np.nan),)
    factor = small_sample_factor(n_clusters, estimate.n_obs, estimate.n_parameters_city)
    return ((first.T @ first + second.T @ second - estimate.pair_meat) * factor,)


def degrees_of_freedom(estimate: Estimate) -> int:
    """The smaller number of clusters less one; 0 where it is one."""
    return _fewest_clusters(estimate) - 1


def _fewest_clusters(estimate: Estimate) -> int:
    return min(estimate.n_first, estimate.n_second)


def _clipped(matrix: Array, negative: Flags) -> Array:
    """Negative eigenvalues set to zero as in fixest; unlike there, positive variances stay as they were."""
    values, vectors = np.linalg.eigh(matrix)
    clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
    variances, moved = np.diag(matrix), np.diag(clipped)
    rescaled = ~negative & (moved > 0)
    scale = np.sqrt(np.divide(variances, moved, out=np.ones_like(moved), where=rescaled))
    return clipped * np.outer(scale, scale)


ERROR = ErrorType(covariance, degrees_of_freedom, robust=False, forms=forms)
