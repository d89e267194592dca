"""Absorption of any number of fixed effects from many columns at once.

    effects, weights --> Design: rows kept, effects that others span left out      absorb_levels
    one sweep, exact where the projections commute (balanced panels)               absorb_kernels
    equations that fall into small blocks, solved (pair + year, group x year)      absorb_direct
    conjugate gradient with an estimate of its own error, for the rest             absorb_iterative

`absorb` takes them in that order. Whether it converged is a value of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.estimate import absorb_direct as direct
from engine.estimate import absorb_iterative as iterative
from engine.estimate import absorb_kernels as kernels
from engine.estimate.absorb_direct import Inverse
from engine.estimate.absorb_kernels import Operator
from engine.estimate.absorb_levels import (
    Array,
    Design,
    Effect,
    Levels,
    Mask,
    degrees_absorbed,
    nested_in,
    prepare,
)
from engine.estimate.normal import collinear

__all__ = [
    "Absorbed",
    "Collinear",
    "Design",
    "Effect",
    "absorb",
    "degrees_absorbed",
    "find_collinear",
    "nested_in",
    "prepare",
    "refuse_collinear",
]

Method = Literal["auto", "direct", "conjugate_gradient", "alternating"]

_EXACT = 1e-13  # left after a sweep by rounding alone; a sweep that leaves more was not the whole projection
_CHEAP_PRODUCTS, _CHEAP_FLOPS = 4e7, 1e9  # equations that are formed and solved in less than a second
_BLOCK_BYTES = 16 << 20  # columns at a time: arrays that the allocator reuses, rather than maps anew
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
        Length of what is left of the effects in the residuals (estimated, for the iterative methods), as a
        share of the column's length once the largest effect is removed.
    variation : float64 ``[n_columns]``
        Weighted sum of squares about the mean of the columns as given, for `find_collinear`.
    method : str
        What was done, in words.
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
    kept: Mask
    converged: bool
    iterations: int
    error: Array
    variation: Array
    method: str
    singletons: int
    n_levels: tuple[int, ...]
    degrees_of_freedom: int
    rank: int | None


def absorb(
    columns: Array,
    effects: Sequence[Effect] | Design,
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
    effects : sequence of Effect, or Design
        A Design that `prepare` made, with its weights, serves any number of calls.
    weights : float64 ``[n_rows]``, optional
    method : ``auto``, ``direct``, ``conjugate_gradient`` or ``alternating``
        ``auto`` sweeps once, solves small equations directly, iterates otherwise, and solves large equations
        directly where the iteration did not converge.
    tolerance : float
        Of the residuals, relative to each column's length once the largest effect is removed.
    max_iterations : int
        Conjugate gradient steps.

    Raises
    ------
    InputError
        Where the columns have missing values, or a method is asked for that the effects are too large for.
    """
    if not isinstance(effects, Design):
        effects = prepare(effects, weights=weights)
    elif weights is not None:
        raise ValueError("expected weights in the design, got them beside it")
    columns = np.asarray(columns, dtype=np.float64)
    if columns.ndim != 2 or len(columns) != len(effects.kept) or columns.shape[1] == 0:
        raise ValueError(f"expected columns [{len(effects.kept)}, at least 1], got {columns.shape}")
    if not 1e-14 <= tolerance < 1 or max_iterations < 1:
        raise ValueError(f"expected 1e-14 <= tolerance < 1 and max_iterations >= 1, got {tolerance}")
    if effects.n_singletons:
        columns = columns[effects.kept]
    with jax.enable_x64(True):
        return _absorb(columns, _Solver(effects, method, tolerance, max_iterations))


def _absorb(columns: Array, solver: _Solver) -> Absorbed:
    design = solver.design
    n, n_columns = columns.shape
    parts: list[_Part] = []
    # Columns are contiguous in the result, and computed a few at a time.
    width = max(1, min(n_columns, _BLOCK_BYTES // (8 * n)))
    out = np.empty((n_columns, n)).T if width < n_columns else None
    for start in range(0, n_columns, width):
        block = columns[:, start : start + width]
        part = solver.residuals(jnp.asarray(np.ascontiguousarray(block)))
        if not np.isfinite(part.error).all():
            bad = start + int(np.flatnonzero(~np.isfinite(part.error))[0])
            raise InputError(f"column {bad} has missing or infinite values", remedy="drop those rows first")
        if out is not None:
            out[:, start : start + width] = part.residuals
            part = replace(part, residuals=part.residuals[:0])
        parts.append(part)
    residuals = np.asarray(parts[0].residuals) if out is None else out
    residuals.setflags(write=False)
    n_levels = tuple(effect.n_levels for effect in design.effects)
    error = np.concatenate([part.error for part in parts])
    return Absorbed(
        residuals=residuals,
        kept=design.kept,
        converged=all(part.converged for part in parts),
        iterations=max(part.iterations for part in parts),
        error=error,
        variation=np.concatenate([part.variation for part in parts]),
        method="; ".join(dict.fromkeys(part.method for part in parts)),
        singletons=design.n_singletons,
        n_levels=n_levels,
        degrees_of_freedom=degrees_absorbed(n_levels),
        rank=solver.rank,
    )


@dataclass(frozen=True)
class _Part:
    """Some columns, done; fields as those of Absorbed."""

    residuals: jax.Array
    error: Array
    variation: Array
    converged: bool
    iterations: int
    method: str


@dataclass(frozen=True)
class _Solver:
    """The methods on one design, what they need computed when first needed."""

    design: Design
    method: Method
    tolerance: float
    max_iterations: int

    def residuals(self, x: jax.Array) -> _Part:
        """By the method asked for, or by the first of them that does it."""
        e, scale, left = kernels.sweep(self.operator, x)
        size = np.asarray(scale)
        part = _Part(e, np.asarray(left), np.asarray(kernels.variation(self.operator, x)), True, 1, "")
        if not (np.isfinite(size) & np.isfinite(part.error)).all():
            return replace(part, error=np.where(np.isfinite(size + part.error), 0.0, np.nan))
        scale = jnp.where(scale > 0, scale, 1.0)
        if len(self.effects) == 1 and self.operator.eliminated:
            return self._auto(part, scale)
        if self.method == "alternating":
            if not self.exact:
                raise InputError(
                    f"'{self.names[-1]}' is too large to be taken out by itself",
                    remedy="use the method conjugate_gradient",
                )
            return self._iterate(part, x, scale, "sweeps")
        if self.method == "conjugate_gradient":
            return self._iterate(part, x, scale, "equations")
        if self.method == "direct":
            return self._solve(part, x, scale, self.any_equations)
        return self._auto(part, scale)

    def _auto(self, part: _Part, scale: jax.Array) -> _Part:
        swept = self._swept(part, scale)
        if swept is not None:
            return swept
        if self.cheap_equations is not None:
            return self._solve(part, part.residuals, scale, self.cheap_equations)
        found = self._iterate(part, part.residuals, scale, "equations")
        if found.converged or self.any_equations is None:
            return found
        return self._solve(part, found.residuals, scale, self.any_equations)

    def _swept(self, part: _Part, scale: jax.Array) -> _Part | None:
        """One sweep, or two where the first left rounding of a column far from zero; None if it takes more."""
        if not self.exact:
            return None
        error = part.error / np.asarray(scale)
        if not (error <= _EXACT).all():
            e, _, left = kernels.sweep(self.operator, part.residuals)
            error = np.asarray(left) / np.asarray(scale)
            # A column that the largest effect all but explains is measured against its own second sweep.
            if not (error <= _EXACT).all():
                return None
            part = replace(part, residuals=e, iterations=2)
        words = f"one sweep: {', then '.join(self.names)}"
        if len(self.names) > 1:
            words += " (their projections commute)"
        return replace(part, error=error, method=words)

    def _solve(self, part: _Part, x: jax.Array, scale: jax.Array, equations: Inverse | None) -> _Part:
        if equations is None:
            raise InputError(
                f"the equations of {', '.join(self.names)} are too many to be solved directly",
                remedy="use the method conjugate_gradient",
            )
        e, size = x, np.asarray(scale)
        for number in range(1, _REFINEMENTS + 1):
            e, left = direct.step(self.operator, equations.blocks, e)
            error = np.asarray(left) / size
            if (error <= min(_EXACT, self.tolerance)).all():
                break
        gone = f"{self.names[0]} eliminated, " if self.operator.eliminated else ""
        rest = " and ".join(self.names[k] for k in self.operator.rest)
        words = f"{gone}{equations.n_equations:,} equations of {rest} solved" if rest else self.names[0]
        if equations.n_blocks > 1:
            words += f" in {equations.n_blocks:,} blocks"
        done = bool((error <= self.tolerance).all())
        return replace(part, residuals=e, error=error, converged=done, iterations=number, method=words)

    def _iterate(self, part: _Part, x: jax.Array, scale: jax.Array, kind: iterative.Kind) -> _Part:
        found = iterative.iterate(
            self.operator, x, kind=kind, scale=scale, tolerance=self.tolerance, most=self.max_iterations
        )
        if kind == "sweeps":
            words = f"conjugate gradient on symmetric sweeps through {', '.join(self.names)}"
        else:
            gone = f", {self.names[0]} eliminated" if self.operator.eliminated else ""
            rest = " and ".join(self.names[k] for k in self.operator.rest) or "no other effect"
            words = f"conjugate gradient on the equations of {rest}{gone}"
        return replace(
            part,
            residuals=found.residuals,
            error=found.error,
            converged=found.converged,
            iterations=found.iterations,
            method=words,
        )

    @cached_property
    def effects(self) -> list[Levels]:
        return [self.design.effects[k] for k in self.design.active]

    @property
    def names(self) -> list[str]:
        return [effect.name for effect in self.effects]

    @cached_property
    def own(self) -> list[Inverse | None]:
        """Inverse of B'WB of effects with two levels a row; None for the others, and where it is too large."""
        weights = self.design.weights
        return [
            direct.invert(direct.own_equations(effect, weights)) if effect.members == 2 else None
            for effect in self.effects
        ]

    @property
    def exact(self) -> bool:
        """Each effect can be taken out by itself."""
        return all(
            effect.members == 1 or own is not None for effect, own in zip(self.effects, self.own, strict=True)
        )

    @cached_property
    def operator(self) -> Operator:
        inverses = []
        for effect, own in zip(self.effects, self.own, strict=True):
            weight = direct.level_weights(effect, self.design.weights)
            diagonal = np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)
            inverses.append(jnp.asarray(diagonal) if own is None else own.blocks)
        return Operator(
            codes=tuple(
                tuple(jnp.asarray(np.ascontiguousarray(code)) for code in effect.codes.T)
                for effect in self.effects
            ),
            inverses=tuple(inverses),
            weights=None if self.design.weights is None else jnp.asarray(self.design.weights),
            sizes=tuple(effect.size for effect in self.effects),
        )

    @cached_property
    def cheap_equations(self) -> Inverse | None:
        return self._equations(_CHEAP_PRODUCTS, _CHEAP_FLOPS)

    @cached_property
    def any_equations(self) -> Inverse | None:
        return self._equations(direct.MOST_PRODUCTS, direct.MOST_FLOPS)

    def _equations(self, most_products: float, most_flops: float) -> Inverse | None:
        """Inverse of the equations that are left once the first effect is eliminated."""
        weights = self.design.weights
        if not self.operator.eliminated:
            return self.own[0] if len(self.effects) == 1 else None
        if direct.products(self.effects) > most_products:
            return None
        return direct.invert(direct.schur_complement(self.effects, weights), most_flops=most_flops)

    @property
    def rank(self) -> int | None:
        """Of all effects together, if their equations were solved."""
        if len(self.effects) == 1:
            own = self.own[0]
            return self.effects[0].n_levels if self.operator.eliminated else own.rank if own else None
        known = [self.__dict__.get(name) for name in ("cheap_equations", "any_equations")]
        ranks = [self.effects[0].n_levels + inverse.rank for inverse in known if inverse is not None]
        return ranks[0] if ranks else None


# -- regressors that the effects explain -------------------------------------------------------------------


@dataclass(frozen=True)
class Collinear:
    """A regressor that adds nothing.

    Attributes
    ----------
    name : str
    partners : tuple of str
        Regressors before it that explain it together with the effects; none if the effects alone do.
    """

    name: str
    partners: tuple[str, ...]


def find_collinear(
    residuals: Array,
    variation: Array,
    names: Sequence[str],
    *,
    weights: Array | None = None,
    tolerance: float = 1e-9,
) -> tuple[Collinear, ...]:
    """Regressors that the effects, or the effects and the regressors before them, explain entirely.

    Parameters
    ----------
    residuals : float64 ``[n_kept, n_regressors]``
    variation : float64 ``[n_regressors]``
        Of the columns as given: `Absorbed.variation`.
    names : sequence of str
    weights : float64 ``[n_kept]``, optional
    tolerance : float
        Share of its variation that a regressor must keep.
    """
    names = tuple(names)
    q = residuals.T @ (residuals if weights is None else residuals * weights[:, None])
    found = []
    absorbed = [name for k, name in enumerate(names) if not q[k, k] > tolerance * variation[k]]
    free = [k for k, name in enumerate(names) if name not in absorbed]
    # Against what the effects leave of a regressor, not against its variation: that may be mostly theirs.
    dropped = collinear(q[np.ix_(free, free)], np.diag(q)[free], tuple(names[k] for k in free), tolerance)
    for k, name in enumerate(names):
        if name in absorbed:
            found.append(Collinear(name, ()))
        elif name in dropped:
            others = [n for n in free if n < k and names[n] not in dropped]
            weight = np.linalg.lstsq(q[np.ix_(others, others)], q[others, k], rcond=1e-12)[0]
            share = weight**2 * np.diag(q)[others]
            partners = [names[n] for n, s in zip(others, share, strict=True) if s > 1e-6 * share.max()]
            found.append(Collinear(name, tuple(partners)))
    return tuple(found)


def refuse_collinear(
    found: Sequence[Collinear], effects: Sequence[Effect], *, both_treated_kept: bool
) -> None:
    """Raise InputError that names the first collinear regressor, what explains it, and the way out.

    Parameters
    ----------
    found : sequence of Collinear
    effects : sequence of Effect
    both_treated_kept : bool
        Whether the sample has pairs of two treated units. Without them a treatment that is the sum of its
        members' own is the sum of two levels of unit x year.
    """
    if not found:
        return
    first = found[0]
    names = ", ".join(effect.name for effect in effects)
    if first.partners:
        everyone = ", ".join([*first.partners, first.name])
        raise InputError(
            f"'{first.name}' is collinear with {', '.join(first.partners)} once {names} are removed",
            remedy=f"leave out one of {everyone}",
        )
    remedy = "leave it out, or use coarser effects"
    both = [effect.name for effect in effects if np.ndim(effect.codes) == 2 and effect.codes.shape[1] == 2]
    if both and not both_treated_kept:
        remedy = (
            f"without pairs of two treated units a treatment is the sum of its members' {both[0]} effects: "
            f"keep those pairs, or leave out {both[0]}"
        )
    raise InputError(f"'{first.name}' has no variation left once {names} are removed", remedy=remedy)
