"""Small-sample factors of clustered variances: the defaults of fixest."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate

Number = TypeVar("Number", float, Array)


def small_sample_factor(n_clusters: Number, n_obs: Number, n_parameters: Number) -> Number:
    """G / (G - 1) times (n - 1) / (n - K), with K the coefficients and the effects not nested in the clusters.

    Of one sample, or ``[n_draws]``; infinite or NaN for draws with a single cluster or none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return n_clusters / (n_clusters - 1) * (n_obs - 1) / (n_obs - n_parameters)


def city_factor(estimate: Estimate) -> float:
    """The factor where cities are the clusters."""
    return small_sample_factor(estimate.n_units, estimate.n_obs, estimate.n_parameters_city)
