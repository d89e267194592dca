"""Least squares with pair and year effects from type sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.arrays import Array
from engine.errors import InputError
from engine.estimate.estimate import Estimate, exactness, explained
from engine.estimate.normal import (
    SMALLEST,
    Normal,
    Projected,
    inverse,
    lengths,
    partial_out_years,
    refuse_collinear,
)
from engine.estimate.terms import Regression, names_of

_OF_VALUES = 1e-30  # of the outcome's variation: the squares of its own rounding
LOOSEN = "loosen years or the filters of pairs, or fill what is missing; `dyadid check` counts both"
_LEFT = 1e-13  # of a sum of squares: what subtraction may leave of one that is zero


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

    @cached_property
    def all_identified(self) -> bool:
        """True where every leave-one-city-out sample identifies all regressors together, and so any of them.

        The smallest eigenvalue of a principal submatrix is no smaller than that of the whole.
        """
        scale = np.sqrt(np.diag(self.normal.total)[self.normal.n_years : -1])
        if not (scale > 0).all():
            return False
        scaled = self.without.q[:, :-1, :-1] / scale[:, None] / scale
        return bool((np.linalg.eigvalsh(scaled)[:, 0] > SMALLEST).all())


def stage(normal: Normal) -> Stage:
    """Project the full sample and the leave-one-city-out samples off the years, once for all cells."""
    return Stage(
        normal,
        partial_out_years(normal.total, normal.n_years, balanced=normal.balanced),
        partial_out_years(normal.without_city(), normal.n_years, balanced=normal.balanced),
    )


def fit(stage: Stage, regression: Regression) -> Estimate:
    """Least squares, or exactly identified two-stage least squares, with pair and year effects.

    b = Q_wx^{-1} Q_wy with Q the moments after both effects and w the regressors x themselves, or the instrument
    that stands for each of them. ``r2`` is NaN where a term is in place of the outcome.

    Raises
    ------
    InputError
        Where a regressor is collinear, or the sample is empty.
    """
    normal, q = stage.normal, stage.full.q
    t, total = normal.n_years, normal.total
    if not normal.totals[:, 0, 0].any():
        raise InputError("no pair with at least two observed years is left", remedy=LOOSEN)
    regressors, instruments = regression.regressors, regression.instruments or regression.regressors
    index, stand = normal.positions(regressors), normal.positions(instruments)
    for chosen, terms in {index: regressors, stand: instruments}.items():
        refuse_collinear(q[np.ix_(chosen, chosen)], np.diag(total)[t:][list(chosen)], names_of(terms))
    y = len(normal.terms) if regression.outcome is None else normal.positions([regression.outcome])[0]
    bread = inverse(
        q[np.ix_(stand, index)], lengths(np.diag(q)[list(stand)]), lengths(np.diag(q)[list(index)])
    )
    values: Array = bread @ q[stand, y]
    ssr = float(q[y, y] - 2 * values @ q[index, y] + values @ q[np.ix_(index, index)] @ values)
    of_outcome = 0.0 if regression.outcome else _OF_VALUES * normal.outcome_variation
    rounding = max(_LEFT * float(total[t + y, t + y]), of_outcome)
    exact = exactness(ssr, float(q[y, y]), rounding, _LEFT)
    if exact == "effects":
        values = np.zeros_like(values)
    residual, weight = stage.full.paths(
        values[None], bread.T, regressors=index, instruments=stand, outcomes=[y]
    )
    # Influence is weights' residual, both linear in the columns, so that the city's moments give its sum.
    first, second = ((side @ residual[0]) @ weight for side in (normal.first, normal.second))
    return Estimate(
        terms=regressors,
        values=values,
        city_first=first,
        city_second=second,
        without_city=_leave_one_out(stage, index, stand, y),
        pair_meat=np.full_like(bread, np.nan),
        reciprocal_meat=np.full_like(bread, np.nan),
        residual_path=residual[0],
        weight_path=weight,
        **_counts(normal, len(regressors)),
        r2=explained(ssr, np.nan if regression.outcome else normal.outcome_variation),
        r2_within=np.nan if exact == "effects" else explained(ssr, float(q[y, y])),
        exact=exact,
    )


def _counts(normal: Normal, n_regressors: int) -> dict[str, int]:
    """Sizes of the sample; pair effects are nested in every cluster, year effects in none."""
    n_pairs, n_obs = normal.totals[:, 0, :2].sum(axis=0)
    present = normal.totals[:, :, 0] > 0
    n_parameters = n_regressors + int((np.diag(normal.total)[: normal.n_years] > 0).sum())
    return {
        "n_obs": int(n_obs),
        "n_pairs": int(n_pairs),
        "n_units": int(present.any(axis=1).sum()),
        "n_first": int(present[:, 0].sum()),
        "n_second": int(present[:, 1].sum()),
        "n_parameters": n_parameters,
        "n_parameters_city": n_parameters,
    }


def _leave_one_out(stage: Stage, regressors: tuple[int, ...], instruments: tuple[int, ...], y: int) -> Array:
    """``[n_units, K]`` coefficients without each city; NaN where one is not identified."""
    q, index, stand = stage.without.q, list(regressors), list(instruments)
    # By the full sample's variation: what a city's removal leaves of a regressor may be rounding, of either sign.
    scale = np.sqrt(np.diag(stage.normal.total)[stage.normal.n_years :][index])
    a, b = q[:, stand][:, :, index], q[:, stand, y]
    if stand == index and stage.all_identified:
        scaled = a / scale[:, None] / scale
        return np.asarray(np.linalg.solve(scaled, (b / scale)[:, :, None])[:, :, 0] / scale)
    if stand == index:
        return solve_identified(a, b, scale)
    size = np.sqrt(np.diag(stage.normal.total)[stage.normal.n_years :][stand])
    scaled = a / size[:, None] / scale
    out = np.full(b.shape, np.nan)
    good = np.linalg.svd(scaled, compute_uv=False)[:, -1] > SMALLEST
    out[good] = np.linalg.solve(scaled[good], (b / size)[good, :, None])[:, :, 0] / scale
    return out


def solve_identified(a: Array, b: Array, scale: Array) -> Array:
    """Coefficients a^{-1} b of several samples; NaN where one is not identified.

    Parameters
    ----------
    a, b : float64 ``[n_samples, K, K]``, ``[n_samples, K]``
    scale : float64 ``[K]``
        Length that a regressor may be expected to have.
    """
    scaled = a / scale[:, None] / scale
    good = np.linalg.eigvalsh(scaled)[:, 0] > SMALLEST
    out = np.empty(b.shape)
    out[good] = np.linalg.solve(scaled[good], (b / scale)[good, :, None])[:, :, 0] / scale
    for sample in np.flatnonzero(~good):
        # A coefficient is identified where its axis is orthogonal to the null space.
        values, vectors = np.linalg.eigh(scaled[sample])
        live, size = vectors[:, values > SMALLEST], values[values > SMALLEST]
        known = (live**2).sum(axis=1) > 1 - 1e-6
        out[sample] = np.where(known, live @ (live.T @ (b[sample] / scale) / size) / scale, np.nan)
    return out
