"""Student t inference from a covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import Covariance, Degrees
from engine.infer.summary import t_ratio


@dataclass(frozen=True)
class Interval:
    """t statistic, two-sided p-value and confidence interval; float64 of one shape each."""

    statistic: Array
    p_value: Array
    low: Array
    high: Array


def intervals(estimate: Estimate, covariance: Covariance, confidence: float) -> Interval:
    """Inference of every coefficient, with the covariance's degrees of freedom."""
    return student(estimate.values, covariance.std_error, covariance.dof, confidence)


def student(estimate: Array, std_error: Array, dof: Degrees, confidence: float | Array) -> Interval:
    """Inference of coefficients of any number of fits; arrays of one shape, or numbers for all."""
    statistic = t_ratio(estimate, std_error)
    p_value = 2.0 * stdtr(dof, -np.abs(statistic))
    margin = stdtrit(dof, 0.5 + np.asarray(confidence) / 2.0) * std_error
    return Interval(statistic, p_value, estimate - margin, estimate + margin)
