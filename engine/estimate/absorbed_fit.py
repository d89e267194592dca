"""Least squares on rows with any number of fixed effects: absorbed once, for all cells of a pass.

Everything that inference starts from comes of the residuals: a pair's influence is the bread times the sum over its
rows of residualised regressors times residual. Leave-one-city-out coefficients are literal refits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import Array, Flags, check_shape
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
from engine.estimate.estimate import Estimate, exactness, explained
from engine.estimate.fit import LOOSEN, solve_identified
from engine.estimate.normal import inverse, lengths
from engine.estimate.terms import Term, names_of
from engine.pairs.pair_rows import PairRows

_LEFT = 1e-22  # of a sum of squares: the square of what absorption may leave of a column, and some room
_TOLERANCE = 1e-12  # of residuals, relative to a column's length: standard errors are to be good to 1e-10


@dataclass(frozen=True)
class RowProblem:
    """A regression before the effects are taken out.

    Attributes
    ----------
    rows : PairRows
    terms : tuple of Term
        Regressors.
    columns : float64 ``[n_rows, n_regressors + 1]``
        Regressors, then the outcome.
    effects : tuple of Effect
    """

    rows: PairRows
    terms: tuple[Term, ...]
    columns: Array
    effects: tuple[Effect, ...]

    def __post_init__(self) -> None:
        check_shape("columns", self.columns, (len(self.rows.weights), len(self.terms) + 1))

    def positions(self, terms: Sequence[Term]) -> list[int]:
        """Where some regressors stand among the columns."""
        return [self.terms.index(term) for term in terms]

    @property
    def weights(self) -> Array | None:
        """``[n_rows]``; None where all are one."""
        return None if (self.rows.weights == 1).all() else self.rows.weights

    def only(self, rows_left: Flags) -> RowProblem:
        """The same on some of the rows; the pairs keep their numbers."""
        rows = replace(
            self.rows,
            pair=self.rows.pair[rows_left],
            year=self.rows.year[rows_left],
            values=self.rows.values[rows_left],
            weights=self.rows.weights[rows_left],
        )
        effects = tuple(Effect(effect.name, effect.codes[rows_left]) for effect in self.effects)
        return RowProblem(rows, self.terms, self.columns[rows_left], effects)

    def emptied(self, removed: Flags) -> RowProblem:
        """The same with some rows made zeros in levels of their own: they say nothing, and shapes stay."""
        effects = []
        for effect in self.effects:
            codes = effect.codes.copy()
            codes[removed] = int(codes.max()) + 1 + np.arange(codes.shape[1] if codes.ndim == 2 else 1)
            effects.append(Effect(effect.name, codes))
        columns = np.where(removed[:, None], 0.0, self.columns)
        return RowProblem(self.rows, self.terms, columns, tuple(effects))

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
    """Columns without the absorbed effects, which the cells of one pass share.

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


def row_stage(problem: RowProblem) -> RowStage:
    """Take the effects out of all columns; raises InputError where no row is left."""
    if len(problem.columns) == 0:
        raise InputError("no pair with at least two observed years is left", remedy=LOOSEN)
    absorbed = _absorbed(problem, "drop")
    remaining = problem if absorbed.kept.all() else problem.only(absorbed.kept)
    rows, names = remaining.rows, [effect.name for effect in remaining.effects]
    cities = np.stack([rows.first, rows.second], axis=1)
    in_pairs, in_cities = (
        [nested_in(effect.codes, clusters) for effect in remaining.effects]
        for clusters in (rows.pair, cities)
    )
    return RowStage(
        problem=remaining,
        residuals=absorbed.residuals,
        absorption=Absorption(
            n_levels=dict(zip(names, absorbed.n_levels, strict=True)),
            singletons=absorbed.singletons,
            converged=absorbed.converged,
            iterations=absorbed.iterations,
            error=float(absorbed.error.max()),
            method=absorbed.method,
        ),
        n_parameters=degrees_absorbed(absorbed.n_levels, in_pairs),
        n_parameters_city=degrees_absorbed(absorbed.n_levels, in_cities),
    )


def _absorbed(problem: RowProblem, singletons: str, threads: int | None = None) -> Absorbed:
    plan = prepare(problem.effects, weights=problem.weights, singletons=singletons, threads=threads)
    return absorb(problem.columns, plan, tolerance=_TOLERANCE)


def row_fit(
    stage: RowStage, regressors: tuple[Term, ...], *, n_units: int, directed: bool, both_treated_kept: bool
) -> Estimate:
    """Ordinary least squares of the outcome on some of the stage's regressors.

    Parameters
    ----------
    stage : RowStage
    regressors : tuple of Term
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
    at = problem.positions(regressors)
    x, y, outcome = stage.residuals[:, at], stage.residuals[:, -1], problem.columns[:, -1]
    collinear = find_collinear(x, problem.columns[:, at], names_of(regressors), weights=weights)
    refuse_collinear(collinear, problem.effects, both_treated_kept=both_treated_kept)
    weighted = x * weights[:, None]
    moments = x.T @ weighted
    size = lengths(np.diag(moments))
    bread = inverse(moments, size, size)
    values: Array = bread @ (weighted.T @ y)
    for _ in range(2):  # the second time what the rounding of a large mean left
        outcome = outcome - weights @ outcome / weights.sum()
    error = y - x @ values
    ssr, within, total = (float(weights @ column**2) for column in (error, y, outcome))
    exact = exactness(ssr, within, _LEFT * total, _LEFT)
    if exact == "effects":
        values = np.zeros_like(values)
    psi = _sums(weighted * error[:, None], rows.pair, len(rows.i)) @ bread
    cross = psi[0::2].T @ psi[1::2] if directed else np.zeros_like(bread)
    residual = np.append(np.zeros(len(problem.terms)), 1.0)
    weight = np.zeros((len(residual), len(at)))
    residual[at], weight[at] = -values, bread
    return Estimate(
        terms=regressors,
        values=values,
        city_first=_sums(psi, rows.i, n_units),
        city_second=_sums(psi, rows.j, n_units),
        without_city=np.full((n_units, len(at)), np.nan),
        pair_meat=psi.T @ psi,
        reciprocal_meat=cross + cross.T,
        residual_path=residual,
        weight_path=weight,
        **_counts(rows),
        n_parameters=len(at) + stage.n_parameters,
        n_parameters_city=len(at) + stage.n_parameters_city,
        r2=explained(ssr, total),
        r2_within=np.nan if exact == "effects" else explained(ssr, within),
        exact=exact,
        interaction=None,
        nearby={},
        without_group={},
        share_influence=None,
        resting={},
        share_meat=None,
        takes_both=False,
        is_instrumented=False,
        one_step=None,
    )


def _counts(rows: PairRows) -> dict[str, int]:
    """Sizes of the sample."""
    present = np.bincount(rows.pair, minlength=len(rows.i)) > 0
    first, second = np.unique(rows.i[present]), np.unique(rows.j[present])
    return {
        "n_obs": len(rows.pair),
        "n_pairs": int(present.sum()),
        "n_units": len(np.union1d(first, second)),
        "n_first": len(first),
        "n_second": len(second),
    }


def row_paths(stage: RowStage, estimate: Estimate) -> tuple[Array, Array]:
    """Residual and weight path of every row of a stage, float64 ``[n_rows]``, ``[n_rows, K]``."""
    weighted = stage.residuals * stage.problem.rows.weights[:, None]
    return stage.residuals @ estimate.residual_path, weighted @ estimate.weight_path


def _sums(values: Array, group: Any, n_groups: int) -> Array:
    """Sums of rows ``[n_groups, K]``."""
    return np.stack([np.bincount(group, column, n_groups) for column in values.T], axis=1)


@dataclass(frozen=True)
class LeaveOut:
    """Input of every leave-one-city-out refit.

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


def one_step_leave_outs(stage: RowStage, estimate: Estimate) -> Array:
    """``[n_units, K]`` coefficients without each city, the effects held as the whole sample has them.

    Rows x of the regressors without the effects leave, and the effects are not taken out anew:
    b_(-c) = b - (X'X - X_c'X_c)^{-1} X_c'e. NaN where a coefficient is not identified.
    """
    rows, n_units, n_terms = stage.problem.rows, len(estimate.city_first), len(estimate.terms)
    x = stage.residuals[:, stage.problem.positions(estimate.terms)]
    weighted = x * rows.weights[:, None]
    moments = x.T @ weighted
    of_city = np.empty((n_units, n_terms, n_terms))
    for term in range(n_terms):
        of_pairs = _sums(weighted[:, [term]] * x, rows.pair, len(rows.i))
        of_city[:, term] = _sums(of_pairs, rows.i, n_units) + _sums(of_pairs, rows.j, n_units)
    scores = estimate.city_influence @ moments
    return estimate.values - solve_identified(moments - of_city, scores, np.sqrt(np.diag(moments)))


def leave_out_setting(stage: RowStage, cells: Sequence[tuple[Term, ...]]) -> LeaveOut:
    """The refits of some cells of a stage."""
    x = stage.residuals[:, :-1]
    return LeaveOut(
        stage.problem,
        tuple(tuple(stage.problem.positions(regressors)) for regressors in cells),
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


def leave_out_cities(samples: LeaveOut, units: Any) -> LeftOut:
    """Refits without each of some cities.

    Singletons stay: their residuals are zero. The rows of a complete sample are cut, so that the rest has its closed
    form; elsewhere they are emptied, so that kernels are compiled once and not for every city.
    """
    problem, rows = samples.problem, samples.problem.rows
    estimates = tuple(np.full((len(units), len(regressors)), np.nan) for regressors in samples.cells)
    unconverged = 0
    for number, unit in enumerate(units):
        removed = (rows.first == unit) | (rows.second == unit)
        if removed.all():
            continue
        remaining = problem.only(~removed) if problem.complete else problem.emptied(removed)
        absorbed = _absorbed(remaining, "keep", threads=1)  # each core has a task of its own
        unconverged += not absorbed.converged
        q = absorbed.residuals.T @ (absorbed.residuals * remaining.rows.weights[:, None])
        for cell, regressors in enumerate(samples.cells):
            at = list(regressors)
            a, b = q[np.ix_(at, at)], q[at, -1]
            estimates[cell][number] = solve_identified(a[None], b[None], samples.scale[at])[0]
    return LeftOut(estimates, unconverged)


def merge_left_out(before: LeftOut, after: LeftOut) -> LeftOut:
    """The cities of one task, then those of the next."""
    cells = zip(before.estimates, after.estimates, strict=True)
    return LeftOut(tuple(np.concatenate(blocks) for blocks in cells), before.unconverged + after.unconverged)
