"""The shortest interval of fixed length around a linear estimate, where slopes change by at most so much a year.

An estimate v'beta with v_post = l has the bias v'delta. Written in second differences of delta, v = D'u, its largest
size is M sum |u|, and the half length of the interval is the quantile of |N(M sum |u|, u'D V D'u)|. The u that gives
the shortest one minimises u'D V D'u / 2 + penalty sum |u| for some penalty, which is searched. Source: Armstrong and
Kolesar (2018), Optimal Inference in a Class of Regression Models, Econometrica 86(2), as Rambachan and Roth use it.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize
from scipy.special import chndtrix, ndtri

from engine.arrays import Array
from engine.infer.honest.moment_inequalities import Coefficients
from engine.infer.honest.restrictions import EventTimes

_LARGE_BIAS = 30.0  # in standard deviations: from here on one tail alone matters


def fixed_length_interval(
    coefficients: Coefficients, years: EventTimes, size: float, level: float
) -> tuple[float, float]:
    """Ends of the interval where no change of the slope is larger than ``size`` in absolute value."""
    second, _ = years.differences(2)
    spread = second @ coefficients.matrix @ second.T
    scale = float(np.sqrt(np.trace(spread) / len(spread)))
    quadratic, bias = spread / scale**2, size / scale
    of_effects = second[:, coefficients.after].T  # [n_after, n_second] @ u = l
    start = np.asarray(np.linalg.lstsq(of_effects, coefficients.weights, rcond=None)[0], dtype=np.float64)

    def half_length(u: Array) -> float:
        deviation = float(np.sqrt(u @ quadratic @ u))
        return deviation * folded_quantile(level, bias * float(np.abs(u).sum()) / deviation)

    def by_penalty(log_penalty: float) -> float:
        return half_length(
            penalised(quadratic, float(np.exp(log_penalty)), of_effects, coefficients.weights, start)
        )

    best = penalised(quadratic, 0.0, of_effects, coefficients.weights, start)
    if size > 0:
        least = optimize.minimize_scalar(
            by_penalty, bounds=(-12.0, 12.0), method="bounded", options={"xatol": 1e-4}
        )
        at_penalty = penalised(quadratic, float(np.exp(least.x)), of_effects, coefficients.weights, start)
        best = min(best, at_penalty, key=half_length)
    estimate, half = float(best @ second @ coefficients.values), scale * half_length(best)
    return estimate - half, estimate + half


def penalised(quadratic: Array, penalty: float, of_effects: Array, weights: Array, start: Array) -> Array:
    """The u that minimises u'Q u / 2 + penalty sum |u| with ``of_effects @ u = weights``.

    As a quadratic programme of the positive and the negative parts.
    """
    n = len(start)

    def value(parts: Array) -> float:
        u = parts[:n] - parts[n:]
        return float(u @ quadratic @ u) / 2 + penalty * float(parts.sum())

    def slope(parts: Array) -> Array:
        moved = quadratic @ (parts[:n] - parts[n:])
        return np.concatenate([moved, -moved]) + penalty

    both = np.concatenate([of_effects, -of_effects], axis=1)
    solution = optimize.minimize(
        value,
        np.concatenate([np.maximum(start, 0), np.maximum(-start, 0)]),
        jac=slope,
        bounds=optimize.Bounds(0, np.inf),
        constraints=optimize.LinearConstraint(both, weights, weights),
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    u = solution.x[:n] - solution.x[n:]
    return np.asarray(
        u + np.linalg.pinv(of_effects) @ (weights - of_effects @ u)
    )  # unbiased to the last digit


def folded_quantile(level: float, mean: float) -> float:
    """Quantile of |N(mean, 1)|, mean >= 0."""
    if mean > _LARGE_BIAS:
        return mean + float(ndtri(level))
    return float(np.sqrt(chndtrix(level, 1, mean**2)))
