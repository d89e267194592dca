"""Sums over levels, means taken out, one sweep through all effects: the array work of absorption, in JAX.

Columns are the last axis, so that a sum over rows adds contiguous numbers. For an effect with incidence matrix B
and weights W, `sums` is B'W v, `spread` is B b, and `centre` is v - B (B'WB)^- B'W v.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array


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
    codes : tuple of tuple of int32 ``[n_rows]``
        Levels of each row, one array for each member.
    inverses : tuple of float64 ``[n_levels]`` or Blocks
        (B'WB)^- of each effect: one over the weight of a level, or blocks where two levels apply to a row.
    weights : float64 ``[n_rows]`` or None
    sizes : tuple of int
        Levels of each effect.
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


def weighted(operator: Operator, v: Array) -> Array:
    return v if operator.weights is None else v * operator.weights[:, None]


def norm(operator: Operator, v: Array) -> Array:
    """``[n_columns]`` weighted length of each column."""
    return jnp.sqrt(jnp.sum(weighted(operator, v) * v, axis=0))


def sums(operator: Operator, k: int, v: Array) -> Array:
    """``[n_levels, n_columns]`` weighted sums of the rows of each level of effect k."""
    u = weighted(operator, v)
    parts = [
        jax.ops.segment_sum(u, code, num_segments=operator.sizes[k], mode="promise_in_bounds")
        for code in operator.codes[k]
    ]
    return sum(parts[1:], parts[0])


def spread(operator: Operator, k: int, b: Array) -> Array:
    """``[n_rows, n_columns]`` values of the levels of effect k, on their rows."""
    parts = [b.at[code].get(mode="promise_in_bounds") for code in operator.codes[k]]
    return sum(parts[1:], parts[0])


def solve(inverse: Array | Blocks, g: Array) -> Array:
    """(B'WB)^- g, or another generalised inverse in blocks."""
    if not isinstance(inverse, Blocks):
        return inverse[:, None] * g
    n, columns = g.shape
    out = jnp.zeros((n + 1, columns))
    padded = jnp.concatenate([g, jnp.zeros((1, columns))])
    for positions, matrices in zip(inverse.positions, inverse.matrices, strict=True):
        rhs = padded[positions]
        if len(matrices) == 1:
            values = jnp.einsum("ij,njc->nic", matrices[0], rhs)
        else:
            values = jnp.einsum("nij,njc->nic", matrices, rhs)
        out = out.at[positions].set(values)
    return out[:n]


def centre(operator: Operator, k: int, v: Array) -> Array:
    """What is left of columns after effect k alone."""
    return v - spread(operator, k, solve(operator.inverses[k], sums(operator, k, v)))


def part_in(operator: Operator, k: int, v: Array) -> Array:
    """``[n_columns]`` length of what lies in the span of effect k."""
    g = sums(operator, k, v)
    return jnp.sqrt(jnp.maximum(jnp.sum(g * solve(operator.inverses[k], g), axis=0), 0.0))


@jax.jit
def sweep(operator: Operator, x: Array) -> tuple[Array, Array, Array]:
    """Take each effect out in turn.

    Returns
    -------
    residuals : ``[n_rows, n_columns]``
    scale : ``[n_columns]``
        Length of the columns after the first effect.
    left : ``[n_columns]``
        Longest part of the residuals in the span of one effect; zero where the projections commute.
    """
    v = centre(operator, 0, x)
    scale = norm(operator, v)
    for k in range(1, len(operator.codes)):
        v = centre(operator, k, v)
    # The last effect was taken out just now.
    check = range(max(len(operator.codes) - 1, 1))
    left = jnp.stack([part_in(operator, k, v) for k in check]).max(axis=0)
    return v, scale, left


@jax.jit
def variation(operator: Operator, x: Array) -> Array:
    """``[n_columns]`` weighted sums of squares about the mean, and 1e-20 of those about zero.

    The second term is far above the rounding of a column that does not vary, and far below any variation that
    sixteen digits could tell from that rounding.
    """
    w = jnp.ones(len(x)) if operator.weights is None else operator.weights
    mean = (w @ x) / w.sum()
    return w @ (x - mean) ** 2 + 1e-20 * (w @ x**2)


def equations(operator: Operator, v: Array) -> Array:
    """``[n_equations, n_columns]`` sums of columns over the levels of all effects left in the equations."""
    return jnp.concatenate([sums(operator, k, v) for k in operator.rest])


def fitted(operator: Operator, b: Array) -> Array:
    """Rows of a solution of the equations, the first effect taken out."""
    v, start = jnp.zeros(()), 0
    for k in operator.rest:
        v = v + spread(operator, k, b[start : start + operator.sizes[k]])
        start += operator.sizes[k]
    return centre(operator, 0, v) if operator.eliminated else v
