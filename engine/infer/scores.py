"""Bootstraps that need no pass over the pairs: multipliers on city scores, wild clusters under the null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, check_shape
from engine.estimate.normal import Normal, moment_inverse
from engine.infer.summary import t_ratio


@dataclass(frozen=True)
class Resampling:
    """Variances that bootstrap schemes estimate: sums over cities and over pairs of squared influences.

    Under idiosyncratic pair noise alone the three targets are 3 : 2 : 1; the dyadic variance is node - pair.

    Attributes
    ----------
    node, pair : float64 ``[K]``
        sum_c psi_c^2 and sum_p psi_p^2. The node bootstrap estimates node + pair, additive multipliers
        node, the dyadic-robust variance node - pair.
    """

    node: Array
    pair: Array


def decomposition(city: Array, pair_meat: Array) -> Resampling:
    """From city influences ``[n_units, K]`` and the pair meat ``[K, K]``."""
    return Resampling((city**2).sum(axis=0), np.diag(pair_meat).copy())


def multiplier_draws(estimate: Array, city: Array, multipliers: Array) -> tuple[Array, Array]:
    """b + sum_c v_c psi_c, and its t ratio with the draw's own city sums.

    Parameters
    ----------
    estimate : float64 ``[K]``
    city : float64 ``[n_units, K]``
    multipliers : float64 ``[n_draws, n_units]``
    """
    check_shape("city", city, (None, len(estimate)))
    check_shape("multipliers", multipliers, (None, len(city)))
    shift = multipliers @ city
    spread = np.sqrt((multipliers**2) @ (city**2))
    return estimate + shift, t_ratio(shift, spread)


def wild_statistics(
    normal: Normal, regressors: tuple[int, ...], tested: int, signs: Array
) -> tuple[float, Array]:
    """t ratios of the wild cluster bootstrap with the null imposed; clusters are first cities.

    With restricted residuals u, cluster scores s_c = r_c'u_c and J_c = r_c'X_c (X with the year dummies),
    a draw's scores are S*_c = v_c s_c - J_c A^{-1} sum_d v_d X_d'u_d. They sum to zero, as those of any fit do;
    the draw's coefficient is sum_c v_c s_c, and t* = sum_c v_c s_c / sqrt(sum_c S*_c^2). Everything is read off
    the cities' moment matrices. Source: Roodman, MacKinnon, Nielsen and Webb (2019).

    Parameters
    ----------
    normal : Normal
    regressors : tuple of int
        Positions in ``normal.names``.
    tested : int
        Position in ``regressors``.
    signs : float64 ``[n_draws, n_units]``

    Returns
    -------
    float, float64 ``[n_draws]``
        The observed t ratio with the null's residuals replaced by the sample's, and the draws'.
    """
    t, total = normal.n_years, normal.total
    years = np.flatnonzero(np.diag(total)[:t] > 0)[1:]
    rows = np.concatenate([years, t + np.asarray(regressors)])
    place = len(years) + tested
    inverted = moment_inverse(total[np.ix_(rows, rows)])
    direction = inverted[place]  # r = X A^{-1} e: scores r'u are influences on the tested coefficient
    free_rows = np.delete(rows, place)
    restricted = np.zeros(total.shape[0])
    restricted[-1] = 1.0
    inverted_free = moment_inverse(total[np.ix_(free_rows, free_rows)])
    restricted[free_rows] = -inverted_free @ total[free_rows, -1]
    unrestricted = np.zeros(total.shape[0])
    unrestricted[-1] = 1.0
    unrestricted[rows] = -inverted @ total[rows, -1]
    cluster = normal.first[:, rows]  # [n_units, R, Q]: X_c'Z_c
    in_sample = normal.totals[:, 0, 0] > 0
    scores = (cluster @ restricted)[in_sample]
    influence = scores @ direction
    spill = (cluster[:, :, rows] @ direction)[in_sample]
    v = signs[:, in_sample]
    drawn = v * influence - (v @ scores) @ inverted @ spill.T
    observed = (cluster @ unrestricted)[in_sample] @ direction
    beta = float((inverted @ total[rows, -1])[place])
    spread = np.sqrt((observed**2).sum()), np.sqrt((drawn**2).sum(axis=1))
    return float(t_ratio(beta, spread[0])), t_ratio(v @ influence, spread[1])
