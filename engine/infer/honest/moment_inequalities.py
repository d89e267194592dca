"""Which values of a weighted sum of effects a set of differences in trends leaves possible.

With delta = beta - (0, tau) in the polyhedron A delta <= d, a value theta of l'tau is possible where some x solves

    E[Y(theta) - X x] <= 0,   Y(theta) = A beta - d - A_post l theta / l'l,   X = A_post N,   N a basis of what l leaves

and the statistic is the least eta with Y - X x <= eta sigma, sigma the standard deviations of Y. By duality it is the
largest v'Y over v >= 0 with X'v = 0 and v'sigma = 1, a polytope that does not depend on theta: its corners are found
once, and statistic, the interval on which the same corner stays the best, and least favourable critical value are sums
over corners, for all theta together. Source: Andrews, Roth and Pakes (2023), Inference for Linear Conditional Moment
Inequalities, Review of Economic Studies 90(6): the hybrid of their conditional and their least favourable test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize
from scipy.special import gammaincc, gammainccinv, ndtr, ndtri

from engine.arrays import Array, Flags
from engine.infer.honest.restrictions import Polyhedron
from engine.infer.simultaneous import even_directions

_FIRST_STAGE = 0.1  # share of the test's size that the least favourable test takes first
_NOTHING = 1e-9


@dataclass(frozen=True)
class Coefficients:
    """Estimates of an event study.

    Attributes
    ----------
    values : float64 ``[n]``
    matrix : float64 ``[n, n]``
        Their covariance.
    after : bool ``[n]``
        In which an effect is possible.
    weights : float64 ``[n_after]``
        Of the effects in the sum that is asked for.
    """

    values: Array
    matrix: Array
    after: Flags
    weights: Array

    @property
    def estimate(self) -> float:
        """The sum with parallel trends."""
        return float(self.weights @ self.values[self.after])

    @property
    def std_error(self) -> float:
        """Of `estimate`."""
        return float(np.sqrt(self.weights @ self.matrix[np.ix_(self.after, self.after)] @ self.weights))


@dataclass(frozen=True)
class HybridTest:
    """The test of values of a weighted sum of effects under one polyhedron.

    Attributes
    ----------
    coefficients : Coefficients
    polyhedron : Polyhedron
    size : float
        Probability of rejecting a value that is possible.
    """

    coefficients: Coefficients
    polyhedron: Polyhedron
    size: float

    def accepts(self, values: Array) -> Flags:
        """Which of these values ``[n]`` are not rejected."""
        corners, weighted = self._corners, self._corners @ self._covariance
        at_zero, slope = corners @ self._at_zero, corners @ self._by_value
        of_corners = at_zero[:, None] - slope[:, None] * values  # [n_corners, n]
        best = of_corners.argmax(axis=0)
        eta = of_corners[best, np.arange(len(values))]
        accepted = eta <= 0  # no critical value is below zero
        for corner in np.unique(best[~accepted]):
            there = ~accepted & (best == corner)
            variance = float(weighted[corner] @ corners[corner])
            if variance <= _NOTHING**2:
                continue
            share = weighted @ corners[corner] / variance  # of each corner's value in that of the best
            low, high = _truncation(share, of_corners[:, there] - share[:, None] * eta[there])
            accepted[there] = self._accepts(eta[there], np.sqrt(variance), low, high)
        return accepted

    def _accepts(self, eta: Array, deviation: float, low: Array, high: Array) -> Flags:
        """Of statistics that are normal with this deviation, between two values."""
        first, least_favourable = _FIRST_STAGE * self.size, self._least_favourable
        second = (self.size - first) / (1 - first)
        high = np.minimum(high, least_favourable)
        critical = deviation * truncated_quantile(1 - second, low / deviation, high / deviation)
        return (eta <= least_favourable) & (eta <= np.maximum(critical, 0.0))

    @cached_property
    def _rows(self) -> Array:
        """Inequalities that effects are in ``[m, n]``; the others are of estimates alone."""
        return self.polyhedron.rows[self._in_effects]

    @cached_property
    def _in_effects(self) -> Flags:
        return np.abs(self.polyhedron.rows[:, self.coefficients.after]).max(axis=1) > _NOTHING

    @cached_property
    def _at_zero(self) -> Array:
        """Y where the sum is zero, ``[m]``."""
        return self._rows @ self.coefficients.values - self.polyhedron.bounds[self._in_effects]

    @cached_property
    def _by_value(self) -> Array:
        """Loss of Y for each unit of the sum, ``[m]``."""
        weights = self.coefficients.weights
        return self._rows[:, self.coefficients.after] @ weights / (weights @ weights)

    @cached_property
    def _covariance(self) -> Array:
        return self._rows @ self.coefficients.matrix @ self._rows.T

    @cached_property
    def _corners(self) -> Array:
        """``[n_corners, m]``, see the head of the module."""
        weights = self.coefficients.weights
        _, _, directions = np.linalg.svd(weights[None])
        free = self._rows[:, self.coefficients.after] @ directions[1:].T
        rays = extreme_rays(free)
        return rays / (rays @ np.sqrt(np.diag(self._covariance)))[:, None]

    @cached_property
    def _least_favourable(self) -> float:
        """Critical value of the first stage: all inequalities hold with equality."""
        eigenvalues, vectors = np.linalg.eigh(self._covariance)
        present = eigenvalues > eigenvalues[-1] * 1e-12
        root = vectors[:, present] * np.sqrt(eigenvalues[present])
        rank = root.shape[1]
        directions = even_directions(rank)
        largest = (directions @ (self._corners @ root).T).max(axis=1)
        largest = largest[largest > 0]
        first = _FIRST_STAGE * self.size

        def excess(critical: float) -> float:
            above = gammaincc(rank / 2, (critical / largest) ** 2 / 2).sum() / len(directions)
            return first - float(above)

        if not len(largest):
            return 0.0
        highest = float(largest.max() * np.sqrt(2 * gammainccinv(rank / 2, first)))
        return float(optimize.brentq(excess, 0.0, highest * (1 + 1e-9)))


def _truncation(share: Array, rest: Array) -> tuple[Array, Array]:
    """Between which values of the best corner's it stays the best, ``[n]`` each; ``rest`` ``[n_corners, n]``.

    Corner v has the value rest_v + share_v c where the best has c.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = rest / (1 - share)[:, None]
    low = np.where((share < 1 - _NOTHING)[:, None], bounds, -np.inf).max(axis=0)
    high = np.where((share > 1 + _NOTHING)[:, None], bounds, np.inf).min(axis=0)
    return low, high


def truncated_quantile(probability: float, low: Array, high: Array) -> Array:
    """Quantile of a standard normal variable that is between ``low`` and ``high``, elementwise."""
    low, high = np.minimum(low, high), high
    flipped = low > 0  # in the upper tail, by the lower one, where no digits are lost
    a, b = np.where(flipped, -high, low), np.where(flipped, -low, high)
    share = np.where(flipped, 1 - probability, probability)
    below, width = ndtr(a), ndtr(b) - ndtr(a)
    quantile = np.clip(ndtri(below + share * width), a, b)
    return np.where(flipped, -quantile, quantile)


def extreme_rays(columns: Array) -> Array:
    """Extreme rays ``[n_rays, m]`` of the v >= 0 with ``columns.T @ v = 0``, by double description.

    Source: Fukuda and Prodon (1996), Double Description Method Revisited; two rays are adjacent where no third has its
    zeros wherever both have theirs.

    >>> extreme_rays(np.array([[1.0], [-1.0], [0.0]]))
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 1. ]])
    """
    rays = np.eye(len(columns))
    for column in columns.T / np.maximum(np.abs(columns).max(axis=0), _NOTHING)[:, None]:
        value = rays @ column
        value[np.abs(value) < _NOTHING] = 0.0
        support = rays > 0
        positive, negative = np.flatnonzero(value > 0), np.flatnonzero(value < 0)
        joined = []
        for a in positive:
            for b in negative:
                outside = ~(support[a] | support[b])
                inside = ~(support & outside).any(axis=1)
                if inside.sum() == 2:  # the two themselves
                    ray = value[a] * rays[b] - value[b] * rays[a]
                    joined.append(ray / ray.sum())
        rays = np.concatenate([np.array(joined).reshape(-1, len(columns)), rays[value == 0]])
    return rays
