"""Joint tests of a specification curve: would cities picked at random give such a curve?

One relabelling of the cities moves every specification at once, so the curve of a draw is a draw of the curve.
Statistics, each of all cells together:

    median_t     the median t ratio
    mean_t       the mean t ratio (Stouffer's combination)
    significant  the share of cells whose sign is that of most and whose |t| exceeds its critical value
    max_t        the largest |t|

The median estimate itself is no statistic: where adopters are more volatile than other cities, estimates of the cities
that happened vary more than those of cities at random, and a true null is rejected too often; t ratios allow for that.

p = (1 + number of draws at least as extreme) / (1 + B), two-sided. Source: Simonsohn, Simmons and Nelson (2020), who
resample under the null of each specification; here the null is that adoption was randomly assigned to the cities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.infer.summary import PValue, permutation_p


@dataclass(frozen=True)
class JointTest:
    """One statistic of the curve, its observed value and its p-value."""

    statistic: str
    observed: float
    p: PValue


def curve_statistics(estimate: Array, statistic: Array, critical: Array) -> dict[str, Array]:
    """Statistics of curves ``[n_curves, n_cells]``, each ``[n_curves]``; NaN where a cell of the curve is.

    Parameters
    ----------
    estimate, statistic : float64 ``[n_curves, n_cells]``
        Coefficients and their t ratios.
    critical : float64 ``[n_cells]``
        Critical value of the absolute t ratio of each cell.
    """
    defined = np.isfinite(estimate).all(axis=1) & np.isfinite(statistic).all(axis=1)
    # As many of either sign: the larger share, so that the statistic does not depend on the outcome's sign.
    positive = (estimate > 0).sum(axis=1) - (estimate < 0).sum(axis=1)
    up = ((estimate > 0) & (statistic > critical)).mean(axis=1)
    down = ((estimate < 0) & (statistic < -critical)).mean(axis=1)
    share = np.where(positive == 0, np.maximum(up, down), np.where(positive > 0, up, down))
    statistics = {
        "median_t": np.median(statistic, axis=1),
        "mean_t": statistic.mean(axis=1),
        "significant": share,
        "max_t": np.abs(statistic).max(axis=1),
    }
    return {name: np.where(defined, values, np.nan) for name, values in statistics.items()}


def joint_tests(
    estimate: Array,
    statistic: Array,
    critical: Array,
    drawn_estimate: Array,
    drawn_statistic: Array,
    *,
    exact: bool = False,
) -> tuple[JointTest, ...]:
    """Each statistic of the observed curve ``[n_cells]`` beside those of the draws ``[n_draws, n_cells]``.

    Draws in which a cell is not identified are left out; ``exact`` where the draws are all assignments.
    """
    observed = curve_statistics(estimate[None], statistic[None], critical)
    drawn = curve_statistics(drawn_estimate, drawn_statistic, critical)
    return tuple(
        JointTest(name, float(values[0]), permutation_p(float(values[0]), drawn[name], exact=exact))
        for name, values in observed.items()
    )
