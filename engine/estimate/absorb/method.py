"""Absorption of any number of fixed effects from many columns at once.

    effects, weights --> Design: rows kept, effects that others span left out      levels
    every pair in every year, rows of a pair together: closed form                 grid
    projections that commute, rows in any order: one sweep                         row_kernels
    equations that fall into small blocks, solved (pair + year, group x year)      direct
    conjugate gradient with an estimate of its own error, for all others           iterative
    its products where few cells of a grid are missing, and on an accelerator      incomplete, device
    regressors that the effects explain, by name                                   collinear

`absorb` takes them in that order: `_Absorption.of_columns` is the place where the method is chosen. `plan` lays the
effects out, `column_rows` reads and writes columns. Whether it converged is a value of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.absorb import direct, iterative
from engine.estimate.absorb import row_kernels as kernels
from engine.estimate.absorb.column_rows import Rows, usable_cores
from engine.estimate.absorb.direct import Inverse
from engine.estimate.absorb.levels import Design, Effect, degrees_absorbed, examine
from engine.estimate.absorb.pair_year_grid import PairYearGrid
from engine.estimate.absorb.plan import AbsorptionPlan
from engine.float64 import double_precision

Method = Literal["auto", "direct", "conjugate_gradient", "alternating"]

_EXACT = 3e-13  # left by rounding alone
_CANCELS = 1e-4  # a share of the squares this small is not taken as a difference of sums
_BLOCK_BYTES = 64 << 20  # coefficients of the columns that are worked on together
_REFINEMENTS = 3


@dataclass(frozen=True)
class Absorbed:
    """Columns without the effects.

    Attributes
    ----------
    residuals : float64 ``[n_kept, n_columns]``, read-only
    kept : bool ``[n_rows]``
        Rows that are not singletons.
    converged : bool
        ``error`` is below the tolerance in every column.
    iterations : int
        Sweeps, solutions or conjugate gradient steps; the most of any block of columns.
    error : float64 ``[n_columns]``
        Length of the effects that remain in the residuals, as a share of the column's length once the
        largest effect is removed: estimated for the iterative methods, the bound of rounding for closed form.
    method : str
        The method that was used, in words.
    singletons : int
        Rows dropped.
    n_levels : tuple of int
        Levels of each effect that occur in the rows kept, in the order given.
    degrees_of_freedom : int
        As fixest counts them where no effect is nested in the clusters; see `degrees_absorbed`.
    rank : int or None
        Rank of all effects together, where the method finds it.
    """

    residuals: Array
    kept: Flags
    converged: bool
    iterations: int
    error: Array
    method: str
    singletons: int
    n_levels: tuple[int, ...]
    degrees_of_freedom: int
    rank: int | None


def prepare(
    effects: Sequence[Effect],
    *,
    weights: Array | None = None,
    singletons: str = "drop",
    threads: int | None = None,
) -> AbsorptionPlan:
    """A plan that serves any number of calls of `absorb`; arguments as those of `absorb_levels.examine`.

    ``threads`` work on rows at once, if left out as many as this process has cores. They change no number.
    """
    return AbsorptionPlan(examine(effects, weights=weights, singletons=singletons), threads or usable_cores())


def absorb(
    columns: Array,
    effects: Sequence[Effect] | AbsorptionPlan,
    *,
    weights: Array | None = None,
    method: Method = "auto",
    tolerance: float = 1e-10,
    max_iterations: int = 10_000,
) -> Absorbed:
    """Residuals of the weighted least squares of each column on the dummies of all effects.

    Parameters
    ----------
    columns : float64 ``[n_rows, n_columns]``
        No missing values.
    effects : sequence of Effect, or AbsorptionPlan
        A plan comes with its weights.
    weights : float64 ``[n_rows]``, optional
    method : ``auto``, ``direct``, ``conjugate_gradient`` or ``alternating``
        ``auto`` takes a closed form or one sweep where that is exact, solves small equations directly,
        iterates otherwise, and solves large equations directly where the iteration did not converge.
    tolerance : float
        Of the residuals, relative to each column's length once the largest effect is removed.
    max_iterations : int
        Conjugate gradient steps.

    Raises
    ------
    InputError
        Where the columns have missing values, or the effects are too large for the method that is requested.
    """
    plan = effects if isinstance(effects, AbsorptionPlan) else prepare(effects, weights=weights)
    if plan is effects and weights is not None:
        raise ValueError("expected weights in the plan, got them beside it")
    absorption, design = _Absorption(plan, method, tolerance, max_iterations), plan.design
    columns = _on_rows_kept(columns, design)
    residuals = np.empty(columns.shape)
    width = max(1, _BLOCK_BYTES // (8 * sum(effect.size for effect in plan.effects)))
    with double_precision():  # for the arrays of an accelerator
        parts = [
            absorption.of_columns(
                columns[:, first : first + width], residuals[:, first : first + width], first
            )
            for first in range(0, columns.shape[1], width)
        ]
    residuals.setflags(write=False)
    n_levels = tuple(effect.n_levels for effect in design.effects)
    return Absorbed(
        residuals=residuals,
        kept=design.kept,
        converged=all(bool((part.error <= tolerance).all()) for part in parts),
        iterations=max(part.iterations for part in parts),
        error=np.concatenate([part.error for part in parts]),
        method="; ".join(dict.fromkeys(part.method for part in parts)),
        singletons=design.n_singletons,
        n_levels=n_levels,
        degrees_of_freedom=degrees_absorbed(n_levels),
        rank=parts[0].rank,
    )


def _on_rows_kept(columns: Array, design: Design) -> Array:
    """Columns on the rows that are kept; raises ValueError for a wrong shape."""
    columns = np.asarray(columns, dtype=np.float64)
    if columns.ndim != 2 or len(columns) != len(design.kept) or columns.shape[1] == 0:
        raise ValueError(f"expected columns [{len(design.kept)}, at least 1], got {columns.shape}")
    return columns[design.kept] if design.n_singletons else columns


@dataclass(frozen=True)
class _Part:
    """The outcome for a block of columns; fields as those of Absorbed."""

    error: Array
    iterations: int
    method: str
    rank: int | None = None


def _refuse_missing(lengths: Array, columns: Array, first: int) -> None:
    if not np.isfinite(lengths).all():
        bad = np.flatnonzero(~np.isfinite(columns).all(axis=0))
        if not len(bad):
            raise InputError("squares of columns overflow", remedy="rescale the columns")
        problem = f"column {first + bad[0]} has missing or infinite values"
        raise InputError(problem, remedy="drop those rows first")


@dataclass(frozen=True)
class _Absorption:
    """A method with its limits, on one plan."""

    plan: AbsorptionPlan
    method: Method
    tolerance: float
    max_iterations: int

    def __post_init__(self) -> None:
        if not 1e-14 <= self.tolerance < 1 or self.max_iterations < 1:
            raise ValueError(
                f"expected 1e-14 <= tolerance < 1 and max_iterations >= 1, got {self.tolerance}, "
                f"{self.max_iterations}"
            )

    def of_columns(self, columns: Array, residuals: Array, first: int) -> _Part:
        """Fill ``residuals`` by the method that is requested, or by the first that applies.

        ``first`` is the number of the first of these columns, for messages.
        """
        plan, method = self.plan, self.method
        if method == "auto" and plan.grid is not None:
            return self._closed_form(plan.grid, columns, residuals, first)
        rows = self._measured(np.ascontiguousarray(columns), residuals, first)
        if len(plan.effects) == 1 and plan.operator.eliminated:
            means = self._sweep(rows)
            if means is not None:
                return means
        if method == "alternating":
            if any(
                inverse is None and effect.members == 2
                for inverse, effect in zip(plan.block_inverses, plan.effects, strict=True)
            ):
                raise InputError(
                    f"'{plan.names[-1]}' is too large to be absorbed by itself",
                    remedy="use the method conjugate_gradient",
                )
            return self._iterate(rows, "sweeps")
        if method == "conjugate_gradient":
            return self._iterate(rows, "equations")
        if method == "direct":
            if plan.any_equations is None:
                raise InputError(
                    f"the equations of {', '.join(plan.names)} are too many to be solved directly",
                    remedy="use the method conjugate_gradient",
                )
            return self._solve(rows, plan.any_equations)
        return self._auto(rows)

    def _auto(self, rows: Rows) -> _Part:
        plan = self.plan
        if plan.may_commute:
            part = self._sweep(rows)
            if part is not None:
                return part
        if plan.forming_pays(rows.residuals.shape[1]) and plan.cheap_equations is not None:
            return self._solve(rows, plan.cheap_equations)
        part = self._iterate(rows, "equations")
        if (part.error <= self.tolerance).all() or plan.any_equations is None:
            return part
        rows.read_again()
        return self._solve(rows, plan.any_equations)

    def _closed_form(self, grid: PairYearGrid, columns: Array, residuals: Array, first: int) -> _Part:
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are refused in the next line
            scale, error = grid.fill_residuals(columns, residuals)
        _refuse_missing(scale, columns, first)
        count = 1
        while (error > _EXACT).any() and count < _REFINEMENTS:
            fresh, error = grid.fill_residuals(residuals, residuals)
            # A column that pair means explain but for rounding is measured by what they leave of that.
            error, count = error * np.minimum(fresh / scale, 1.0), count + 1
        return _Part(error, count, f"closed form of {' and '.join(self.plan.names)} on a grid", grid.rank)

    def _measured(self, columns: Array, residuals: Array, first: int) -> Rows:
        """Columns with their sums, and their length once the first effect is removed."""
        plan, dummies = self.plan, self.plan.dummies
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are refused in the next line
            sums, squares = dummies.read(columns)
        _refuse_missing(squares, columns, first)
        rows = Rows(dummies, columns, residuals, sums, squares, squares)
        within = squares - kernels.explained(plan.operator, 0, sums)
        if (within <= _CANCELS * squares).any():  # values far from zero: their digits go to the first effect
            rows.subtract(kernels.first_only(plan.operator, sums))
            squares = rows.read_again()
            within = squares - kernels.explained(plan.operator, 0, rows.sums)
        rows.scale = np.sqrt(np.where(within > 0, within, 1.0))
        rows.rounding = np.finfo(float).eps * np.sqrt(squares) / rows.scale
        return rows

    def _sweep(self, rows: Rows) -> _Part | None:
        """None if the projections do not commute: a sweep is not whole then."""
        plan, sums = self.plan, rows.sums
        b = kernels.sweep(plan.operator, sums)
        unexplained = kernels.remaining(plan.operator, sums, b)
        error = np.sqrt(kernels.most_explained(plan.operator, unexplained)) / rows.scale
        if (error > _EXACT).any():
            return None
        rows.subtract(b)
        words = f"means of {plan.names[0]}"
        if len(plan.names) > 1:
            words = f"one sweep through {' and '.join(plan.names)}, whose projections commute"
        rank = plan.effects[0].n_levels if len(plan.names) == 1 else None
        return _Part(np.maximum(error, rows.rounding), 1, words, rank)

    def _solve(self, rows: Rows, equations: Inverse) -> _Part:
        operator, blocks = self.plan.operator, equations.blocks
        right = kernels.eliminate(operator, rows.sums)
        residual, b, count = right, tuple(np.zeros_like(part) for part in right), 0
        error = np.full(len(rows.scale), np.inf)
        while (error > _EXACT).any() and count < _REFINEMENTS:
            b = tuple(map(np.add, b, direct.solution(blocks, residual)))
            residual = tuple(map(np.subtract, right, operator.reduced(b)))
            error = direct.length(operator, blocks, residual) / rows.scale
            count += 1
        rows.subtract(kernels.recover(operator, rows.sums, b))
        words = f"{equations.n_equations:,} equations of {self._equations_of} solved"
        if equations.n_blocks > 1:
            words += f" in {equations.n_blocks:,} blocks"
        first = self.plan.effects[0].n_levels if operator.eliminated else 0
        return _Part(np.maximum(error, rows.rounding), count, words, first + equations.rank)

    def _iterate(self, rows: Rows, kind: iterative.Kind) -> _Part:
        """Conjugate gradient, started again on what it left until the error is below the tolerance."""
        operator = self.plan.exact_operator if kind == "sweeps" else self.plan.operator
        words = f"conjugate gradient on {self._equations_of}"
        if kind == "sweeps":
            words = f"conjugate gradient on symmetric sweeps through {', '.join(self.plan.names)}"
        right = iterative.right_side(operator, rows.sums, kind)
        residual, b = right, tuple(0.0 * part for part in right)
        steps, smallest, error = 0, np.inf, np.full(len(rows.scale), np.inf)
        while True:
            run = iterative.start(operator, residual, kind)
            gradient = np.sqrt(run.product) / rows.scale
            previous_error, error = error, gradient / np.sqrt(smallest) if steps else gradient
            finished = (error <= self.tolerance).all() if steps else not gradient.any()
            if (
                finished
                or steps >= self.max_iterations
                or (steps and not error.max() < previous_error.max() / 2)
            ):
                break
            limit = self.max_iterations - steps
            # The first target knows nothing of the design; the second knows its smallest eigenvalue.
            goal = self.tolerance * (np.sqrt(smallest) / 2 if steps else 1.0)
            for _ in range(4):
                run.until(np.maximum(goal, iterative.DEEPEST * gradient) * rows.scale, limit)
                smallest = min(smallest, run.smallest_eigenvalue())
                sharper_goal = self.tolerance * np.sqrt(smallest) / 2
                if sharper_goal >= goal / 2 or len(run.alphas) >= limit:
                    break
                goal = sharper_goal
            steps += max(len(run.alphas), 1)
            b = tuple(old + new for old, new in zip(b, run.solution, strict=True))
            fitted = iterative.product(operator, kind, b)
            residual = tuple(part - fitted_part for part, fitted_part in zip(right, fitted, strict=True))
        b = tuple(np.asarray(part) for part in b)
        rows.subtract(kernels.recover(operator, rows.sums, b) if kind == "equations" else b)
        return _Part(np.maximum(error, rows.rounding), steps, words)

    @property
    def _equations_of(self) -> str:
        names, operator = self.plan.names, self.plan.operator
        effects = " and ".join(names[k] for k in operator.in_equations) or "no other effect"
        return f"{effects} with {names[0]} eliminated" if operator.eliminated else effects
