"""Separated rows: zeros that some combination of regressors and effects tells apart, so that no estimate is finite.

A row is separated where some z in the span of regressors and effects is positive on it, zero wherever the outcome is
positive, and nowhere negative: the likelihood rises along -z without end, and the row's mean goes to zero. Such rows
are left out; all other rows then have the estimate that they have in the limit. Source: Correia, Guimaraes and Zylkin
(2019), arXiv:1903.01633, whose iterative rectifier this is, with values lifted beyond zero, which takes fewer rounds:

    u_0 = 1 on zeros,   v_k = projection of u_k on S,   u_{k+1} = v_k + n_k,   n_k = c_k max(-v_k, 0)

with S the part of the span that is zero on positive outcomes, and c_k = 1 in the source. Two certificates end it,
whatever c_k. Where v_k is nowhere negative, it separates the rows on which it is positive. Where 1 - v_k +
sum_{j<k} n_j, which is orthogonal to S, is positive on every zero, nothing is separated. Where neither comes, linear
programming decides. The projection is one on the whole span, with weight on positive outcomes and with multipliers
that make them zero (augmented Lagrangian).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from engine.arrays import Array, Flags, check_shape
from engine.estimate.absorb import AbsorptionPlan, Effect, absorb, prepare
from engine.estimate.ppml.iteration import least_squares

_ROUNDS, _CORRECTIONS = 100, 60
# c_k grows while the lowest value rises. Of 150 random tables 3 reach neither certificate, those of c_k = 1 more.
_LIFT, _LIFT_GROWTH, _LARGEST_LIFT = 2.0, 1.5, 50.0
_WEIGHT = 1e3  # of rows with a positive outcome
_ZERO = 1e-6  # of u_0 = 1: this much below zero is rounding
_HELD = 1e-7  # left of rows that are to be zero
_TOLERANCE = 1e-11  # of absorption
_POSITIVE = 1e-3  # share of the largest value; what is smaller is looked at again without these rows
_MOST_NONZEROS = 2_000_000  # of a linear program


@dataclass(frozen=True)
class Separation:
    """Rows for which no finite estimate exists.

    Attributes
    ----------
    separated : bool ``[n_rows]``
    in_levels : int
        Those in a level of an effect whose outcomes are all zero; the others need several effects, or regressors.
    settled : bool
        A certificate says that there are no more.
    """

    separated: Flags
    in_levels: int
    settled: bool


def find_separated(
    outcome: Array, regressors: Array, effects: Sequence[Effect], threads: int | None = None
) -> Separation:
    """Find every separated row.

    Parameters
    ----------
    outcome : float64 ``[n_rows]``
        From zero up, some of them positive.
    regressors : float64 ``[n_rows, K]``
    effects : sequence of Effect
    threads : int, optional
        See `engine.estimate.absorb.prepare`.
    """
    check_shape("regressors", regressors, (len(outcome), None))
    positive = outcome > 0
    left = ~_in_zero_levels(positive, effects)
    in_levels, settled = int((~left).sum()), False
    while not settled:
        if positive[left].all():
            return Separation(~left, in_levels, settled=True)
        remaining = tuple(Effect(effect.name, effect.codes[left]) for effect in effects)
        separated, settled = _separated_now(_scaled(regressors[left]), remaining, positive[left], threads)
        if separated is None:
            break
        left[np.flatnonzero(left)[separated]] = False
    return Separation(~left, in_levels, settled)


def _scaled(columns: Array) -> Array:
    largest = np.abs(columns).max(axis=0)
    return columns / np.where(largest > 0, largest, 1.0)


def _separated_now(
    columns: Array, effects: Sequence[Effect], positive: Flags, threads: int | None
) -> tuple[Flags | None, bool]:
    """Separated rows of one round, None where nothing decides, and whether there are no others."""
    rectified = _rectified(_ZeroOnPositive(columns, _projection_plan(effects, positive, threads), positive))
    if rectified is not None:
        return rectified, not rectified.any()
    programmed = _by_linear_program(columns, effects, positive)
    return programmed, programmed is not None


def _projection_plan(effects: Sequence[Effect], positive: Flags, threads: int | None) -> AbsorptionPlan:
    """Plan of the projection: all rows, those with a positive outcome with more weight."""
    weights = np.where(positive, _WEIGHT, 1.0)
    return prepare(effects, weights=weights, singletons="keep", threads=threads)


def _in_zero_levels(positive: Flags, effects: Sequence[Effect]) -> Flags:
    """Rows in a level without a positive outcome: their effect goes to minus infinity."""
    separated = np.zeros(len(positive), dtype=bool)
    for effect in effects:
        codes = effect.codes.reshape(len(positive), -1)
        n_positive = np.bincount(codes[positive].ravel(), minlength=int(codes.max()) + 1)
        separated |= (n_positive[codes] == 0).any(axis=1)
    return separated


@dataclass
class _ZeroOnPositive:
    """Projection on the sums of regressors and effects that are zero on positive outcomes.

    Keeps the multipliers of the last projection, from which the next starts.
    """

    regressors: Array
    plan: AbsorptionPlan
    positive: Flags

    def __post_init__(self) -> None:
        weights = self.plan.design.weights
        self.weights = np.ones(len(self.positive)) if weights is None else weights
        n_columns = self.regressors.shape[1]
        self.residuals = self.regressors
        if n_columns:
            self.residuals = absorb(self.regressors, self.plan, tolerance=_TOLERANCE).residuals
        self.multipliers = np.zeros(int(self.positive.sum()))

    def projected(self, values: Array) -> tuple[Array, float]:
        """Projection of ``values`` ``[n_zeros]``, on those rows, and what it has left on positive outcomes."""
        target, previous = np.empty(len(self.positive)), np.inf
        for _ in range(_CORRECTIONS):
            target[~self.positive], target[self.positive] = values, self.multipliers
            absorbed = absorb(target[:, None], self.plan, tolerance=_TOLERANCE)
            if absorbed.error[0] > _HELD:  # a projection that is not one certifies nothing
                return values, np.inf
            left = absorbed.residuals[:, 0]
            left = left - self.residuals @ least_squares(self.residuals, left, self.weights)
            fitted = target - left
            held = float(np.abs(fitted[self.positive]).max(initial=0.0))
            if held <= _HELD or held > 0.99 * previous:
                break
            self.multipliers = self.multipliers - fitted[self.positive]
            previous = held
        return fitted[~self.positive], held


def _rectified(span: _ZeroOnPositive) -> Flags | None:
    """Some separated rows, or none where there are none; None where no certificate came."""
    rows = np.zeros(len(span.positive), dtype=bool)
    values = np.ones(int((~span.positive).sum()))
    lifted, lift, lowest = np.zeros_like(values), _LIFT, -np.inf
    for _ in range(_ROUNDS):
        projection, held = span.projected(values)
        if held > _ZERO:
            return None
        if (1.0 - projection + lifted > 10 * _ZERO).all():
            return rows
        if projection.min() >= -_ZERO:
            largest = projection.max()
            rows[np.flatnonzero(~span.positive)[projection > _POSITIVE * largest]] = largest > 10 * _ZERO
            return rows
        lift = min(lift * _LIFT_GROWTH, _LARGEST_LIFT) if projection.min() > lowest else 1.0
        raised, lowest = lift * np.maximum(-projection, 0.0), projection.min()
        lifted, values = lifted + raised, projection + raised
    return None


def _by_linear_program(regressors: Array, effects: Sequence[Effect], positive: Flags) -> Flags | None:
    """All separated rows: maximise sum s with s <= z, 0 <= s <= 1, z zero on positive outcomes; None if too large."""
    blocks = [sparse.csr_array(regressors)]
    for effect in effects:
        codes = effect.codes.reshape(len(positive), -1)
        _, numbers = np.unique(codes, return_inverse=True)
        n_rows, members = codes.shape
        cells = np.repeat(np.arange(n_rows), members), numbers.ravel()
        blocks.append(sparse.csr_array((np.ones(len(cells[0])), cells), shape=(n_rows, numbers.max() + 1)))
    span = sparse.csr_array(sparse.hstack(blocks))
    if span.nnz > _MOST_NONZEROS:
        return None
    n_zeros, n_columns = int((~positive).sum()), span.shape[1]
    from scipy.optimize import linprog  # not above: it takes long, and is hardly ever needed

    solution = linprog(  # type: ignore[call-overload]  # its types know no sparse matrices
        np.concatenate([np.zeros(n_columns), -np.ones(n_zeros)]),
        A_ub=sparse.hstack([-span[~positive], sparse.eye_array(n_zeros)]),
        b_ub=np.zeros(n_zeros),
        A_eq=sparse.hstack([span[positive], sparse.csr_array((int(positive.sum()), n_zeros))]),
        b_eq=np.zeros(int(positive.sum())),
        bounds=[(None, None)] * n_columns + [(0.0, 1.0)] * n_zeros,
        method="highs",
    )
    if solution.x is None or solution.status != 0:
        return None
    separated = np.zeros(len(positive), dtype=bool)
    separated[~positive] = solution.x[n_columns:] > 0.5
    return separated
