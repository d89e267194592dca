"""From draws to p-values and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from engine.arrays import Array, Integers


@dataclass(frozen=True)
class PValue:
    """A Monte Carlo p-value, its standard error from the number of draws, and the draws that counted."""

    value: float
    error: float
    draws: int


def t_ratio(estimate: Any, std_error: Any) -> Any:
    """Estimate over standard error; NaN where that is zero, since nothing is known of its size."""
    estimate, std_error = np.asarray(estimate, dtype=np.float64), np.asarray(std_error, dtype=np.float64)
    shape = np.broadcast_shapes(estimate.shape, std_error.shape)
    return np.divide(estimate, std_error, out=np.full(shape, np.nan), where=std_error > 0)


def permutation_p(observed: float, draws: Array, *, exact: bool = False) -> PValue:
    """Two-sided p = (1 + #{|T*| >= |T|}) / (1 + B); the share itself where the draws are all assignments.

    Draws that do not identify the statistic (NaN) are left out. Source: Phipson and Smyth (2010).
    """
    known = draws[np.isfinite(draws)]
    if not math.isfinite(observed) or not len(known):
        return PValue(math.nan, math.nan, len(known))
    # A draw that equals the observed assignment must count although rounding may put it just below.
    extreme = int((np.abs(known) >= abs(observed) * (1 - 1e-10)).sum())
    if exact:
        return PValue(extreme / len(known), 0.0, len(known))
    p = (1 + extreme) / (1 + len(known))
    return PValue(p, math.sqrt(p * (1 - p) / (1 + len(known))), len(known))


def max_statistic_p(observed: Array, draws: Array, *, exact: bool = False) -> PValue:
    """Joint p-value of several coefficients by the largest |t|; ``draws`` ``[n_draws, n_terms]``."""
    return permutation_p(float(np.abs(observed).max()), np.abs(draws).max(axis=1), exact=exact)


def inverted_interval(
    estimate: float,
    std_error: float,
    draws: Array,
    inversion: Array,
    *,
    confidence: float,
    exact: bool = False,
) -> tuple[float, float]:
    """Effects that the studentised permutation test does not reject, from the estimate outward.

    Under the null of effect b0 the outcome is moved back by b0 times the treatment that happened; a draw's
    coefficient and variances at b0 are polynomials in b0, so no draw is made again.

    Parameters
    ----------
    estimate, std_error : float
    draws : float64 ``[n_draws]``
    inversion : float64 ``[n_draws, 4]``
        See ``engine.infer.permutation.Draws``.

    Returns
    -------
    low, high : float
        Where p first falls to 1 - confidence on either side; infinite where it never does.
    """
    known = np.isfinite(draws) & np.isfinite(inversion).all(axis=1)
    b, (slope, yy, yd, dd) = draws[known], inversion[known].T

    def rejected(effect: float) -> bool:
        variance = yy - 2 * effect * yd + effect * effect * dd
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = (b - effect * slope) / np.sqrt(np.maximum(variance, 0.0))
        p = permutation_p((estimate - effect) / std_error, drawn, exact=exact)
        return p.value <= _level(confidence)

    return _edge(rejected, estimate, -std_error), _edge(rejected, estimate, std_error)


def _edge(rejected: Callable[[float], bool], start: float, step: float) -> float:
    """First rejected point from ``start`` in the direction of ``step``: strides outward, then bisection."""
    inside, stride = start, 0.25 * step
    for _ in range(400):
        if rejected(inside + stride):
            break
        inside += stride
    else:
        return math.copysign(math.inf, step)
    outside = inside + stride
    while abs(outside - inside) > 1e-6 * abs(step):
        middle = 0.5 * (inside + outside)
        inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
    return outside


def _level(confidence: float) -> float:
    """1 - confidence without what binary fractions add: 1 - 0.95 exceeds 0.05, and would skip an order statistic."""
    return round(1 - confidence, 12)


def bootstrap_interval(
    estimate: float, std_error: float, draws: Array, statistics: Array, *, kind: str, confidence: float
) -> tuple[float, float]:
    """``percentile``, ``basic`` or ``percentile_t`` interval; draws ``[n_draws]``, NaN where not identified.

    Quantiles are order statistics (inverse of the empirical distribution). Source: Davison and Hinkley (1997, 5.2).
    """
    alpha = _level(confidence)
    levels = [alpha / 2, 1 - alpha / 2]
    if kind == "percentile_t":
        known = statistics[np.isfinite(statistics)]
        if not len(known):
            return math.nan, math.nan
        low, high = np.quantile(known, levels, method="inverted_cdf")
        return estimate - high * std_error, estimate - low * std_error
    known = draws[np.isfinite(draws)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, levels, method="inverted_cdf")
    return (2 * estimate - high, 2 * estimate - low) if kind == "basic" else (float(low), float(high))


def n_assignments(classes: Integers, strata: Integers | None) -> int:
    """Distinct ways to deal the classes to the units within strata."""
    stratum = np.zeros(len(classes), dtype=np.int32) if strata is None else strata
    total = 1
    for number in np.unique(stratum):
        own = classes[stratum == number]
        ways = math.factorial(len(own))
        for size in np.unique(own, return_counts=True)[1]:
            ways //= math.factorial(int(size))
        total *= ways
    return total


def all_assignments(classes: Integers, strata: Integers | None) -> Integers:
    """Every distinct assignment ``[n_assignments, n_units]``; count them with `n_assignments` first."""
    stratum = np.zeros(len(classes), dtype=np.int32) if strata is None else strata
    blocks = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    out = [np.empty(len(classes), dtype=np.int32)]
    for units in blocks:
        ways = list(_arrangements(np.sort(classes[units]).tolist()))
        out = [_with(row, units, way) for row in out for way in ways]
    return np.stack(out)


def _with(row: Integers, units: Any, way: list[int]) -> Integers:
    copy = row.copy()
    copy[units] = way
    return copy


def _arrangements(items: list[int]) -> Iterator[list[int]]:
    """Distinct orders of a sorted list: places for the first value, then the rest in what is left."""
    if not items:
        yield []
        return
    first, count = items[0], items.count(items[0])
    rest = items[count:]
    for places in combinations(range(len(items)), count):
        taken = set(places)
        for tail in _arrangements(rest):
            left = iter(tail)
            yield [first if place in taken else next(left) for place in range(len(items))]
