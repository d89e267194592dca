"""Jackknife errors: leave one city out (CRV3).

    V = (N-1)/N sum_c (b_(-c) - b)(b_(-c) - b)',   N - 1 degrees of freedom

with N the cities in a pair. Source: MacKinnon, Nielsen and Webb (2023).
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import ErrorType, marked_names
from engine.notes import Note


def covariance(estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    """Outer products of the leave-one-city-out steps; NaN for what one of the samples does not identify."""
    steps = estimate.without_city - estimate.values
    undefined = np.isnan(steps)
    notes: tuple[Note, ...] = ()
    if undefined.any():
        n_samples = int(undefined.any(axis=1).sum())
        terms = marked_names(estimate, np.asarray(undefined.any(axis=0)))
        notes = (Note.of("leave_out_unidentified", count=n_samples, terms=terms),)
    return leave_out_covariance(steps, estimate.n_units), notes


def leave_out_covariance(steps: Array, n_groups: int) -> Array:
    """Covariance ``[K, K]`` from steps ``[n, K]`` of the samples without each group; steps of zero do not count."""
    return (n_groups - 1) / n_groups * (steps.T @ steps)


def degrees_of_freedom(estimate: Estimate) -> int:
    """Cities less one."""
    return estimate.n_units - 1


ERROR = ErrorType(covariance, degrees_of_freedom, robust=True, leave_outs="refits")
