"""Deviance and pseudo R2 of a Poisson fit.

    D = 2 sum w (y ln(y / mu) - (y - mu)),   pseudo R2 = 1 - l(mu) / l(mu_0)

with l = sum w (y ln mu - mu - ln y!) and mu_0 proportional to exp(offset), its level the one that fits best. As fixest
reports them; McFadden (1974).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, xlogy

from engine.arrays import Array


def deviance(outcome: Array, mean: Array, weights: Array) -> float:
    """Twice the log likelihood that a fit lacks; arguments ``[n_rows]``. Infinite where a mean is zero or infinite."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        terms = xlogy(outcome, outcome / mean) - (outcome - mean)
        total = 2.0 * float(weights @ terms)
    return total if np.isfinite(total) else float("inf")


def log_likelihood(outcome: Array, mean: Array, weights: Array) -> float:
    """Of a Poisson distribution; the gamma function stands for the factorial where outcomes are no whole numbers."""
    return float(weights @ (xlogy(outcome, mean) - mean - gammaln(outcome + 1.0)))


def pseudo_r2(outcome: Array, mean: Array, weights: Array, offset: Array) -> float:
    """McFadden's, against a constant beside the offset; NaN where the constant explains everything."""
    exposure = np.exp(offset - offset.max())
    null = exposure * (weights @ outcome) / (weights @ exposure)
    least = log_likelihood(outcome, null, weights)
    return 1.0 - log_likelihood(outcome, mean, weights) / least if least != 0 else float("nan")
