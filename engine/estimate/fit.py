"""Least squares with pair and year effects from type sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    partial_inverse,
    partial_out_years,
    refuse_collinear,
)
from engine.estimate.terms import Regression, names_of

_OF_VALUES = 1e-30  # of the outcome's variation: the squares of its own rounding
LOOSEN = "loosen years or the filters of pairs, or fill what is missing; `dyadid check` counts both"
_LEFT = 1e-13  # of a sum of squares: what subtraction may leave of one that is zero


@dataclass(frozen=True)
class Stage:
    """Moments and both projections off the years, which the cells of one pass share.

    Attributes
    ----------
    normal : Normal
    full, without : Projected
        Of the full sample, and of each leave-one-city-out sample.
    without_group : mapping of str to Projected
        Of the samples without each group of cities, by the code of the standard-error type that reads them.
    """

    normal: Normal
    full: Projected
    without: Projected
    without_group: Mapping[str, Projected] = field(default_factory=dict)

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


def stage(normal: Normal, without_group: Mapping[str, Projected] | None = None) -> Stage:
    """Project the full sample and the leave-one-city-out samples off the years, once for all cells."""
    return Stage(
        normal,
        partial_out_years(normal.total, normal.n_years, balanced=normal.balanced),
        partial_out_years(normal.without_city(), normal.n_years, balanced=normal.balanced),
        without_group or {},
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
    if normal.counts["n_pairs"] == 0:
        raise InputError("no pair with at least two observed years is left", remedy=LOOSEN)
    at_regressors, at_instruments, bread = _bread(stage, regression)
    y = len(normal.terms) if regression.outcome is None else normal.positions([regression.outcome])[0]
    values: Array = bread @ q[at_instruments, y]
    ssr = float(
        q[y, y] - 2 * values @ q[at_regressors, y] + values @ q[np.ix_(at_regressors, at_regressors)] @ values
    )
    of_outcome = 0.0 if regression.outcome else _OF_VALUES * normal.outcome_variation
    rounding = max(_LEFT * float(np.diag(normal.total)[normal.n_years + y]), of_outcome)
    exact = exactness(ssr, float(q[y, y]), rounding, _LEFT)
    if exact == "effects":
        values = np.zeros_like(values)
    residual, weight = stage.full.paths(
        values[None], bread.T, regressors=at_regressors, instruments=at_instruments, outcomes=[y]
    )
    # Influence is weights' residual, both linear in the columns, so that the city's moments give its sum.
    first, second = ((side @ residual[0]) @ weight for side in (normal.first, normal.second))
    return Estimate(
        terms=regression.regressors,
        values=values,
        city_first=first,
        city_second=second,
        without_city=_without_city(stage, at_regressors, at_instruments, y),
        pair_meat=np.full_like(bread, np.nan),
        reciprocal_meat=np.full_like(bread, np.nan),
        residual_path=residual[0],
        weight_path=weight,
        **sample_counts(normal, len(values)),
        r2=explained(ssr, np.nan if regression.outcome else normal.outcome_variation),
        r2_within=np.nan if exact == "effects" else explained(ssr, float(q[y, y])),
        exact=exact,
        interaction=None,
        takes_both=False,
        is_instrumented=bool(regression.instruments),
        one_step=None,
        nearby={},
        without_group={
            code: _left_out(stage, samples, at_regressors, at_instruments, y)
            for code, samples in stage.without_group.items()
        },
        share_influence=None,
        resting={},
        share_meat=None,
    )


def _bread(stage: Stage, regression: Regression) -> tuple[tuple[int, ...], tuple[int, ...], Array]:
    """Positions of regressors and of instruments, and Q_wx^{-1}; raises InputError where one is collinear."""
    normal, q = stage.normal, stage.full.q
    within = np.diag(normal.total)[normal.n_years :]
    positions, sizes = [], []
    for terms in filter(None, (regression.regressors, regression.instruments)):
        at = normal.positions(terms)
        refuse_collinear(q[np.ix_(at, at)], within[list(at)], names_of(terms))
        positions.append(at)
        sizes.append(lengths(np.diag(q)[list(at)]))
    bread = inverse(q[np.ix_(positions[-1], positions[0])], sizes[-1], sizes[0])
    return positions[0], positions[-1], bread


def exactness_of_outcome(stage: Stage, ssr: float) -> str:
    """`exactness` of a fit of the outcome that leaves a sum of squares."""
    normal, left = stage.normal, float(stage.full.q[-1, -1])
    rounding = max(_LEFT * float(normal.total[-1, -1]), _OF_VALUES * normal.outcome_variation)
    return exactness(ssr, left, rounding, _LEFT)


def sample_counts(normal: Normal, n_regressors: int) -> dict[str, int]:
    """Sizes of the sample; pair effects are nested in every cluster, year effects in none."""
    n_parameters = n_regressors + normal.n_observed_years
    return {**normal.counts, "n_parameters": n_parameters, "n_parameters_city": n_parameters}


def left_out_values(stage: Stage, without: Projected, regressors: tuple[int, ...]) -> Array:
    """Coefficients ``[n_samples, K]`` of samples that lack some pairs, from their moments off the years.

    NaN where one is not identified. ``regressors``: positions in [columns | terms].
    """
    at, scale = list(regressors), _lengths_of_all(stage, regressors)
    return solve_identified(without.q[:, at][:, :, at], without.q[:, at, -1], scale)


def _without_city(stage: Stage, regressors: tuple[int, ...], instruments: tuple[int, ...], y: int) -> Array:
    """``[n_units, K]`` coefficients without each city; NaN where one is not identified."""
    if instruments != regressors or not stage.all_identified:
        return _left_out(stage, stage.without, regressors, instruments, y)
    scale = _lengths_of_all(stage, regressors)
    q, at = stage.without.q, list(regressors)
    scaled = q[:, at][:, :, at] / scale[:, None] / scale
    return np.asarray(np.linalg.solve(scaled, (q[:, at, y] / scale)[:, :, None])[:, :, 0] / scale)


def _left_out(
    stage: Stage, without: Projected, regressors: tuple[int, ...], instruments: tuple[int, ...], y: int
) -> Array:
    """``[n_samples, K]`` coefficients of samples that lack some pairs; NaN where one is not identified."""
    q, at_regressors, at_instruments = without.q, list(regressors), list(instruments)
    scale = _lengths_of_all(stage, regressors)
    a, b = q[:, at_instruments][:, :, at_regressors], q[:, at_instruments, y]
    if instruments == regressors:
        return solve_identified(a, b, scale)
    size = _lengths_of_all(stage, instruments)
    scaled = a / size[:, None] / scale
    values = np.full(b.shape, np.nan)
    solvable = np.linalg.svd(scaled, compute_uv=False)[:, -1] > SMALLEST
    values[solvable] = np.linalg.solve(scaled[solvable], (b / size)[solvable, :, None])[:, :, 0] / scale
    return values


def _lengths_of_all(stage: Stage, positions: tuple[int, ...]) -> Array:
    """Lengths in the full sample: what a city's removal leaves of a regressor may be rounding, of either sign."""
    return np.asarray(np.sqrt(np.diag(stage.normal.total)[stage.normal.n_years :][list(positions)]))


def solve_identified(a: Array, b: Array, scale: Array) -> Array:
    """Coefficients a^{-1} b of several samples; NaN where one is not identified.

    Parameters
    ----------
    a, b : float64 ``[n_samples, K, K]``, ``[n_samples, K]``
    scale : float64 ``[K]``
        Length that a regressor may be expected to have.
    """
    scaled = a / scale[:, None] / scale
    solvable = np.linalg.eigvalsh(scaled)[:, 0] > SMALLEST
    values = np.empty(b.shape)
    values[solvable] = np.linalg.solve(scaled[solvable], (b / scale)[solvable, :, None])[:, :, 0] / scale
    for sample in np.flatnonzero(~solvable):
        inverse_of_sample, identified, _ = partial_inverse(scaled[sample])
        values[sample] = np.where(identified, inverse_of_sample @ (b[sample] / scale) / scale, np.nan)
    return values
