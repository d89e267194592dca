"""Least squares on rows with any number of fixed effects: absorbed once, for all cells of a pass.

Everything that inference starts from comes of the residuals: a pair's influence is the bread times the sum over its
rows of residualised regressors times residual. Leave-one-city-out coefficients are literal refits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.absorb import (
    Absorbed,
    Effect,
    absorb,
    degrees_absorbed,
    find_collinear,
    nested_in,
    prepare,
    refuse_collinear,
)
from engine.estimate.fit import LOOSEN, Fit, exactness, explained, solve_identified
from engine.estimate.normal import inverse, lengths
from engine.pairs.pair_rows import PairRows

_LEFT = 1e-22  # of a sum of squares: the square of what absorption may leave of a column, and some room
_TOLERANCE = 1e-12  # of residuals, relative to a column's length: standard errors are to be good to 1e-10


@dataclass(frozen=True)
class RowProblem:
    """A regression before the effects are taken out.

    Attributes
    ----------
    rows : PairRows
    names : tuple of str
        Regressors.
    columns : float64 ``[n_rows, n_regressors + 1]``
        Regressors, then the outcome.
    effects : tuple of Effect
    """

    rows: PairRows
    names: tuple[str, ...]
    columns: Array
    effects: tuple[Effect, ...]

    @property
    def weights(self) -> Array | None:
        """``[n_rows]``; None where all are one."""
        return None if (self.rows.weights == 1).all() else self.rows.weights

    def only(self, kept: Flags) -> RowProblem:
        """The same on some of the rows; the pairs keep their numbers."""
        rows = replace(
            self.rows,
            pair=self.rows.pair[kept],
            year=self.rows.year[kept],
            values=self.rows.values[kept],
            weights=self.rows.weights[kept],
        )
        effects = tuple(Effect(effect.name, effect.codes[kept]) for effect in self.effects)
        return RowProblem(rows, self.names, self.columns[kept], effects)

    def emptied(self, gone: Flags) -> RowProblem:
        """The same with some rows made zeros in levels of their own: they say nothing, and shapes stay."""
        effects = []
        for effect in self.effects:
            codes = effect.codes.copy()
            codes[gone] = int(codes.max()) + 1 + np.arange(codes.shape[1] if codes.ndim == 2 else 1)
            effects.append(Effect(effect.name, codes))
        columns = np.where(gone[:, None], 0.0, self.columns)
        return RowProblem(self.rows, self.names, columns, tuple(effects))

    @property
    def complete(self) -> bool:
        """Every pair has the same number of rows, all of weight one."""
        size = np.bincount(self.rows.pair)
        return self.weights is None and len(np.unique(size[size > 0])) == 1


@dataclass(frozen=True)
class Absorption:
    """How the effects were taken out.

    Attributes
    ----------
    n_levels : dict of str to int
        Levels of each effect that occur.
    singletons : int
        Rows left out because they were alone in a level, until there were none.
    converged : bool
    iterations : int
    error : float
        Largest of any column, see `absorb.Absorbed`.
    method : str
    """

    n_levels: dict[str, int]
    singletons: int
    converged: bool
    iterations: int
    error: float
    method: str


@dataclass(frozen=True)
class RowStage:
    """What the cells of one pass share.

    Attributes
    ----------
    problem : RowProblem
        Without singletons.
    residuals : float64 ``[n_rows, n_regressors + 1]``
    absorption : Absorption
    n_parameters, n_parameters_city : int
        What the effects cost where clusters are pairs, or cities.
    """

    problem: RowProblem
    residuals: Array
    absorption: Absorption
    n_parameters: int
    n_parameters_city: int


@dataclass(frozen=True)
class RowFit:
    """A fit with the sums over pairs that its covariances need.

    Attributes
    ----------
    fit : Fit
    own, reverse : float64 ``[K, K]``
        As in `variance.covariances`.
    """

    fit: Fit
    own: Array
    reverse: Array


def row_stage(problem: RowProblem) -> RowStage:
    """Take the effects out of all columns; raises InputError where no row is left."""
    if len(problem.columns) == 0:
        raise InputError("no pair with at least two observed years is left", remedy=LOOSEN)
    found = _absorbed(problem, "drop")
    rest = problem if found.kept.all() else problem.only(found.kept)
    rows, names = rest.rows, [effect.name for effect in rest.effects]
    cities = np.stack([rows.first, rows.second], axis=1)
    in_pairs, in_cities = (
        [nested_in(effect.codes, clusters) for effect in rest.effects] for clusters in (rows.pair, cities)
    )
    return RowStage(
        problem=rest,
        residuals=found.residuals,
        absorption=Absorption(
            n_levels=dict(zip(names, found.n_levels, strict=True)),
            singletons=found.singletons,
            converged=found.converged,
            iterations=found.iterations,
            error=float(found.error.max()),
            method=found.method,
        ),
        n_parameters=degrees_absorbed(found.n_levels, in_pairs),
        n_parameters_city=degrees_absorbed(found.n_levels, in_cities),
    )


def _absorbed(problem: RowProblem, singletons: str, threads: int | None = None) -> Absorbed:
    plan = prepare(problem.effects, weights=problem.weights, singletons=singletons, threads=threads)
    return absorb(problem.columns, plan, tolerance=_TOLERANCE)


def row_fit(
    stage: RowStage, regressors: tuple[str, ...], *, n_units: int, directed: bool, both_treated_kept: bool
) -> RowFit:
    """Ordinary least squares of the outcome on some of the stage's regressors.

    Parameters
    ----------
    stage : RowStage
    regressors : tuple of str
    n_units : int
    directed : bool
        Pairs 2q and 2q + 1 are the two directions of a dyad.
    both_treated_kept : bool
        The sample has pairs of two treated units; for the advice where the effects explain a regressor.

    Raises
    ------
    InputError
        Where a regressor is collinear with the effects or with others, by name.
    """
    problem, rows, weights = stage.problem, stage.problem.rows, stage.problem.rows.weights
    index = [problem.names.index(name) for name in regressors]
    x, y, outcome = stage.residuals[:, index], stage.residuals[:, -1], problem.columns[:, -1]
    found = find_collinear(x, problem.columns[:, index], regressors, weights=weights)
    refuse_collinear(found, problem.effects, both_treated_kept=both_treated_kept)
    weighted = x * weights[:, None]
    moments = x.T @ weighted
    size = lengths(np.diag(moments))
    bread = inverse(moments, size, size)
    estimate: Array = bread @ (weighted.T @ y)
    for _ in range(2):  # the second time what the rounding of a large mean left
        outcome = outcome - weights @ outcome / weights.sum()
    error = y - x @ estimate
    ssr, left = float(weights @ error**2), float(weights @ y**2)
    total = float(weights @ outcome**2)
    exact = exactness(ssr, left, _LEFT * total, _LEFT)
    if exact == "effects":
        estimate = np.zeros_like(estimate)
    psi = _sums(weighted * error[:, None], rows.pair, len(rows.i)) @ bread
    present = np.bincount(rows.pair, minlength=len(rows.i)) > 0
    cross = psi[0::2].T @ psi[1::2] if directed else np.zeros_like(bread)
    fit = Fit(
        names=regressors,
        estimate=estimate,
        bread=bread,
        city_first=_sums(psi, rows.i, n_units),
        city_second=_sums(psi, rows.j, n_units),
        without_city=np.full((n_units, len(index)), np.nan),
        n_obs=len(y),
        n_pairs=int(present.sum()),
        n_units=len(np.union1d(rows.i[present], rows.j[present])),
        n_first=len(np.unique(rows.i[present])),
        n_second=len(np.unique(rows.j[present])),
        n_parameters=len(index) + stage.n_parameters,
        n_parameters_city=len(index) + stage.n_parameters_city,
        r2=explained(ssr, total),
        r2_within=np.nan if exact == "effects" else explained(ssr, left),
        exact=exact,
    )
    return RowFit(fit, psi.T @ psi, cross + cross.T)


def _sums(values: Array, group: Any, n_groups: int) -> Array:
    """Sums of rows ``[n_groups, K]``."""
    return np.stack([np.bincount(group, column, n_groups) for column in values.T], axis=1)


@dataclass(frozen=True)
class LeaveOut:
    """What every leave-one-city-out refit gets.

    Attributes
    ----------
    problem : RowProblem
    cells : tuple of tuple of int
        Positions of each cell's regressors.
    scale : float64 ``[n_regressors]``
        Length of the regressors once the effects are removed, in the full sample.
    """

    problem: RowProblem
    cells: tuple[tuple[int, ...], ...]
    scale: Array


def leave_out_setting(stage: RowStage, cells: Sequence[tuple[str, ...]]) -> LeaveOut:
    """The refits of some cells of a stage."""
    names, x = stage.problem.names, stage.residuals[:, :-1]
    return LeaveOut(
        stage.problem,
        tuple(tuple(names.index(name) for name in regressors) for regressors in cells),
        np.sqrt(stage.problem.rows.weights @ x**2),
    )


@dataclass(frozen=True)
class LeftOut:
    """Coefficients without each of n cities.

    Attributes
    ----------
    estimates : tuple of float64 ``[n, K]``
        Of each cell; NaN where one is not identified.
    unconverged : int
        Samples whose effects were not taken out to the tolerance.
    """

    estimates: tuple[Array, ...]
    unconverged: int


def leave_out_cities(setting: LeaveOut, units: Any) -> LeftOut:
    """Refits without each of some cities.

    Singletons stay: their residuals are zero. The rows of a complete sample are cut, so that the rest has its closed
    form; elsewhere they are emptied, so that kernels are compiled once and not for every city.
    """
    problem, rows = setting.problem, setting.problem.rows
    out = tuple(np.full((len(units), len(index)), np.nan) for index in setting.cells)
    unconverged = 0
    for number, unit in enumerate(units):
        gone = (rows.first == unit) | (rows.second == unit)
        if gone.all():
            continue
        rest = problem.only(~gone) if problem.complete else problem.emptied(gone)
        found = _absorbed(rest, "keep", threads=1)  # each core has a task of its own
        unconverged += not found.converged
        q = found.residuals.T @ (found.residuals * rest.rows.weights[:, None])
        for cell, index in enumerate(setting.cells):
            at = list(index)
            a, b = q[np.ix_(at, at)], q[at, -1]
            out[cell][number] = solve_identified(a[None], b[None], setting.scale[at])[0]
    return LeftOut(out, unconverged)


def merge_left_out(one: LeftOut, other: LeftOut) -> LeftOut:
    """The cities of one, then those of the other."""
    both = zip(one.estimates, other.estimates, strict=True)
    return LeftOut(tuple(np.concatenate(pair) for pair in both), one.unconverged + other.unconverged)
