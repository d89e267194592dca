"""Pair-clustered errors: rows of one pair may correlate, pairs do not. Conventional and anti-conservative.

    V = c sum_p psi_p psi_p',   c = P/(P-1) (n-1)/(n-K),   P - 1 degrees of freedom

with psi_p the influence of pair p (bread times score, summed over years).
"""

from __future__ import annotations

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import ErrorType
from engine.infer.errors.small_sample import small_sample_factor
from engine.notes import Note


def covariance(estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    """The pair meat and its factor."""
    return estimate.pair_meat * small_sample_factor(
        estimate.n_pairs, estimate.n_obs, estimate.n_parameters
    ), ()


def degrees_of_freedom(estimate: Estimate) -> int:
    """Pairs less one."""
    return estimate.n_pairs - 1


ERROR = ErrorType(covariance, degrees_of_freedom, robust=False)
