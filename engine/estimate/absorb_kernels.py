"""Sums over the levels of effects, and one sweep through all of them: the array work of absorption, in JAX.

For effect k with incidence B_k and weights W, levels of the effects meet in the blocks G_kl = B_k'W B_l. All work
between reading the columns and writing their residuals is on coefficients of levels, [level, column]; rows are
visited a chunk at a time, so that no array of rows x columns is ever made and a chunk stays in cache.

Columns are the last axis: adding to a level adds contiguous numbers. Chunks are padded with a level of their own,
the last of each effect, whose coefficients stay zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Coefficients = tuple[Array, ...]
"""``[n_levels + 1, n_columns]`` of each effect."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Blocks:
    """Generalised inverse of a symmetric matrix that falls into blocks, by size of block.

    Attributes
    ----------
    positions : tuple of int32 ``[n_blocks, size]``
        Levels of each block; the number of levels stands for a place not used.
    matrices : tuple of float64 ``[n_blocks or 1, size, size]``
        Inverse of each block, or the one that all share.
    """

    positions: tuple[Array, ...]
    matrices: tuple[Array, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Operator:
    """The effects as the kernels see them, in the order of a sweep.

    Attributes
    ----------
    codes : tuple of tuple of int32 ``[n_groups, n_chunks, chunk]``
        Levels of each row, one array for each member. A group of chunks is read or written in one call.
    inverses : tuple of float64 ``[n_levels + 1]`` or Blocks
        Inverse of G_kk: one over the weight of a level, or blocks where two levels apply to a row.
    weights : float64 ``[n_groups, n_chunks, chunk]`` or None
    sizes : tuple of int
        Levels of each effect, with that of the padding.
    """

    codes: tuple[tuple[Array, ...], ...]
    inverses: tuple[Array | Blocks, ...]
    weights: Array | None
    sizes: tuple[int, ...] = field(metadata={"static": True})

    @property
    def eliminated(self) -> bool:
        """The first effect has one level a row, so that it can be taken out of the equations exactly."""
        return len(self.codes[0]) == 1

    @property
    def rest(self) -> range:
        """Effects that are left in the equations."""
        return range(1 if self.eliminated else 0, len(self.codes))

    def group(self, number: Array | None = None) -> Any:
        """Codes and weights ``[n_chunks, chunk]`` of one group of rows, or of all."""
        if number is None:
            return jax.tree.map(lambda part: part.reshape(-1, part.shape[-1]), (self.codes, self.weights))
        return jax.tree.map(lambda part: part[number], (self.codes, self.weights))


def zeros(operator: Operator, targets: Iterable[int], n_columns: int) -> dict[int, Array]:
    return {k: jnp.zeros((operator.sizes[k], n_columns)) for k in targets}


def _spread(codes: tuple[tuple[Array, ...], ...], sources: Mapping[int, Array]) -> Array:
    """``[chunk, n_columns]`` sum of the coefficients that apply to each row."""
    parts = [b.at[code].get(mode="promise_in_bounds") for k, b in sources.items() for code in codes[k]]
    return sum(parts[1:], parts[0])


def _add(
    codes: tuple[tuple[Array, ...], ...], weights: Array | None, v: Array, into: Mapping[int, Array]
) -> dict[int, Array]:
    """Add weighted rows to the sums of their levels."""
    u = v if weights is None else v * weights[:, None]
    out = dict(into)
    for k in into:
        for code in codes[k]:
            out[k] = out[k].at[code].add(u, mode="promise_in_bounds")
    return out


def solve(inverse: Array | Blocks, g: Array) -> Array:
    """Inverse of G_kk, or of another matrix in blocks, times sums."""
    if not isinstance(inverse, Blocks):
        return inverse[:, None] * g
    out, padded = jnp.zeros_like(g), g.at[-1].set(0.0)
    for positions, matrices in zip(inverse.positions, inverse.matrices, strict=True):
        rhs = padded[positions]
        if len(matrices) == 1:
            values = jnp.einsum("ij,njc->nic", matrices[0], rhs)
        else:
            values = jnp.einsum("nij,njc->nic", matrices, rhs)
        out = out.at[positions].set(values)
    return out.at[-1].set(0.0)


def couple(operator: Operator, sources: Mapping[int, Array], targets: Iterable[int]) -> dict[int, Array]:
    """Sums over the levels of some effects of the rows that coefficients of others make: sum_l G_kl b_l."""
    n_columns = next(iter(sources.values())).shape[1]

    def body(sums: dict[int, Array], part: Any) -> tuple[dict[int, Array], None]:
        codes, weights = part
        return _add(codes, weights, _spread(codes, sources), sums), None

    start = zeros(operator, targets, n_columns)
    return jax.lax.scan(body, start, operator.group())[0]


def sweep(operator: Operator, g: Coefficients) -> Coefficients:
    """Coefficients that take out each effect in turn, from the sums of columns."""
    b = {0: solve(operator.inverses[0], g[0])}
    for k in range(1, len(g)):
        b[k] = solve(operator.inverses[k], g[k] - couple(operator, b, [k])[k])
    return tuple(b.values())


def sweep_back(operator: Operator, g: Coefficients, b: Coefficients) -> Coefficients:
    """From the coefficients of a sweep, those of a sweep and its reverse: symmetric Gauss-Seidel."""
    found = dict(enumerate(b))
    for k in reversed(range(len(g) - 1)):
        others = {other: value for other, value in found.items() if other != k}
        found[k] = solve(operator.inverses[k], g[k] - couple(operator, others, [k])[k])
    return tuple(found.values())


def spans(operator: Operator, g: Coefficients) -> Array:
    """``[n_columns]`` longest part of columns in the span of one effect, from their sums."""
    parts = [
        jnp.sum(total * solve(inverse, total), axis=0)
        for total, inverse in zip(g, operator.inverses, strict=True)
    ]
    return jnp.sqrt(jnp.maximum(jnp.stack(parts).max(axis=0), 0.0))


# -- rows: read once into sums, written once from coefficients ---------------------------------------------


@partial(jax.jit, donate_argnums=(3, 4))
def read_group(
    operator: Operator, number: Array, x: Array, sums: Coefficients, squares: Array
) -> tuple[Coefficients, Array]:
    """Add a group of rows of columns to the sums of all levels, and to the sums of squares."""

    def body(carried: Any, part: Any) -> Any:
        (codes, weights), x = part
        sums, squares = carried
        u = x if weights is None else x * weights[:, None]
        return (_add(codes, weights, x, sums), squares + jnp.sum(u * x, axis=0)), None

    start = dict(enumerate(sums)), squares
    (found, squares), _ = jax.lax.scan(body, start, (operator.group(number), _in_chunks(operator, x)))
    return tuple(found.values()), squares


@partial(jax.jit, donate_argnums=(4,))
def write_group(
    operator: Operator, number: Array, x: Array, b: Coefficients, sums: Coefficients
) -> tuple[Array, Coefficients]:
    """Residuals of a group of rows of columns, added to the sums of all levels."""

    def body(sums: Any, part: Any) -> Any:
        (codes, weights), x = part
        e = x - _spread(codes, dict(enumerate(b)))
        return _add(codes, weights, e, sums), e

    start = dict(enumerate(sums))
    found, e = jax.lax.scan(body, start, (operator.group(number), _in_chunks(operator, x)))
    return e.reshape(x.shape), tuple(found.values())


def _in_chunks(operator: Operator, x: Array) -> Array:
    return x.reshape(*operator.codes[0][0].shape[1:], x.shape[1])


swept = jax.jit(sweep)
longest = jax.jit(spans)


@jax.jit
def longest_of_first(operator: Operator, g: Coefficients) -> Array:
    """``[n_columns]`` length of what the first effect explains of columns."""
    square = jnp.sum(g[0] * solve(operator.inverses[0], g[0]), axis=0)
    return jnp.sqrt(jnp.maximum(square, 0.0))


@jax.jit
def first_only(operator: Operator, g: Coefficients) -> Coefficients:
    """Coefficients that take out the first effect alone."""
    b = solve(operator.inverses[0], g[0])
    return (b, *(jnp.zeros_like(total) for total in g[1:]))
