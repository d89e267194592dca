"""Confidence sets of an effect by the size of the violation allowed, and the size at which its sign is in doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Flags
from engine.infer.honest.fixed_length import fixed_length_interval
from engine.infer.honest.moment_inequalities import Coefficients, HybridTest
from engine.infer.honest.restrictions import EventTimes, Restriction

_STEPS, _FARTHEST = 400, 2.0**20  # points of the grid; standard errors from the estimate to its end
_ROUNDS, _POINTS = 3, 65  # in which an end is looked for, and values tried in each
_LARGEST, _CLOSE = (
    2.0**12,
    1e-4,
)  # of the sizes that are tried, in units of the first one; of the breakdown value


@dataclass(frozen=True)
class Sensitivity:
    """Sets of values of a weighted sum of effects, for every size of a violation.

    Attributes
    ----------
    low, high : float64 ``[n_sizes]``
        Ends; NaN where every value is rejected: the estimates contradict what is assumed.
    breakdown : float
        The largest size with which zero is still rejected; 0 where it is not rejected with size 0, infinite where no
        size was found.
    """

    low: Array
    high: Array
    breakdown: float


def sensitivity(
    coefficients: Coefficients, years: EventTimes, restriction: Restriction, sizes: Array, confidence: float
) -> Sensitivity:
    """`Sensitivity` of a weighted sum of effects.

    Parameters
    ----------
    coefficients : Coefficients
    years : EventTimes
        Consecutive.
    restriction : Restriction
    sizes : float64 ``[n_sizes]``
        Multiples of the largest change before adoption (relative magnitudes), or changes of the slope.
    confidence : float
    """
    question = _Question(coefficients, years, restriction, confidence)
    ends = np.array([question.ends(size) for size in sizes.tolist()]).reshape(-1, 2)
    return Sensitivity(ends[:, 0], ends[:, 1], question.breakdown())


@dataclass(frozen=True)
class _Question:
    coefficients: Coefficients
    years: EventTimes
    restriction: Restriction
    confidence: float

    def ends(self, size: float) -> tuple[float, float]:
        """Least and largest value that is not rejected."""
        if self.restriction.smooth_alone:
            return fixed_length_interval(self.coefficients, self.years, size, self.confidence)
        tests = self._tests(size)
        error = self.coefficients.std_error
        reach = 10 * error
        while True:
            grid = self.coefficients.estimate + np.linspace(-reach, reach, _STEPS + 1)
            accepted = _accepted(tests, grid)
            if reach > _FARTHEST * error or not (accepted[0] or accepted[-1]):
                break
            reach *= 2
        if not accepted.any():
            return float("nan"), float("nan")
        first, last = np.flatnonzero(accepted)[[0, -1]].tolist()
        low = -np.inf if first == 0 else _edge(tests, grid[first - 1], grid[first])
        high = np.inf if last == len(grid) - 1 else _edge(tests, grid[last + 1], grid[last])
        return low, high

    def breakdown(self) -> float:
        """See `Sensitivity`."""
        unit = self.coefficients.std_error if self.restriction.kind == "smoothness" else 1.0
        if not self._excludes_zero(0.0):
            return 0.0
        low, high = 0.0, unit
        while self._excludes_zero(high):
            if high > _LARGEST * unit:
                return float("inf")
            low, high = high, 2 * high
        while high - low > _CLOSE * unit:
            middle = (low + high) / 2
            low, high = (middle, high) if self._excludes_zero(middle) else (low, middle)
        return low or float(np.finfo(np.float64).tiny)  # with size 0 it is rejected

    def _excludes_zero(self, size: float) -> bool:
        if self.restriction.smooth_alone:
            low, high = self.ends(size)
            return low > 0 or high < 0
        return not bool(_accepted(self._tests(size), np.zeros(1))[0])

    def _tests(self, size: float) -> list[HybridTest]:
        polyhedra = self.restriction.polyhedra(self.years, size)
        return [HybridTest(self.coefficients, polyhedron, 1 - self.confidence) for polyhedron in polyhedra]


def _accepted(tests: list[HybridTest], values: Array) -> Flags:
    """Values ``[n]`` that some of the polyhedra leave possible."""
    return np.any([test.accepts(values) for test in tests], axis=0)


def _edge(tests: list[HybridTest], rejected: float, accepted: float) -> float:
    """Where rejection ends, between a value that is rejected and one that is not."""
    for _ in range(_ROUNDS):
        between = np.linspace(rejected, accepted, _POINTS)
        last = np.flatnonzero(~_accepted(tests, between))[-1]
        rejected, accepted = between[last : last + 2].tolist()
    return accepted
