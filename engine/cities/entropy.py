"""Entropy-weighted composite index: indicators that differ more across city-years weigh more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.errors import InputError

_ROUNDING = 1e-12  # a relative range below this is arithmetic on a constant, not data


@dataclass(frozen=True)
class EntropyIndex:
    """A composite index and how it came about.

    Attributes
    ----------
    names : tuple of str
        Indicators, the order of every ``[n_indicators]`` axis.
    weights : float64 ``[n_indicators]``
        w_j, in [0, 1], summing to one.
    entropies : float64 ``[n_indicators]``
        e_j, in [0, 1].
    divergence : float64 ``[n_indicators]``
        1 - e_j.
    minimum, maximum : float64 ``[n_indicators]``
        Of each indicator over the pool, in its own unit.
    index : float64 ``[n_units, n_years]``
        d_it, in [0, 1]; NaN where an indicator is missing.
    """

    names: tuple[str, ...]
    weights: Array
    entropies: Array
    divergence: Array
    minimum: Array
    maximum: Array
    index: Array


def entropy_index(indicators: Array, *, negative: Sequence[bool], names: Sequence[str]) -> EntropyIndex:
    """Entropy index with weights pooled over all city-years.

    x'_rj = (x_rj - min_j) / (max_j - min_j), or (max_j - x_rj) / (max_j - min_j) where less is better;
    S_j = sum_r x'_rj; H_j = ln S_j - sum_r x'_rj ln x'_rj / S_j with 0 ln 0 = 0; e_j = H_j / ln n;
    w_j = (1 - e_j) / sum_k (1 - e_k); d_r = sum_j w_j x'_rj. The weights are the shares of the Theil
    indices ln n - H_j of the scaled indicators.

    Parameters
    ----------
    indicators : float64 ``[n_units, n_years, n_indicators]``
        In any unit: positive affine maps change nothing. City-years with a NaN stay out of the pool.
    negative : sequence of bool ``[n_indicators]``
        Indicators for which less is better.
    names : sequence of str ``[n_indicators]``
        For messages and the result.

    Raises
    ------
    InputError
        For an indicator that is constant or infinite, and for fewer than two complete city-years.

    References
    ----------
    Shannon (1948), Bell System Technical Journal 27: 379-423, for H; Theil (1967), Economics and
    Information Theory, for ln n - H.
    """
    complete = ~np.isnan(indicators).any(axis=2)
    pool = indicators[complete]
    if len(pool) < 2:
        raise InputError(
            f"the index needs city-years with all of {', '.join(names)}, but {len(pool)} have them",
            where="index",
            remedy="choose other years or indicators, or fill gaps with panel.fill",
        )
    minimum, maximum = pool.min(axis=0), pool.max(axis=0)
    for name, low, high in zip(names, minimum, maximum, strict=True):
        if not np.isfinite(low) or not np.isfinite(high):
            raise InputError(
                f"indicator '{name}' has an infinite value", where="index", remedy="mend the cell"
            )
        if high - low <= _ROUNDING * max(abs(low), abs(high)):
            raise InputError(
                f"indicator '{name}' is constant ({low:g} in all {len(pool)} city-years): no weight",
                where="index",
                remedy="leave it out of the index",
            )
    flip = np.asarray(negative, dtype=bool)
    scaled = np.where(flip, maximum - pool, pool - minimum) / (maximum - minimum)
    total = scaled.sum(axis=0)
    information = (scaled * np.log(np.where(scaled > 0, scaled, 1.0))).sum(axis=0)
    entropies = (np.log(total) - information / total) / np.log(len(pool))
    divergence = 1.0 - entropies
    weights = divergence / divergence.sum()
    index = np.full(complete.shape, np.nan)
    index[complete] = scaled @ weights
    return EntropyIndex(tuple(names), weights, entropies, divergence, minimum, maximum, index)
