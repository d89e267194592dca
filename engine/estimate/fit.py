"""Least squares with pair and year effects from moments: the frozen Fit that inference starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.estimate.normal import SMALLEST, Normal, Projected, partial_out_years, refuse_collinear

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Fit:
    """One estimated cell.

    Attributes
    ----------
    names : tuple of str
        Regressors, K of them.
    estimate : float64 ``[K]``
    bread : float64 ``[K, K]``
        Inverse of the regressors' moments after pair and year effects.
    residual, influence : float64 ``[Q - 1]``, ``[Q - 1, K]``
        Coefficients that turn [years | columns with the outcome | terms] of a pair into its residual path
        and into its residualised regressors times the bread (order of `kernels.score_products`).
    city_first, city_second : float64 ``[n_units, K]``
        Influence of the pairs in which a city stands first (second).
    without_city : float64 ``[n_units, K]``
        Coefficients of the leave-one-city-out samples; NaN where one is not identified.
    n_obs, n_pairs, n_units, n_first, n_second : int
        Observations, pairs, cities in them, cities that stand first, second.
    n_parameters : int
        Coefficients and year effects: K + T; pair effects are nested in every cluster.
    r2, r2_within : float
        As fixest defines them.
    """

    names: tuple[str, ...]
    estimate: Array
    bread: Array
    residual: Array
    influence: Array
    city_first: Array
    city_second: Array
    without_city: Array
    n_obs: int
    n_pairs: int
    n_units: int
    n_first: int
    n_second: int
    n_parameters: int
    r2: float
    r2_within: float


@dataclass(frozen=True)
class Stage:
    """What the cells of one pass share: moments, and both projections off the years.

    Attributes
    ----------
    normal : Normal
    full, without : Projected
        Of the full sample, and of each leave-one-city-out sample.
    """

    normal: Normal
    full: Projected
    without: Projected


def stage(normal: Normal) -> Stage:
    """Project the full sample and the leave-one-city-out samples off the years, once for all cells."""
    return Stage(
        normal,
        partial_out_years(normal.total, normal.n_years, balanced=normal.balanced),
        partial_out_years(normal.without_city(), normal.n_years, balanced=normal.balanced),
    )


def fit(stage: Stage, regressors: tuple[str, ...]) -> Fit:
    """Ordinary least squares of the outcome on some of the stage's regressors, with pair and year effects.

    beta = Q_xx^{-1} Q_xy with Q the moments after both effects.

    Raises
    ------
    InputError
        Where a regressor is collinear, or the sample is empty.
    """
    normal, q = stage.normal, stage.full.q
    t, total = normal.n_years, normal.total
    n_pairs, n_obs, mean_sum, mean_square = normal.totals[:, 0].sum(axis=0)
    if n_pairs == 0:
        raise InputError(
            "no pair with at least two observed years is left", remedy="loosen pairs, years or panel.balance"
        )
    index = [normal.names.index(name) for name in regressors]
    refuse_collinear(q[np.ix_(index, index)], np.diag(total)[t:][index], regressors)
    estimate: Array = np.asarray(np.linalg.solve(q[np.ix_(index, index)], q[index, -1]), dtype=np.float64)
    bread: Array = np.asarray(np.linalg.inv(q[np.ix_(index, index)]), dtype=np.float64)
    ssr = q[-1, -1] - estimate @ q[index, -1]
    within = total[-1, -1]
    sst = within + mean_square - mean_sum**2 / n_obs
    first, second, residual, influence = _scores(stage, index, estimate, bread)
    present = normal.totals[:, :, 0] > 0
    return Fit(
        names=regressors,
        estimate=estimate,
        bread=bread,
        residual=residual,
        influence=influence,
        city_first=first,
        city_second=second,
        without_city=_leave_one_out(stage, index),
        n_obs=int(n_obs),
        n_pairs=int(n_pairs),
        n_units=int(present.any(axis=1).sum()),
        n_first=int(present[:, 0].sum()),
        n_second=int(present[:, 1].sum()),
        n_parameters=len(regressors) + int((np.diag(total)[:t] > 0).sum()),
        r2=float(1 - ssr / sst),
        r2_within=float(1 - ssr / q[-1, -1]),
    )


def _scores(
    stage: Stage, index: list[int], estimate: Array, bread: Array
) -> tuple[Array, Array, Array, Array]:
    """City influences, and the coefficients from which pair influences follow.

    With residual e = Z b and residualised regressors r = x - E pi: influence = bread r'e, all linear in the
    city's moment matrix.
    """
    normal, t = stage.normal, stage.normal.n_years
    size = normal.first.shape[-1]
    residual = np.zeros(size)
    residual[-1] = 1.0
    residual[[t + k for k in index]] = -estimate
    on_years = stage.full.on_years
    residual[:t] = -(on_years[:, -1] - on_years[:, index] @ estimate)
    influence = np.zeros((size, len(index)))
    influence[[t + k for k in index]] = bread
    influence[:t] = -on_years[:, index] @ bread
    first, second = ((side @ residual) @ influence for side in (normal.first, normal.second))
    return first, second, residual, influence


def _leave_one_out(stage: Stage, index: list[int]) -> Array:
    """``[n_units, K]`` coefficients without each city; NaN where one is not identified."""
    q = stage.without.q
    normal = stage.normal
    a, b = q[:, index][:, :, index], q[:, index, -1]
    # By the full sample's variation: what a city's removal leaves of a regressor may be rounding, of either sign.
    scale = np.sqrt(np.diag(normal.total)[normal.n_years :][index])
    scaled = a / scale[:, None] / scale
    good = np.linalg.eigvalsh(scaled)[:, 0] > SMALLEST
    out = np.empty(b.shape)
    out[good] = np.linalg.solve(a[good], b[good, :, None])[:, :, 0]
    for unit in np.flatnonzero(~good):
        # A coefficient is identified where its axis is orthogonal to the null space.
        values, vectors = np.linalg.eigh(scaled[unit])
        live, size = vectors[:, values > SMALLEST], values[values > SMALLEST]
        known = (live**2).sum(axis=1) > 1 - 1e-6
        out[unit] = np.where(known, live @ (live.T @ (b[unit] / scale) / size) / scale, np.nan)
    return out
