"""Imputed effects as a differentiable function of type sums of the untreated window, and the `Estimate` they make.

With U the untreated pair-years, and ~ deviations from a pair's means over its rows in U,

    first stage    y~_pt = x~_pt' g + l~_t + u_pt                                  least squares on U
    effects        b_r = sum_pt A_rpt (y~_pt - x~_pt' g - l~_t) / sum_pt A_rpt     treated rows of an average
    leads          y~_pt = x~_pt' h + m~_t + sum_k d_k L~_kpt + v_pt               least squares on U

All are functions of S, the sums of `engine.pairs.untreated_window` by type of pair. Their gradient is the influence of
a pair as the stacked moment conditions of both stages give it (Gardner's two-stage error): a pair weighs in the first
stage, in the sums of the effects and in the number of treated rows. Values without a city are those of S less its sums.
Sources: Borusyak, Jaravel and Spiess (2024), theorem 2 and, on leads, section 4.4; Gardner (2022), section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.normal import SMALLEST
from engine.pairs.moments import Layout


class WindowArrays(NamedTuple):
    """Rows that an imputation reads and averages, by type of pair, as 0 and 1; no statistics of the sample.

    Attributes
    ----------
    untreated : float64 ``[n_types, T]``
    averages : float64 ``[n_types, T, n_averages]``
        Treated rows of each average.
    leads : float64 ``[n_types, T, n_leads]``
        Untreated rows of each lead.
    columns : int32 ``[k + 1]``
        Positions of the regressors, then of the outcome, among the columns of the layout.
    """

    untreated: Array
    averages: Array
    leads: Array
    columns: Integers


class WindowSystem(NamedTuple):
    """Products over untreated rows of year dummies, and of [columns | leads | outcome], deviations within pairs.

    Attributes
    ----------
    years, cross, products : float64 ``[T, T]``, ``[T, q]``, ``[q, q]``
    """

    years: jax.Array
    cross: jax.Array
    products: jax.Array

    def off_years(self) -> OffYears:
        """The system once the years are partialled out."""
        size = jnp.maximum(jnp.diag(self.years).max(), 1e-9)
        is_empty = jnp.diag(self.years) < 1e-9 * size
        matrix = self.years / size + 1.0 / len(self.years) + jnp.diag(jnp.where(is_empty, 1.0, 0.0))
        on_years = jnp.linalg.solve(matrix, self.cross / size)
        left = self.products - self.cross.T @ on_years
        return OffYears(on_years, left, jnp.diag(self.products), _smallest(matrix) > SMALLEST)


class OffYears(NamedTuple):
    """[columns | leads | outcome] off both effects.

    Attributes
    ----------
    on_years : float64 ``[T, q]``
        Coefficients on the years, up to a constant, which pair effects take: any will do. Years without rows have zero.
    left : float64 ``[q, q]``
        Products of what is left.
    squares : float64 ``[q]``
        Before the years.
    identified : bool ``[]``
        Whether the rows identify the coefficients.
    """

    on_years: jax.Array
    left: jax.Array
    squares: jax.Array
    identified: jax.Array

    def first_stage(self, squares: Array | jax.Array) -> tuple[jax.Array, jax.Array]:
        """`least_squares` without the leads; squares ``[k]`` of the columns."""
        at = np.array([*range(len(squares)), len(self.squares) - 1])
        columns = OffYears(self.on_years[:, at], self.left[at][:, at], self.squares[at], self.identified)
        return columns.least_squares(squares)

    def least_squares(self, squares: Array | jax.Array) -> tuple[jax.Array, jax.Array]:
        """Slopes ``[q - 1]`` of the outcome, the last column, and year effects ``[T]``.

        A regressor without variation has the slope NaN, and all of them where they, or the years, are not identified.

        Parameters
        ----------
        squares : float64 ``[q - 1]``
            Those of the regressors in the whole sample, beside which rounding of a part of it is told.
        """
        on_years, left, identified = self.on_years, self.left, self.identified
        if not len(squares):
            return jnp.zeros(0), jnp.where(identified, on_years[:, -1], jnp.nan)
        varies, scale = self.squares[:-1] > SMALLEST * squares, jnp.sqrt(squares)
        scaled = left[:-1, :-1] / jnp.outer(scale, scale)
        scaled = jnp.where(jnp.outer(varies, varies), scaled, jnp.eye(len(scale)))
        slopes = jnp.linalg.solve(scaled, left[:-1, -1] / scale) / scale
        identified &= _smallest(scaled) > SMALLEST
        years = jnp.where(identified, on_years[:, -1] - on_years[:, :-1] @ slopes, jnp.nan)
        return jnp.where(identified & varies, slopes, jnp.nan), years


def _smallest(matrix: jax.Array) -> jax.Array:
    """The smallest singular value, of which no derivative is taken."""
    return jnp.linalg.svdvals(jax.lax.stop_gradient(matrix))[-1]


class TypeParts(NamedTuple):
    """Sums by type ``[n_types, T, T]``, ``[n_types, T, k + 1]``, and over all types ``[k + 1, k + 1]``."""

    ee: jax.Array
    ev: jax.Array
    vv: jax.Array


def split_sums(layout: Layout, arrays: WindowArrays, sums: jax.Array) -> TypeParts:
    """The parts of sums ``[n_types, size]``."""
    t, m, start = layout.n_years, layout.n_columns, 4 + layout.n_ee
    if layout.balanced:
        in_window = jnp.maximum(arrays.untreated[:, :, None], arrays.untreated[:, None])
        n_untreated = jnp.maximum(arrays.untreated.sum(1), 1.0)[:, None, None]
        ee = sums[:, 0, None, None] * (jnp.eye(t)[None] - in_window / n_untreated)
    else:
        ee = sums[:, 4:start][:, symmetric_places(t, layout.year_pairs)]
    ev = sums[:, start : start + layout.n_ev].reshape(len(sums), t, m)[:, :, arrays.columns]
    vv = sums[:, start + layout.n_ev :].sum(0)[symmetric_places(m, layout.column_pairs)]
    return TypeParts(ee, ev, vv[arrays.columns][:, arrays.columns])


def untreated_system(arrays: WindowArrays, sums: jax.Array, *, layout: Layout) -> WindowSystem:
    """Products over the untreated rows, columns and leads side by side."""
    parts, leads, untreated = split_sums(layout, arrays, sums), arrays.leads, jnp.asarray(arrays.untreated)
    window = untreated[:, :, None] * untreated[:, None] * parts.ee
    columns = (untreated[:, :, None] * parts.ev).sum(0)
    on_columns = jnp.einsum("ztm,ztl->ml", parts.ev, leads)
    squares = jnp.einsum("ztl,zts,zsn->ln", leads, window, leads)
    k = len(parts.vv) - 1
    cross = jnp.concatenate(
        [columns[:, :k], jnp.einsum("zts,zsl->tl", window, leads), columns[:, k:]], axis=1
    )
    of_columns, of_outcome = (
        jnp.concatenate([parts.vv[rows, :k], on_columns[rows], parts.vv[rows, k:]], axis=1)
        for rows in (slice(k), slice(k, None))
    )
    of_leads = jnp.concatenate([on_columns[:k].T, squares, on_columns[k:].T], axis=1)
    return WindowSystem(window.sum(0), cross, jnp.concatenate([of_columns, of_leads, of_outcome]))


def imputed(
    parameters: tuple[WindowArrays, Array | jax.Array], sums: jax.Array, *, layout: Layout
) -> jax.Array:
    """Slopes of the columns, the first average, leads, then the averages that remain ``[K]``.

    NaN for what the sums do not identify.

    Parameters
    ----------
    parameters : (WindowArrays, float64 ``[k + n_leads]``)
        With the squares of columns and leads in the whole sample.
    sums : float64 ``[n_types, size]``
    layout : Layout
    """
    arrays, squares = parameters
    return _values(arrays, untreated_system(arrays, sums, layout=layout).off_years(), squares, sums, layout)


def _values(
    arrays: WindowArrays, system: OffYears, squares: Array | jax.Array, sums: jax.Array, layout: Layout
) -> jax.Array:
    """`imputed` from the system of the same sums."""
    k = len(arrays.columns) - 1
    slopes, years = system.first_stage(squares[:k])
    leads = system.least_squares(squares)[0][k:]
    averages = _averages(arrays, split_sums(layout, arrays, sums), slopes, years)
    return jnp.concatenate([slopes, averages[:1], leads, averages[1:]])


def _averages(arrays: WindowArrays, parts: TypeParts, slopes: jax.Array, years: jax.Array) -> jax.Array:
    """Averages over treated rows ``[n_averages]`` of the outcome less the imputed one."""
    of_columns = jnp.einsum("ztk,k->zt", parts.ev[:, :, :-1], slopes)
    effects = parts.ev[:, :, -1] - of_columns - jnp.einsum("zts,s->zt", parts.ee, years)
    rows = jnp.diagonal(parts.ee, axis1=1, axis2=2)  # of treated years their number
    has_effect = (jnp.asarray(arrays.untreated) * rows).sum(0) > 1e-6
    n_rows, n_unknown = (
        jnp.einsum("zt,ztr->r", counted, arrays.averages)
        for counted in (rows, jnp.where(has_effect[None], 0.0, rows))
    )
    sums = jnp.einsum("zt,ztr->r", effects, arrays.averages)
    is_known = (n_rows > 1e-6) & (n_unknown < 1e-6)
    return jnp.where(is_known, sums / jnp.where(n_rows > 1e-6, n_rows, 1.0), jnp.nan)


def rows_by_type(layout: Layout, untreated: Array, sums: Array) -> Array:
    """``[..., n_types, T]`` rows that are treated, of sums ``[..., n_types, size]``.

    Of untreated ones the squares of their dummy within pairs, above zero where rows tell a year effect.
    """
    if layout.balanced:
        n_untreated = np.maximum(untreated.sum(axis=1, keepdims=True), 1.0)
        return np.asarray(sums[..., :1] * (1.0 - untreated / n_untreated))
    earlier, later = layout.year_pairs
    return np.asarray(sums[..., 4 + np.flatnonzero(earlier == later)])


def n_year_effects(layout: Layout, untreated: Array, sums: Array) -> Integers:
    """Years ``[...]`` with an effect of the first stage."""
    squares = np.einsum("...zt,zt->...t", rows_by_type(layout, untreated, sums), untreated)
    return np.asarray((squares > 1e-6).sum(axis=-1))


def symmetric_places(n: int, pairs: tuple[Array, Array]) -> Integers:
    """``[n, n]`` positions of the entries of a symmetric matrix in its flattened upper triangle."""
    places = np.zeros((n, n), dtype=np.int32)
    places[pairs] = places[pairs[::-1]] = np.arange(len(pairs[0]))
    return places


@lru_cache
def imputed_function(layout: Layout) -> Callable[[tuple[WindowArrays, Array], jax.Array], jax.Array]:
    """`imputed` of one layout: one function each, since one compiled is found again by its identity."""
    return partial(imputed, layout=layout)


@partial(jax.jit, static_argnames="layout")
def first_stage(arrays: WindowArrays, sums: jax.Array, *, layout: Layout) -> tuple[OffYears, jax.Array]:
    """[columns | leads | outcome] off both effects in a whole sample, and the year effects ``[T]``."""
    system = untreated_system(arrays, sums, layout=layout).off_years()
    return system, system.first_stage(system.squares[: len(arrays.columns) - 1])[1]


@lru_cache
def imputed_in_sample(layout: Layout) -> Callable[[WindowArrays, jax.Array], jax.Array]:
    """`imputed` beside the squares of the sample's own columns and leads, for samples that follow from a first."""

    def of_sums(arrays: WindowArrays, sums: jax.Array) -> jax.Array:
        system = untreated_system(arrays, sums, layout=layout).off_years()
        return _values(arrays, system, jax.lax.stop_gradient(system.squares[:-1]), sums, layout)

    return of_sums
