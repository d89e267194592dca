"""Products of the influences of pairs, linear in the statistics of the first pass by type of pair."""

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
    jacobian, h = arrays["jacobian"], options.n_classes
    statistics, _ = kernels.pair_statistics(options, arrays, chunk)
    both = kernels.pair_classes(arrays, chunk)
    low, high = jnp.minimum(*both), jnp.maximum(*both)
    kind = low * h - low * (low - 1) // 2 + high - low

    def add_type(number: jax.Array, psi: jax.Array) -> jax.Array:
        return psi + jnp.where(
            (kind == number.astype(kind.dtype))[:, None], statistics @ jacobian[number], 0.0
        )

    psi = jax.lax.fori_loop(0, len(jacobian), add_type, jnp.zeros((len(kind), jacobian.shape[2])))
    psi = jnp.pad(psi, ((0, -len(psi) % _BLOCK), (0, 0)))

    def add_block(block: jax.Array, total: jax.Array) -> jax.Array:
        of_block = jax.lax.dynamic_slice_in_dim(psi, block * _BLOCK, _BLOCK)
        return total + of_block.T @ of_block

    return jax.lax.fori_loop(0, len(psi) // _BLOCK, add_block, jnp.zeros((psi.shape[1],) * 2))
