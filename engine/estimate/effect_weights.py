"""Weights that two-way fixed effects give to the effects of treated cells, and how much heterogeneity they allow.

The coefficient is b = sum over cells of w_c times the effect in the cell, cells of a treatment path and a year, with

    w_c = D_c sum of r_pt / sum of D_pt r_pt ,   r the residual of treatment D after effects and controls

Weights add up to one and may be negative. With s_c the cell's share of treated pair-years and W_c = w_c / s_c,

    sigma_zero     = |b| / sqrt(sum s_c (W_c - 1)^2)        least standard deviation of effects whose mean is zero
    sigma_reversed = |b| / sqrt(T + S^2 / (1 - P))          ... whose signs are all against that of b

with P, S and T the sums of s, s W and s W^2 over the smallest W, from the first W_(i) < -S_i / (1 - P_i) on.
Source: de Chaisemartin and D'Haultfoeuille (2020), Two-way fixed effects estimators with heterogeneous treatment
effects, theorem 1 and corollary 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.estimate.normal import expand
from engine.pairs.moments import Layout


@dataclass(frozen=True)
class EffectWeights:
    """Weights of treated cells.

    Attributes
    ----------
    paths : float64 ``[n_paths, T]``
        Distinct treatment paths that are treated in some year.
    rows : float64 ``[n_paths, T]``
        Pair-years of the path in the year.
    weights : float64 ``[n_paths, T]``
        Zero where the path is not treated.
    """

    paths: Array
    rows: Array
    weights: Array


def effect_weights(
    layout: Layout, sums: Array, paths: Array, weight_path: Array, treatment: Array
) -> EffectWeights:
    """Weights in the coefficient of a regression on sums of complete pairs.

    Parameters
    ----------
    layout : Layout
    sums : float64 ``[n_types, size]``
        Pair statistics by type.
    paths : float64 ``[n_types, T, r]``
        Of all terms of the pass.
    weight_path : float64 ``[Q]``
        Of the treatment's coefficient, see `Estimate`.
    treatment : float64 ``[n_types, T]``
        Path of the treatment.
    """
    n_years = layout.n_years
    matrix, _ = expand(layout, sums[:, None], paths[:, None])
    residuals = matrix[:, :n_years] @ weight_path
    treated = treatment[(sums[:, 0] > 0) & (treatment != 0).any(axis=1)]
    distinct_paths = np.unique(treated, axis=0)
    of_path = (treatment == distinct_paths[:, None]).all(axis=2).astype(np.float64)  # [n_paths, n_types]
    n_rows = np.repeat((of_path @ sums[:, 0])[:, None], n_years, axis=1)
    return EffectWeights(distinct_paths, n_rows, distinct_paths * (of_path @ residuals))


@dataclass(frozen=True)
class LeastHeterogeneity:
    """Standard deviations of effects that weights allow for: NaN where no heterogeneity does it.

    Attributes
    ----------
    zero : float
        With a mean of zero.
    reversed : float
        With all signs against the coefficient's.
    """

    zero: float
    reversed: float


def least_heterogeneity(coefficient: float, weights: Array, shares: Array) -> LeastHeterogeneity:
    """The least standard deviations, of cells ``[n]`` with their weights and shares of treated pair-years."""
    scaled = weights / shares
    spread = float((shares * (scaled - 1) ** 2).sum())
    zero = abs(coefficient) / np.sqrt(spread) if spread > 0 else np.nan
    if not (weights < 0).any():
        return LeastHeterogeneity(zero, np.nan)
    order = np.argsort(-scaled)
    ordered, of_cells = scaled[order], shares[order]
    share, total, squares = (
        np.cumsum(part[::-1])[::-1] for part in (of_cells, of_cells * ordered, of_cells * ordered**2)
    )
    left = np.maximum(1 - share, np.finfo(np.float64).tiny)
    first = int(np.argmax(ordered < -total / left))
    return LeastHeterogeneity(
        zero, abs(coefficient) / np.sqrt(squares[first] + total[first] ** 2 / left[first])
    )
