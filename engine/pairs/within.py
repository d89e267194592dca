"""Deviations of pair columns from their pair means, and products of them: the steps of `kernels` that square.

Nothing is squared or multiplied at its level. A mean carries the rounding of the level, about 1e-16 of it; the mean of
the deviations takes that away, so that x and x + 1e12 have the same deviations wherever float64 can hold both.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from engine.arrays import AnyArray

_UNROLLED = 12  # columns: up to here each product is compiled on its own, which is faster to run; then a loop


def demean(
    v: Array, row: Array, *, balanced: bool, profile: Array | None = None, of_mean: Array | None = None
) -> tuple[Array, Array, Array]:
    """Deviations from the means over years (axis 1) with the rows' weights, zero where these are; means; weights.

    A column whose deviations are what rounding leaves of a constant has none, so that the search for collinear
    regressors sees no variation where there is none.

    Parameters
    ----------
    v : float64 ``[chunk, T, m]``
        Zero where a row is missing.
    row : float64 ``[chunk, T]``
        Weights of the rows.
    balanced : bool
        All weights are one.
    profile : float64 ``[T, m]``, optional
        Subtracted from the columns first of all; the means are those of the columns themselves.
    of_mean : float64 ``[chunk, T]``, optional
        Weights in the means, and those returned, where they are not of all rows; not with ``balanced``.
    """
    n_years, weights = v.shape[1], row if of_mean is None else of_mean
    if balanced:
        n = jnp.full(len(v), float(n_years))
    else:
        n = weights.sum(1)
        n = jnp.where(n > 0, n, 1.0)

    def mean_of(x: Array) -> Array:
        return x.mean(1) if balanced else (weights[:, :, None] * x).sum(1) / n[:, None]

    if profile is not None:
        v = v - jnp.where(row[:, :, None] > 0, profile[None], 0.0)
    first = mean_of(v)
    centred = v - first[:, None]
    correction = mean_of(centred)
    centred = centred - correction[:, None]
    mean = first + correction
    size = jnp.abs(mean)
    if profile is not None:
        mean = mean + (profile.mean(0, keepdims=True) if balanced else weights @ profile / n[:, None])
        size = size + jnp.abs(profile).max(0, keepdims=True)
    observed = None if balanced else row[:, :, None] > 0
    length = jnp.abs(centred if observed is None else jnp.where(observed, centred, 0.0)).max(1)
    varies = (length > n_years * jnp.finfo(v.dtype).eps * size)[:, None]
    return jnp.where(varies if observed is None else varies & observed, centred, 0.0), mean, n


def column_products(weighted: Array, deviations: Array, pairs: tuple[AnyArray, AnyArray]) -> Array:
    """Sums over years of products of two columns each, ``[chunk, n_products]``, from columns ``[chunk, T, m]``."""
    # Pairs last: each product runs along contiguous pairs.
    left_columns, right_columns = weighted.transpose(2, 1, 0), deviations.transpose(2, 1, 0)
    if len(left_columns) <= _UNROLLED:
        products = [(left_columns[a] * right_columns[b]).sum(0) for a, b in zip(*pairs, strict=True)]
        return jnp.stack(products, axis=1)
    all_products = jax.lax.map(
        lambda a: (left_columns[a][None] * right_columns).sum(1), jnp.arange(len(left_columns))
    )
    return all_products[pairs].T


def weight_products(
    columns: Array, row: Array, influence: Array, residuals: Sequence[Array], *, balanced: bool
) -> tuple[list[Array], Array]:
    """Sums over years of weight paths times residuals, and of their squares, from coefficients ``[T + m, C * K]``.

    Year by year, so that no path of all years is held. Without missing rows the path is near its mean once that of the
    years' coefficients is gone, and the squares of both can be subtracted; else the mean is known first.

    Parameters
    ----------
    columns : float64 ``[chunk, T, m]``
    row : float64 ``[chunk, T]``
        Weights of the rows.
    influence : float64 ``[T + m, C * K]``
    residuals : sequence of float64 ``[chunk, T, C]``
        Without their pair means, zero where there is no row.
    balanced : bool

    Returns
    -------
    products : list of float64 ``[chunk, C, K]``
        One for each of the residuals.
    squares : float64 ``[chunk, C, K]``
        Of weight paths without their pair means.
    """
    n_years, (size, _, n_cells) = columns.shape[1], residuals[0].shape
    n_terms = influence.shape[1] // n_cells
    of_years, of_columns = influence[:n_years], influence[n_years:]
    of_years = of_years - of_years.mean(0, keepdims=True)
    none = jnp.zeros((size, influence.shape[1]))

    def path(year: Array) -> Array:
        return columns[:, year] @ of_columns + of_years[year][None]

    def add(year: Array, sums: tuple[list[Array], Array, Array]) -> tuple[list[Array], Array, Array]:
        of_year = path(year)
        weighted = row[:, year, None] * of_year
        products = [
            of_residual + weighted * jnp.repeat(residual[:, year], n_terms, axis=1)
            for of_residual, residual in zip(sums[0], residuals, strict=True)
        ]
        return products, sums[1] + weighted, sums[2] + weighted * of_year

    start = [none] * len(residuals), none, none
    products, total, squares = jax.lax.fori_loop(0, n_years, add, start)
    if balanced:
        squares = squares - total * total / n_years
    else:
        total_weight = row.sum(1)
        mean = total / jnp.where(total_weight > 0, total_weight, 1.0)[:, None]

        def add_square(year: Array, sums: Array) -> Array:
            return sums + (row[:, year, None] * (path(year) - mean)) ** 2

        squares = jax.lax.fori_loop(0, n_years, add_square, none)
    shape = size, n_cells, n_terms
    return [of_residual.reshape(shape) for of_residual in products], squares.reshape(shape)
