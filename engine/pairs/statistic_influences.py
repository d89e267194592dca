"""Passes over pairs whose influences are linear in the statistics of the first pass, by type of pair.

`statistic_products` sums products of the influences; where statistics are of the untreated window,
`window_interactions` sums those of what city-year effects leave of the influences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array
from engine.float64 import double_precision
from engine.pairs import kernels
from engine.pairs.design import Chunk
from engine.pairs.map_reduce import ChunkArrays, MomentPass, by_chunk, city_arrays, kernel_options
from engine.pairs.untreated_window import window_deviations, window_rows

_BLOCK = 128  # pairs that a product of matrices adds up: a fixed order, on one thread and on many


@dataclass(frozen=True)
class JacobianPass:
    """Input of every task: that of the first pass, and what each statistic of a pair weighs in its influences.

    Attributes
    ----------
    moment_pass : MomentPass
    jacobian : float64 ``[n_types, size, K]``
        By the type of pair, see `engine.pairs.moments.type_of`.
    """

    moment_pass: MomentPass
    jacobian: Array


def statistic_products(jacobian_pass: JacobianPass, task: object) -> Array:
    """Sum of psi psi' over the pairs of one task, ``[K, K]``."""
    moment_pass, jacobian = jacobian_pass.moment_pass, jacobian_pass.jacobian
    options = kernel_options(moment_pass)
    products = np.zeros((jacobian.shape[2],) * 2)
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass) | {"jacobian": jacobian})

        def of_chunk(chunk: Chunk) -> ChunkArrays:
            return (_products(options, arrays, kernels.arrays_of(chunk)),)

        for _, (of_pairs,) in by_chunk(of_chunk, moment_pass.design.chunks(task)):
            products += of_pairs
    return products


@partial(jax.jit, static_argnames="options")
def _products(
    options: kernels.KernelOptions, arrays: kernels.CityArrays, chunk: kernels.PairChunk
) -> jax.Array:
    """Sum of psi psi' over the pairs of a chunk, psi = statistics of a pair times the Jacobian of its type."""
    jacobian = arrays["jacobian"]
    statistics, _ = kernels.pair_statistics(options, arrays, chunk)
    kind = _types(options, arrays, chunk)

    def add_type(number: jax.Array, psi: jax.Array) -> jax.Array:
        return psi + jnp.where(
            (kind == number.astype(kind.dtype))[:, None], statistics @ jacobian[number], 0.0
        )

    return _squared(jax.lax.fori_loop(0, len(jacobian), add_type, jnp.zeros((len(kind), jacobian.shape[2]))))


def _squared(psi: jax.Array) -> jax.Array:
    """Sum over pairs of psi psi' ``[K, K]``, of ``[chunk, K]``."""
    psi = jnp.pad(psi, ((0, -len(psi) % _BLOCK), (0, 0)))

    def add_block(block: jax.Array, total: jax.Array) -> jax.Array:
        of_block = jax.lax.dynamic_slice_in_dim(psi, block * _BLOCK, _BLOCK)
        return total + of_block.T @ of_block

    return jax.lax.fori_loop(0, len(psi) // _BLOCK, add_block, jnp.zeros((psi.shape[1],) * 2))


def _types(options: kernels.KernelOptions, arrays: kernels.CityArrays, chunk: kernels.PairChunk) -> jax.Array:
    """Types of the pairs of a chunk, see `engine.pairs.moments.type_of`."""
    both, h = kernels.pair_classes(arrays, chunk), options.n_classes
    low, high = jnp.minimum(*both), jnp.maximum(*both)
    return low * h - low * (low - 1) // 2 + high - low


@dataclass(frozen=True)
class WindowPaths:
    """Weights of the outcomes of one cell's pair-years in its coefficients, and its residuals; K coefficients.

    Attributes
    ----------
    of_outcome : float64 ``[n_types, T, K]``
        Of the outcome less its mean over the window, by type of pair and year.
    of_columns : float64 ``[m, K]``
        Of its products with the columns, the outcome the last, over the window.
    coefficients : float64 ``[m]``
        Of the columns in the residual; 1 of the outcome.
    paths : float64 ``[n_types, T]``
        Taken off the residual, by type of pair and year.
    city_years : float64 ``[n_units, T]``
        Effects of cities in years, of the residuals.
    """

    of_outcome: Array
    of_columns: Array
    coefficients: Array
    paths: Array
    city_years: Array


@dataclass(frozen=True)
class WindowPass:
    """Input of every task: that of the first pass, and the paths of each cell."""

    moment_pass: MomentPass
    cells: tuple[WindowPaths, ...]


@dataclass(frozen=True)
class WindowInteraction:
    """Sums of one cell over pairs, as `influence_kernels.interaction_sums` has them.

    float64 ``[K, K]``, ``[K]``, ``[n_units, K]``; ``influence`` ``[n_units, K]`` that of the residuals of each city.
    """

    products: Array
    kappa_squares: Array
    kappa: Array
    influence: Array

    def __add__(self, later: WindowInteraction) -> WindowInteraction:
        return WindowInteraction(
            self.products + later.products,
            self.kappa_squares + later.kappa_squares,
            self.kappa + later.kappa,
            self.influence + later.influence,
        )


def window_interactions(window_pass: WindowPass, task: object) -> tuple[WindowInteraction, ...]:
    """Sums over the pairs of one task, of each cell."""
    moment_pass = window_pass.moment_pass
    options = kernel_options(moment_pass)
    sums: list[WindowInteraction] = []
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        for cell in window_pass.cells:
            block = kernels.to_device(vars(cell))

            def of_chunk(chunk: Chunk, block: kernels.CityArrays = block) -> ChunkArrays:
                return _interactions(options, arrays, kernels.arrays_of(chunk), block)

            n_units, k = len(cell.city_years), cell.of_columns.shape[1]
            total = WindowInteraction(np.zeros((k, k)), np.zeros(k), *np.zeros((2, n_units, k)))
            for _, of_pairs in by_chunk(of_chunk, moment_pass.design.chunks(task)):
                total += WindowInteraction(*of_pairs)
            sums.append(total)
    return tuple(sums)


def merge_window_interactions(
    earlier: tuple[WindowInteraction, ...], later: tuple[WindowInteraction, ...]
) -> tuple[WindowInteraction, ...]:
    """Sums of two partial results, of each cell."""
    return tuple(of_earlier + of_later for of_earlier, of_later in zip(earlier, later, strict=True))


@partial(jax.jit, static_argnames="options")
def _interactions(
    options: kernels.KernelOptions,
    arrays: kernels.CityArrays,
    chunk: kernels.PairChunk,
    cell: dict[str, jax.Array],
) -> tuple[jax.Array, ...]:
    """The sums of `WindowInteraction` over the pairs of a chunk.

    Of phi phi' with phi = sum_t r_t (e_t - a_it - a_jt), of kappa^2 with kappa = sum_t r_t^2, and by city of kappa and
    of sum_t r_t e_t; r_t is the derivative of a coefficient by the outcome of the pair in the year.
    """
    v, row, _, _ = kernels.pair_columns(options, arrays, chunk)
    row, window = window_rows(row, arrays["untreated"][kernels.pair_classes(arrays, chunk)])
    kind, of_outcome = _types(options, arrays, chunk), cell["of_outcome"]
    columns, n = window_deviations(v, row, window)
    of_ends = cell["city_years"][chunk.i] + cell["city_years"][chunk.j]
    paths, _ = window_deviations(jnp.stack([cell["paths"][kind], of_ends], axis=2), row, window)
    residual = columns @ cell["coefficients"] - paths[:, :, 0]
    n_years, k = of_outcome.shape[1:]
    none = jnp.zeros((len(kind), k))

    def add_direct(year: jax.Array, total: jax.Array) -> jax.Array:
        return total + row[:, year, None] * of_outcome[kind, year]

    through_mean = jax.lax.fori_loop(0, n_years, add_direct, none) / n[:, None]

    def add(year: jax.Array, sums: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        indirect = columns[:, year] @ cell["of_columns"] - through_mean
        weight = row[:, year, None] * of_outcome[kind, year] + window[:, year, None] * indirect
        of_residual = weight * residual[:, year, None]
        return sums[0] + of_residual, sums[1] + weight * paths[:, year, 1, None], sums[2] + weight**2

    influence, of_cities, kappa = jax.lax.fori_loop(0, n_years, add, (none, none, none))

    def by_city(values: jax.Array) -> jax.Array:
        return jnp.zeros((len(arrays["classes"]), k)).at[chunk.i].add(values).at[chunk.j].add(values)

    return _squared(influence - of_cities), (kappa**2).sum(0), by_city(kappa), by_city(influence)
