"""p-values of many coefficients together: the chance of one false rejection or more among them is bounded.

With |t| of M coefficients in descending order and u_j the largest |t*| of a draw among those from place j on,

    p_j = max over k <= j of (1 + #{u_k >= |t_k|}) / (1 + B),

so that the dependence between coefficients, which every draw has, is used. From permutations this is the free
step-down of Westfall and Young (1993), from bootstraps centred on the sample the one of Romano and Wolf (2005).
`holm_p` (Holm 1979) needs the single p-values alone.

The bound of the step-down supposes that the draws of coefficients whose null is true do not depend on the others being
true (subset pivotality): so it is with bootstraps, and with permutations where no city's treatment has any effect; an
effect after adoption may touch what permutations say of the event years before.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.infer.summary import EXTREME


def step_down_p(observed: Array, draws: Array, single: Array | None = None, *, exact: bool = False) -> Array:
    """Adjusted p-values ``[M]`` of t ratios ``[M]``.

    Parameters
    ----------
    observed : float64 ``[M]``
    draws : float64 ``[n_draws, M]``
        Those that lack a coefficient (NaN) are left out.
    single : float64 ``[M]``, optional
        p-values of the coefficients by themselves, of all draws that have each: none is adjusted to less.
    exact : bool
        The draws are all assignments, the one that happened among them.
    """
    complete = draws[np.isfinite(draws).all(axis=1)]
    if not len(complete) or not np.isfinite(observed).all():
        return np.full(len(observed), np.nan)
    order = np.argsort(-np.abs(observed), kind="stable")
    largest = np.maximum.accumulate(np.abs(complete[:, order[::-1]]), axis=1)[:, ::-1]
    n_extreme = (largest >= np.abs(observed[order]) * EXTREME).sum(axis=0)
    n_observed = 0 if exact else 1  # the sample itself counts as a draw, unless it is among them
    p = (n_observed + n_extreme) / (n_observed + len(complete))
    p = np.maximum.accumulate(p if single is None else np.maximum(p, single[order]))
    adjusted = np.empty(len(observed))
    adjusted[order] = p
    return adjusted


def holm_p(p_values: Array) -> Array:
    """Adjusted p-values ``[M]`` by Bonferroni's step-down of Holm (1979)."""
    m = len(p_values)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * (m - np.arange(m))))
    return adjusted
