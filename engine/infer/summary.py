"""From draws to p-values and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from engine.arrays import AnyIntegers, Array, Integers

EXTREME = 1 - 1e-10
"""Of the observed statistic: what a draw must reach, since the same assignment may be summed in another order."""


@dataclass(frozen=True)
class PValue:
    """A Monte Carlo p-value, its standard error from the number of draws, and the draws that counted."""

    value: float
    error: float
    draws: int


def t_ratio(estimate: float | Array, std_error: float | Array) -> Array:
    """Estimate over standard error; NaN where that is zero, since its size is unknown."""
    estimate, std_error = np.asarray(estimate, dtype=np.float64), np.asarray(std_error, dtype=np.float64)
    shape = np.broadcast_shapes(estimate.shape, std_error.shape)
    return np.divide(estimate, std_error, out=np.full(shape, np.nan), where=std_error > 0)


def permutation_p(observed: float, draws: Array, *, exact: bool = False) -> PValue:
    """Two-sided p = (1 + #{|T*| >= |T|}) / (1 + B); the share itself where the draws are all assignments.

    Draws that do not identify the statistic (NaN) are left out. Source: Phipson and Smyth (2010).
    """
    identified = draws[np.isfinite(draws)]
    if not math.isfinite(observed) or not len(identified):
        return PValue(math.nan, math.nan, len(identified))
    extreme = int((np.abs(identified) >= abs(observed) * EXTREME).sum())
    if exact:
        return PValue(extreme / len(identified), 0.0, len(identified))
    p = (1 + extreme) / (1 + len(identified))
    return PValue(p, math.sqrt(p * (1 - p) / (1 + len(identified))), len(identified))


def equal_tailed_p(observed: float, draws: Array) -> PValue:
    """Twice the smaller of both one-sided p = (1 + #{T* <= T}) / (1 + B) and (1 + #{T* >= T}) / (1 + B), at most 1.

    Draws that do not identify the statistic (NaN) are left out.
    """
    identified = draws[np.isfinite(draws)]
    if not math.isfinite(observed) or not len(identified):
        return PValue(math.nan, math.nan, len(identified))
    rounding = abs(observed) * (1 - EXTREME)
    tails = (identified <= observed + rounding).sum(), (identified >= observed - rounding).sum()
    n_draws = 1 + len(identified)
    one_sided = (1 + int(min(tails))) / n_draws
    error = 2 * math.sqrt(one_sided * (1 - one_sided) / n_draws)
    return PValue(min(1.0, 2 * one_sided), error, len(identified))


def max_statistic_p(observed: Array, draws: Array, *, exact: bool = False) -> PValue:
    """Joint p-value of several coefficients by the largest |t|; ``draws`` ``[n_draws, n_terms]``."""
    return permutation_p(float(np.abs(observed).max()), np.abs(draws).max(axis=1), exact=exact)


def level_of(confidence: float) -> float:
    """1 - confidence without what binary fractions add: 1 - 0.95 exceeds 0.05, and would skip an order statistic."""
    return round(1 - confidence, 12)


def bootstrap_interval(
    estimate: float, std_error: float, draws: Array, statistics: Array, *, kind: str, confidence: float
) -> tuple[float, float]:
    """``percentile``, ``basic`` or ``percentile_t`` interval; draws ``[n_draws]``, NaN where not identified.

    Quantiles are order statistics (inverse of the empirical distribution). Source: Davison and Hinkley (1997, 5.2).
    """
    alpha = level_of(confidence)
    levels = [alpha / 2, 1 - alpha / 2]
    if kind == "percentile_t":
        identified = statistics[np.isfinite(statistics)]
        if not len(identified):
            return math.nan, math.nan
        low, high = np.quantile(identified, levels, method="inverted_cdf")
        return estimate - high * std_error, estimate - low * std_error
    identified = draws[np.isfinite(draws)]
    if not len(identified):
        return math.nan, math.nan
    low, high = np.quantile(identified, levels, method="inverted_cdf")
    return (2 * estimate - high, 2 * estimate - low) if kind == "basic" else (float(low), float(high))


def n_assignments(classes: Integers, strata: Integers | None) -> int:
    """Distinct ways to assign the classes to the units within strata."""
    stratum = np.zeros(len(classes), dtype=np.int32) if strata is None else strata
    total = 1
    for number in np.unique(stratum):
        in_stratum = classes[stratum == number]
        ways = math.factorial(len(in_stratum))
        for size in np.unique(in_stratum, return_counts=True)[1]:
            ways //= math.factorial(int(size))
        total *= ways
    return total


def all_assignments(classes: Integers, strata: Integers | None) -> Integers:
    """Every distinct assignment ``[n_assignments, n_units]``; count them with `n_assignments` first."""
    stratum = np.zeros(len(classes), dtype=np.int32) if strata is None else strata
    blocks = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    assignments = [np.empty(len(classes), dtype=np.int32)]
    for units in blocks:
        orders = list(_arrangements(np.sort(classes[units]).tolist()))
        assignments = [_assigned(row, units, order) for row in assignments for order in orders]
    return np.stack(assignments)


def _assigned(row: Integers, units: AnyIntegers, order: list[int]) -> Integers:
    copy = row.copy()
    copy[units] = order
    return copy


def _arrangements(values: list[int]) -> Iterator[list[int]]:
    """Distinct orders of a sorted list: places for the first value, then the others in the places that remain."""
    if not values:
        yield []
        return
    first, count = values[0], values.count(values[0])
    for places in combinations(range(len(values)), count):
        taken_places = set(places)
        for order in _arrangements(values[count:]):
            remaining = iter(order)
            yield [first if place in taken_places else next(remaining) for place in range(len(values))]
