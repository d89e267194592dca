"""Leverage of groups of cities: how much of a regression rests on the pairs that a group stands in.

With X the regressors net of all effects, the leverage of a group is the sum of the diagonal of X (X'X)^{-1} X' over the
rows of its pairs: K over all pairs, 2 K over all cities, as each pair has two. Its partial leverage for one coefficient
is the share of its pairs in the sum of squares of that regressor net of effects and of the other regressors. Both say
what a group could do, whatever the outcome; its influence is what it does. Source: MacKinnon, Nielsen and Webb (2023),
Stata Journal 23(4).
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.estimate.many_samples import Tested, batch_fit
from engine.estimate.normal import expand
from engine.pairs.moments import Layout


def group_leverages(layout: Layout, sums: Array, cell: Tested) -> tuple[Array, Array]:
    """Leverages ``[n_groups]``, and partial leverages ``[n_groups, n_tested]``; NaN of what is no coefficient.

    Parameters
    ----------
    layout : Layout
    sums : float64 ``[1 + n_groups, n_types, size]``
        Pair statistics summed by type: of the whole sample, and of the sample without each group.
    cell : Tested
    """
    n_groups = len(sums) - 1
    if not cell.is_regression:
        return np.full(n_groups, np.nan), np.full((n_groups, len(cell.tested)), np.nan)
    every = tuple(range(len(cell.regressors)))
    whole = batch_fit(layout, sums[:1], cell.paths, regressors=cell.regressors, tested=every)
    weights, moments = whole.influence[0], expand(layout, sums, cell.paths[None])[0]
    products = weights.T @ moments @ weights  # of the rows of X (X'X)^{-1}
    squares = np.diagonal(products, axis1=1, axis2=2)
    scale = np.sqrt(np.where(squares[0] > 0, squares[0], 1.0))
    scaled = products / scale[:, None] / scale
    inverse = np.linalg.pinv(scaled[0], hermitian=True)
    rank = np.trace(inverse @ scaled[0])
    with np.errstate(divide="ignore", invalid="ignore"):  # a coefficient that the sample does not identify
        partial = 1.0 - squares[1:] / squares[0]
    return rank - np.trace(inverse @ scaled[1:], axis1=1, axis2=2), partial[:, list(cell.tested)]
