"""Linear differences in trends that a test of the years before adoption finds with a given probability (Roth 2022).

A difference delta_t = slope (t - reference) moves the coefficients before adoption; a test of them lets it pass with
the probability that all are insignificant, or that their Wald statistic is. The least slope that is found with
probability 1/2 or 4/5 says how much could have passed, and its mean over the years after adoption how wrong the effect
then is; in samples that pass, the coefficients before adoption are nearer to zero, and those after it, which correlate
with them, are moved once more. Source: Roth (2022), Pretest with Caution, American Economic Review: Insights 4(3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import fdtri, ncfdtr, ndtr, ndtri

from engine.arrays import Array
from engine.infer.honest.moment_inequalities import Coefficients
from engine.infer.honest.restrictions import EventTimes
from engine.infer.simultaneous import even_points

POWERS = (0.5, 0.8)
_POINTS = 2**13
_LARGEST = 2.0**40  # slopes that are tried, in standard errors a year


@dataclass(frozen=True)
class DetectableTrend:
    """A linear difference in trends that a test finds with a probability.

    Attributes
    ----------
    test : str
        ``single``: some coefficient before adoption is significant; ``joint``: they are together.
    power, slope : float
    bias : float
        Of the weighted sum of effects.
    bias_if_passed : float
        The same in the samples in which the test finds nothing; NaN for the joint test.
    """

    test: str
    power: float
    slope: float
    bias: float
    bias_if_passed: float


def detectable_trends(
    coefficients: Coefficients, years: EventTimes, *, confidence: float, dof: float, inflation: float
) -> list[DetectableTrend]:
    """Of single tests and of the joint one, for each of `POWERS`; without the joint one where it has no distribution.

    Parameters
    ----------
    coefficients : Coefficients
        Their covariance as normal critical values take it.
    years : EventTimes
    confidence : float
        One minus the size of the tests.
    dof : float
        Of the joint test's denominator.
    inflation : float
        By which the covariance is larger than that of the estimates, for normal critical values to be those of t.
    """
    distance = np.array(years.times, dtype=np.float64) - years.reference
    before = ~coefficients.after
    matrix = coefficients.matrix[np.ix_(before, before)]
    margin = float(ndtri((1 + confidence) / 2)) * np.sqrt(np.diag(matrix))
    unit = float(np.sqrt(np.diag(matrix)).min())
    bias_a_year = float(coefficients.weights @ distance[coefficients.after])

    def found_singly(slope: float) -> float:
        return 1 - in_box(slope * distance[before], matrix, -margin, margin)[0]

    trends = []
    for power in POWERS:
        slope = _least_slope(found_singly, power, unit)
        passed = in_box(slope * distance[before], matrix, -margin, margin)[1] - slope * distance[before]
        across = coefficients.matrix[np.ix_(coefficients.after, before)]
        moved = float(coefficients.weights @ across @ np.linalg.solve(matrix, passed))
        trends.append(
            DetectableTrend("single", power, slope, slope * bias_a_year, slope * bias_a_year + moved)
        )
    n_tested = int(before.sum())
    if n_tested < 2 or dof < n_tested:
        return trends
    strength = inflation * float(distance[before] @ np.linalg.solve(matrix, distance[before]))
    critical = float(fdtri(n_tested, dof, confidence))

    def found_jointly(slope: float) -> float:
        return 1 - float(ncfdtr(n_tested, dof, slope**2 * strength, critical))

    for power in POWERS:
        slope = _least_slope(found_jointly, power, unit)
        trends.append(DetectableTrend("joint", power, slope, slope * bias_a_year, float("nan")))
    return trends


def _least_slope(power_of: Callable[[float], float], power: float, unit: float) -> float:
    """The positive slope with this probability of being found, which rises with it."""
    high = unit
    while power_of(high) < power:
        if high > _LARGEST * unit:
            return float("inf")
        high *= 2
    return float(
        optimize.brentq(lambda slope: power_of(slope) - power, 0.0, high, xtol=1e-10 * unit, rtol=1e-12)
    )


def in_box(mean: Array, matrix: Array, low: Array, high: Array) -> tuple[float, Array]:
    """Probability that a normal vector is between two vectors, and its mean there.

    Coordinates are drawn one after the other within their bounds given those before, on a lattice of Sobol points.
    Source: Genz (1992), Numerical Computation of Multivariate Normal Probabilities.
    """
    root = np.linalg.cholesky(matrix)
    n = len(mean)
    uniform = even_points(n, _POINTS)
    normal, weight = np.zeros((len(uniform), n)), np.ones(len(uniform))
    for k in range(n):
        shift = mean[k] + normal[:, :k] @ root[k, :k]
        below, above = ndtr((low[k] - shift) / root[k, k]), ndtr((high[k] - shift) / root[k, k])
        weight *= above - below
        normal[:, k] = np.clip(ndtri(below + uniform[:, k] * (above - below)), -40.0, 40.0)
    total = float(weight.sum())
    inside = mean + root @ (weight @ normal) / total if total > 0 else np.full(n, np.nan)
    return total / len(weight), inside
