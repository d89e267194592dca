"""The second pass over the pairs as pure kernels: influences of every pair once coefficients are known.

Arguments are those of `engine.pairs.kernels`, whose columns these read again.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from engine.pairs.kernels import (
    CityArrays,
    KernelOptions,
    PairChunk,
    deviations,
    pair_classes,
    pair_columns,
)
from engine.pairs.untreated_window import window_rows
from engine.pairs.within import demean, weight_products

_BLOCK = 128  # pairs that a product of matrices adds up: a fixed order, on one thread and on many


@partial(jax.jit, static_argnames="options")
def score_products(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array]:
    """Sums over pairs of the products of pair influences, for a block of cells.

    A pair's influence on the coefficients of a cell is psi = sum_t r_t e_t, with residual e and residualised
    regressors r, both linear in the pair's columns; the bread is inside r.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        ``terms`` ``[H, H, T, r]`` treatment paths by class; ``residual`` ``[T + m + r, C]`` and ``influence``
        ``[T + m + r, C * K]``, coefficients on years, columns and terms.

    Returns
    -------
    pair_meat : float64 ``[C, K, K]``
        Sum over pairs of psi psi'.
    reciprocal_meat : float64 ``[C, K, K]``
        Directed tables: sum over dyads of psi_ij psi_ji' and its transpose; zero otherwise.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    return _meats(options, _influences(options, chunk, columns, row, path, cells["influence"]))


@partial(jax.jit, static_argnames="options")
def pair_influences(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array]:
    """The influences psi of `score_products`, float64 ``[chunk, C, K]``, and which pairs have a row, ``[chunk]``."""
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    return _influences(options, chunk, columns, row, path, cells["influence"]), (row > 0).any(axis=1)


def _cell_paths(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """Columns and terms ``[chunk, T, m + r]``, row weights ``[chunk, T]``, paths of the residuals ``[chunk, T, C]``."""
    columns, row = _columns_and_terms(options, arrays, chunk, cells["terms"])
    n_years = columns.shape[1]
    return columns, row, columns @ cells["residual"][n_years:] + cells["residual"][None, :n_years]


def _columns_and_terms(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, terms: Array
) -> tuple[Array, Array]:
    """Columns, the outcome the last of them, then terms ``[chunk, T, m + r]``; row weights ``[chunk, T]``."""
    v, row, _, _ = pair_columns(options, arrays, chunk)
    # Of levels far from zero the sums of products would keep no digits.
    v, _, _ = deviations(options, arrays, v, row)
    return jnp.concatenate([v, terms[pair_classes(arrays, chunk)]], axis=2), row


def _influences(
    options: KernelOptions, chunk: PairChunk, columns: Array, row: Array, path: Array, influence: Array
) -> Array:
    """Sums over years of weights times residuals ``[chunk, C, K]``, whose pair means do not matter."""
    return _scores(chunk, columns, row, _deviations(options, row, path), influence)


def _deviations(options: KernelOptions, row: Array, path: Array) -> Array:
    """Paths without their pair means, zero where there is no row, ``[chunk, T, C]``."""
    return demean(jnp.where(row[:, :, None] > 0, path, 0.0), row, balanced=options.layout.balanced)[0]


def _scores(chunk: PairChunk, columns: Array, row: Array, residual: Array, influence: Array) -> Array:
    """`_influences` of residuals without their pair means, zero where there is no row."""
    # Scores on every column, summed over years; then the few that a cell has are combined.
    moved = _sums_on_columns(chunk, columns, row, residual)
    n_cells = residual.shape[2]
    by_cell = influence.reshape(len(influence), n_cells, -1)
    return jnp.stack([moved[:, :, cell] @ by_cell[:, cell] for cell in range(n_cells)], axis=1)


def _sums_on_columns(chunk: PairChunk, columns: Array, row: Array, residual: Array) -> Array:
    """Sums over years of residuals times each year, column and term, ``[chunk, T + m + r, C]``."""
    if chunk.weights is not None:
        residual = row[:, :, None] * residual
    return jnp.concatenate([residual, jnp.einsum("ptm,ptc->pmc", columns, residual)], axis=1)


def _meats(options: KernelOptions, psi: Array) -> tuple[Array, Array]:
    """Sums of psi psi' over the pairs, and over the two directions of each dyad."""
    pair_meat = (psi[:, :, :, None] * psi[:, :, None, :]).sum(0)
    if not options.directed:
        return pair_meat, jnp.zeros_like(pair_meat)
    there, back = psi[0::2], psi[1::2]
    cross = (there[:, :, :, None] * back[:, :, None, :]).sum(0)
    return pair_meat, cross + jnp.swapaxes(cross, 1, 2)


@partial(jax.jit, static_argnames="options")
def row_weights(options: KernelOptions, arrays: CityArrays, chunk: PairChunk) -> Array:
    """Weights of the rows of pairs, zero for those that do not count, float64 ``[chunk, T]``."""
    row = pair_columns(options, arrays, chunk)[1]
    if "untreated" in arrays:
        return window_rows(row, arrays["untreated"][pair_classes(arrays, chunk)])[0]
    return row


@partial(jax.jit, static_argnames="options")
def interaction_sums(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array, Array, Array, Array | None]:
    """`score_products`, and sums over pairs of what city-year effects leave of their influences.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        As in `score_products`, with ``city_years`` ``[n_units, T, C]``, effects of the cells' residuals; of directed
        tables those of second cities follow, and phi and kappa are those of dyads.

    Returns
    -------
    pair_meat, reciprocal_meat : float64 ``[C, K, K]``
    products : float64 ``[C, K, K]``
        Sum of phi phi' with phi = sum_t r_t (e_t - a_it - a_jt).
    squares : float64 ``[C, K]``
        Sum of kappa^2 with kappa = sum_t r_t^2.
    of_cities : float64 ``[n_units, C, K]`` or None
        Sums of kappa over the pairs of each city, where rows have weights; else they follow from the moments.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    residual = _deviations(options, row, path)
    without_cities = residual - _city_years(options, arrays, chunk, row, cells["city_years"])
    classes, (i, j) = arrays["classes"], (chunk.i, chunk.j)
    balanced = options.layout.balanced
    (psi, phi), kappa = weight_products(
        columns, row, cells["influence"], (residual, without_cities), balanced=balanced
    )
    of_cities = None
    if chunk.weights is not None:
        of_cities = jnp.zeros((len(classes), *kappa.shape[1:])).at[i].add(kappa).at[j].add(kappa)
    if options.directed:
        phi, kappa = phi[0::2] + phi[1::2], kappa[0::2] + kappa[1::2]
    products = (phi[:, :, :, None] * phi[:, :, None, :]).sum(0)
    return *_meats(options, psi), products, (kappa * kappa).sum(0), of_cities


def _city_years(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, row: Array, city_years: Array
) -> Array:
    """Effects of both cities in each year, without their pair means ``[chunk, T, C]``."""
    if options.layout.balanced:
        city_years = city_years - city_years.mean(1, keepdims=True)
    of_ends = city_years[chunk.i] + city_years[chunk.j + (len(city_years) - len(arrays["classes"]))]
    of_ends = jnp.where(row[:, :, None] > 0, of_ends, 0.0)
    return of_ends if options.layout.balanced else demean(of_ends, row, balanced=False)[0]


@partial(jax.jit, static_argnames="options")
def near_products(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array], near: Array
) -> Array:
    """Sums over undirected pairs of k_ij phi phi', phi as in `interaction_sums`; float64 ``[n_kernels, C, K, K]``.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        As in `interaction_sums`.
    near : float64 ``[n_kernels, chunk]``
        k_ij of the pairs.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    of_ends = _city_years(options, arrays, chunk, row, cells["city_years"])
    phi = _scores(chunk, columns, row, _deviations(options, row, path) - of_ends, cells["influence"])
    return jnp.stack(
        [((of_kernel[:, None, None] * phi)[:, :, :, None] * phi[:, :, None, :]).sum(0) for of_kernel in near]
    )


@partial(jax.jit, static_argnames="options")
def interaction_products(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, columns: dict[str, Array]
) -> Array:
    """Sums over pairs of products from which the ``products`` of `interaction_sums` follow for any number of cells.

    With x_ft the columns of a pair and z_gt what city-year effects leave of them, phi is the sum over f and g of
    weight_f residual_g n_fg with n_fg = sum_t x_ft z_gt; years leave nothing. For complete undirected pairs.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    columns : dict
        ``terms`` ``[H, H, T, r]``; ``city_years`` ``[n_units, T, m + r]``, effects of the columns (the outcome the last
        of m), then of the terms.

    Returns
    -------
    float64 ``[D, D]``
        D = (T + m - 1 + r) (m + r): first [years | columns | terms], then [columns | outcome | terms].
    """
    paths, row = _columns_and_terms(options, arrays, chunk, columns["terms"])
    city_years, outcome = columns["city_years"], paths.shape[2] - columns["terms"].shape[3] - 1
    left = paths - city_years[chunk.i] - city_years[chunk.j]
    left, _, _ = demean(jnp.where(row[:, :, None] > 0, left, 0.0), row, balanced=True)
    regressors = jnp.concatenate([paths[:, :, :outcome], paths[:, :, outcome + 1 :]], axis=2)
    n = jnp.concatenate([left, jnp.einsum("ptf,ptg->pfg", regressors, left)], axis=1).reshape(len(left), -1)

    def add(block: Array, total: Array) -> Array:
        of_block = jax.lax.dynamic_slice_in_dim(n, block * _BLOCK, _BLOCK)
        return total + of_block.T @ of_block

    n = jnp.pad(n, ((0, -len(n) % _BLOCK), (0, 0)))
    return jax.lax.fori_loop(0, len(n) // _BLOCK, add, jnp.zeros((n.shape[1], n.shape[1])))


@partial(jax.jit, static_argnames="options")
def two_way_sums(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array]:
    """Sums over years of the parts of a residual, and of a weight path, times every column.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        As in `interaction_sums`, of one cell and one coefficient.

    Returns
    -------
    sums : float64 ``[chunk, 4, T + m + r]``
        Of a_it, of a_jt, of what both leave of the residual, and of the weight path; on [years | columns | terms],
        the outcome the last column.
    counted : bool ``[chunk]``
        Pairs with a row.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    city_years, influence = cells["city_years"], cells["influence"]
    n_years = columns.shape[1]
    second = chunk.j + (len(city_years) - len(arrays["classes"]))
    weight = columns @ influence[n_years:] + influence[None, :n_years]
    parts = jnp.concatenate([city_years[chunk.i], city_years[second], path, weight], axis=2)
    parts, _, _ = demean(jnp.where(row[:, :, None] > 0, parts, 0.0), row, balanced=options.layout.balanced)
    parts = parts.at[:, :, 2].add(-parts[:, :, 0] - parts[:, :, 1])
    sums = _sums_on_columns(chunk, columns, row, parts)
    return jnp.swapaxes(sums, 1, 2), (row > 0).any(axis=1)
