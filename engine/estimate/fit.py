"""Least squares with pair and year effects from moments: the frozen Fit that inference starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from engine.arrays import Array
from engine.errors import InputError
from engine.estimate.normal import (
    SMALLEST,
    Normal,
    Projected,
    inverse,
    lengths,
    partial_out_years,
    refuse_collinear,
)

_OF_VALUES = 1e-30  # of the outcome's variation: the squares of its own rounding
LOOSEN = "loosen years or the filters of pairs, or fill what is missing; `dyadid check` counts both"
_LEFT = 1e-13  # of a sum of squares: what subtraction may leave of one that is zero


@dataclass(frozen=True)
class Fit:
    """One estimated cell.

    Attributes
    ----------
    names : tuple of str
        Regressors, K of them.
    estimate : float64 ``[K]``
    bread : float64 ``[K, K]``
        Inverse of the regressors' moments after all effects.
    city_first, city_second : float64 ``[n_units, K]``
        Influence of the pairs in which a city stands first (second).
    without_city : float64 ``[n_units, K]``
        Coefficients of the leave-one-city-out samples; NaN where one is not identified.
    n_obs, n_pairs, n_units, n_first, n_second : int
        Observations, pairs, cities in them, cities that stand first, second.
    n_parameters, n_parameters_city : int
        Coefficients and effects that are not nested in pairs, or in cities: K + T where the effects are pair
        and year; pair effects are nested in every cluster.
    r2, r2_within : float
        As fixest defines them; NaN where there is nothing to explain.
    exact : str
        ``effects`` where they leave nothing of the outcome (a constant one, say), ``regressors`` where those leave
        nothing: residuals are rounding, and so would be every error. Empty for a proper regression.
    """

    names: tuple[str, ...]
    estimate: Array
    bread: Array
    city_first: Array
    city_second: Array
    without_city: Array
    n_obs: int
    n_pairs: int
    n_units: int
    n_first: int
    n_second: int
    n_parameters: int
    n_parameters_city: int
    r2: float
    r2_within: float
    exact: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class MomentFit(Fit):
    """A fit from moments.

    Attributes
    ----------
    residual, influence : float64 ``[Q - 1]``, ``[Q - 1, K]``
        Coefficients that turn [years | columns with the outcome | terms] of a pair into its residual path
        and into its residualised regressors times the bread (order of `kernels.score_products`).
    """

    residual: Array
    influence: Array


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


def fit(
    stage: Stage,
    regressors: tuple[str, ...],
    *,
    instruments: tuple[str, ...] | None = None,
    outcome: str | None = None,
) -> MomentFit:
    """Least squares of the outcome on some of the stage's regressors, with pair and year effects.

    beta = Q_wx^{-1} Q_wy with Q the moments after both effects and w the regressors themselves, or what stands
    for each of them (two-stage least squares, exactly identified).

    Parameters
    ----------
    stage : Stage
    regressors : tuple of str
    instruments : tuple of str, optional
        As many as regressors, each in its regressor's place.
    outcome : str, optional
        A column or term in place of the outcome; ``r2`` is then NaN.

    Raises
    ------
    InputError
        Where a regressor is collinear, or the sample is empty.
    """
    normal, q = stage.normal, stage.full.q
    t, total = normal.n_years, normal.total
    n_pairs, n_obs = normal.totals[:, 0, :2].sum(axis=0)
    if n_pairs == 0:
        raise InputError("no pair with at least two observed years is left", remedy=LOOSEN)
    index = [normal.names.index(name) for name in regressors]
    stand = [normal.names.index(name) for name in instruments or regressors]
    y = len(normal.names) if outcome is None else normal.names.index(outcome)
    for chosen, names in {tuple(index): regressors, tuple(stand): instruments or regressors}.items():
        refuse_collinear(q[np.ix_(chosen, chosen)], np.diag(total)[t:][list(chosen)], names)
    bread = inverse(q[np.ix_(stand, index)], lengths(np.diag(q)[stand]), lengths(np.diag(q)[index]))
    estimate: Array = bread @ q[stand, y]
    ssr = q[y, y] - 2 * estimate @ q[index, y] + estimate @ q[np.ix_(index, index)] @ estimate
    sst = normal.outcome_variation if outcome is None else np.nan
    of_values = 0.0 if outcome else _OF_VALUES * normal.outcome_variation
    nothing = max(_LEFT * float(total[t + y, t + y]), of_values)
    exact = exactness(float(ssr), float(q[y, y]), nothing, _LEFT)
    if exact == "effects":
        estimate = np.zeros_like(estimate)
    first, second, residual, influence = _scores(stage, (index, stand, y), estimate, bread)
    present = normal.totals[:, :, 0] > 0
    n_parameters = len(regressors) + int((np.diag(total)[:t] > 0).sum())
    return MomentFit(
        names=regressors,
        estimate=estimate,
        bread=bread,
        residual=residual,
        influence=influence,
        city_first=first,
        city_second=second,
        without_city=_leave_one_out(stage, index, stand, y),
        n_obs=int(n_obs),
        n_pairs=int(n_pairs),
        n_units=int(present.any(axis=1).sum()),
        n_first=int(present[:, 0].sum()),
        n_second=int(present[:, 1].sum()),
        n_parameters=n_parameters,
        n_parameters_city=n_parameters,
        r2=explained(float(ssr), float(sst)),
        r2_within=np.nan if exact == "effects" else explained(float(ssr), float(q[y, y])),
        exact=exact,
    )


def exactness(ssr: float, left: float, nothing: float, share: float) -> str:
    """`Fit.exact`, from what effects leave of the outcome and what regressors leave of that (sums of squares).

    Parameters
    ----------
    ssr, left : float
    nothing : float
        Rounding of ``left``.
    share : float
        Rounding of ``ssr``, of ``left``.
    """
    if not (np.isfinite(left) and np.isfinite(ssr)):
        return ""
    if left <= nothing:
        return "effects"
    return "regressors" if abs(ssr) <= share * left else ""


def explained(ssr: float, total: float) -> float:
    """R2; 1 where rounding leaves less than nothing unexplained, NaN where there is nothing to explain."""
    return 1.0 - max(ssr, 0.0) / total if total > 0 else float("nan")


def _scores(
    stage: Stage, chosen: tuple[list[int], list[int], int], estimate: Array, bread: Array
) -> tuple[Array, Array, Array, Array]:
    """City influences, and the coefficients from which pair influences follow.

    With residual e = Z b and residualised regressors r = x - E pi: influence = bread r'e, all linear in the
    city's moment matrix.
    """
    (index, stand, y), normal, t = chosen, stage.normal, stage.normal.n_years
    size = normal.first.shape[-1]
    residual = np.zeros(size)
    residual[t + y] = 1.0
    residual[[t + k for k in index]] -= estimate
    on_years = stage.full.on_years
    residual[:t] = -(on_years[:, y] - on_years[:, index] @ estimate)
    influence = np.zeros((size, len(index)))
    influence[[t + k for k in stand]] = bread.T
    influence[:t] = -on_years[:, stand] @ bread.T
    first, second = ((side @ residual) @ influence for side in (normal.first, normal.second))
    return first, second, residual, influence


def _leave_one_out(stage: Stage, index: list[int], stand: list[int], y: int) -> Array:
    """``[n_units, K]`` coefficients without each city; NaN where one is not identified."""
    q = stage.without.q
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
