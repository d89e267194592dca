"""Sums over the levels of effects, what other effects contribute to them, and one sweep through all of them.

For effect k with dummies B_k and weights W, levels of the effects meet in the blocks G_kl = B_k'W B_l. All work
between reading the columns and writing their residuals is on coefficients of levels, [level, column], by sparse
products: on a processor these take a third of the time of scattered additions in XLA, need no compilation, and
wait for no other thread (`device` has the products for accelerators).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse

from engine.arrays import AnyIntegers, Array
from engine.estimate.absorb.levels import Levels

SMALL = 64
"""Levels of an effect whose meetings are a full matrix; equations in a block that sweeps, or products with unit
columns, are cheap for.
"""

_SINGLE = 1 << 18  # multiplications of a product that BLAS does in one thread
_FEWEST = 4  # rows or columns of a part, below which packing the other factor again costs more
_ROOMY = 4  # entries of a full matrix, for one that is not zero

LevelValues = Any
"""``[n_levels, n_columns]`` of one effect: an array of NumPy, or of JAX where the products are done on a device."""

Coefficients = tuple[LevelValues, ...]
"""``[n_levels, n_columns]`` of each effect."""

BlockMatrix = Array | sparse.csr_matrix | sparse.csc_matrix
"""A block G_kl ``[size, size]``, or the weights of the levels ``[size, 1]`` where it is diagonal."""


@dataclass(frozen=True)
class Blocks:
    """Generalised inverse of a symmetric matrix that falls into blocks, by size of block.

    Attributes
    ----------
    positions : tuple of int ``[n_blocks, size]``
        Levels of each block; the number of levels marks a place not used.
    matrices : tuple of float64 ``[n_blocks or 1, size, size]``
        Inverse of each block, or the one that all share.
    """

    positions: tuple[AnyIntegers, ...]
    matrices: tuple[Array, ...]


@dataclass(frozen=True)
class Operator:
    """The effects as the methods see them, in the order of a sweep.

    Attributes
    ----------
    effects : tuple of Levels
    weights : float64 ``[n_rows]`` or None
    inverses : tuple of float64 ``[n_levels]`` or Blocks
        Inverse of G_kk: one over the weight of a level, or blocks where two levels apply to a row.
    """

    effects: tuple[Levels, ...]
    weights: Array | None
    inverses: tuple[Array | Blocks, ...]

    @property
    def eliminated(self) -> bool:
        """The first effect has one level a row, so that it can be eliminated from the equations exactly."""
        return self.effects[0].members == 1

    @property
    def in_equations(self) -> range:
        """Effects that are left in the equations."""
        return range(1 if self.eliminated else 0, len(self.effects))

    @cached_property
    def cross_blocks(self) -> dict[tuple[int, int], BlockMatrix]:
        """G_kl of k and l that differ."""
        blocks: dict[tuple[int, int], BlockMatrix] = {}
        for pair in combinations(range(len(self.effects)), 2):
            first, second = (self.effects[k] for k in pair)
            blocks[pair] = cross_block(first, second, self.weights)
            blocks[pair[::-1]] = blocks[pair].T
        return blocks

    @cached_property
    def diagonal_blocks(self) -> tuple[BlockMatrix, ...]:
        """G_kk: the weights of the levels, or a matrix where two levels apply to a row."""
        return tuple(
            level_weights(effect, self.weights)[:, None]
            if effect.members == 1
            else diagonal_block(effect, self.weights)
            for effect in self.effects
        )

    def load(self, g: Coefficients) -> Coefficients:
        """Coefficients where the products are done."""
        return g

    def solve(self, k: int, g: LevelValues) -> LevelValues:
        """Inverse of G_kk, or an approximation of it, times sums."""
        return solve(self.inverses[k], g)

    def couple(self, sources: Mapping[int, LevelValues], targets: Iterable[int]) -> dict[int, LevelValues]:
        """Sums over the levels of some effects of the rows that coefficients of others make: sum_l G_kl b_l."""
        return {
            target: sum(self._product(target, source, b) for source, b in sources.items())
            for target in targets
        }

    def consistent(self, right: Coefficients) -> Coefficients:
        """A right side of the equations without what rounding put outside their range, where that is known."""
        return right

    def reduced(self, p: Coefficients, image: Coefficients | None = None) -> Coefficients:
        """S p, S = G_BB - G_BA G_AA^-1 G_AB the equations of the other effects once the first is eliminated.

        ``image`` is what the inverses of those effects make p of, for operators that can use it.
        """
        sources = dict(zip(self.in_equations, p, strict=True))
        if self.eliminated:
            sources[0] = -self.solve(0, self.couple(sources, [0])[0])
        sums = self.couple(sources, self.in_equations)
        return tuple(sums[k] for k in self.in_equations)

    def _product(self, target: int, source: int, b: Array) -> Array:
        if target == source:
            block = self.diagonal_blocks[target]
            return np.asarray(block * b if isinstance(block, np.ndarray) else block @ b)
        block = self.cross_blocks[target, source]
        return full_product(block, b) if isinstance(block, np.ndarray) else np.asarray(block @ b)


def level_weights(effect: Levels, weights: Array | None) -> Array:
    """``[size]`` weight of the rows of each level."""
    if weights is None:
        return effect.counts.astype(np.float64)
    return np.asarray(
        sum(np.bincount(code, weights, minlength=effect.size) for code in effect.codes.T), dtype=np.float64
    )


def cross_block(first: Levels, second: Levels, weights: Array | None) -> sparse.csr_matrix | Array:
    """G_kl ``[size, size]`` of two effects; where it is sparse, a cell may have several entries, which add up."""
    shape, n_rows = (first.size, second.size), len(first.codes)
    if (
        first.members == 1 == second.members
        and second.size <= SMALL
        and first.size * second.size <= _ROOMY * n_rows
    ):
        cell = first.codes[:, 0] * np.int64(second.size) + second.codes[:, 0]
        full = np.bincount(cell, weights, minlength=first.size * second.size)
        return full.reshape(shape).astype(np.float64, copy=False)
    w = np.ones(n_rows) if weights is None else weights
    code = first.codes[:, 0]
    # rows in the order of the levels are one matrix already
    if first.members == 1 and (code[1:] >= code[:-1]).all():
        pointer = np.zeros(first.size + 1, np.int32)
        np.cumsum(first.counts * second.members, out=pointer[1:])
        return sparse.csr_matrix((np.repeat(w, second.members), second.codes.ravel(), pointer), shape)
    rows = np.repeat(first.codes, second.members, axis=1).ravel()
    columns = np.tile(second.codes, (1, first.members)).ravel()
    return sparse.csr_matrix((np.repeat(w, first.members * second.members), (rows, columns)), shape)


def diagonal_block(effect: Levels, weights: Array | None) -> sparse.csr_matrix:
    """B'WB of an effect with two levels a row: the signless Laplacian of the graph that the rows draw."""
    first_level, second_level = effect.codes.T
    w = np.ones(len(first_level)) if weights is None else weights
    between = sparse.csr_matrix((w, (first_level, second_level)), shape=(effect.size, effect.size))
    return sparse.csr_matrix(between + between.T + sparse.diags(level_weights(effect, weights)))


def solve(inverse: Array | Blocks, g: Array) -> Array:
    """Inverse of G_kk, or of another matrix in blocks, times sums."""
    if not isinstance(inverse, Blocks):
        return inverse[:, None] * g
    padded = np.concatenate([g, np.zeros((1, g.shape[1]))])
    product = np.zeros_like(padded)
    for positions, matrices in zip(inverse.positions, inverse.matrices, strict=True):
        if len(matrices) < len(positions):  # one matrix for all blocks: one product
            across = positions.T
            right = padded[across]
            product[across] = (matrices[0] @ right.reshape(len(across), -1)).reshape(right.shape)
        else:
            product[positions] = matrices @ padded[positions]
    return product[:-1]


def sweep(operator: Operator, g: Coefficients) -> Coefficients:
    """Coefficients that take out each effect in turn, from the sums of columns."""
    b = {0: operator.solve(0, g[0])}
    for k in range(1, len(g)):
        b[k] = operator.solve(k, g[k] - operator.couple(b, [k])[k])
    return tuple(b.values())


def sweep_back(operator: Operator, g: Coefficients, b: Coefficients) -> Coefficients:
    """From the coefficients of a sweep, those of a sweep and its reverse: symmetric Gauss-Seidel."""
    coefficients = dict(enumerate(b))
    for k in reversed(range(len(g) - 1)):
        sources = {source: value for source, value in coefficients.items() if source != k}
        coefficients[k] = operator.solve(k, g[k] - operator.couple(sources, [k])[k])
    return tuple(coefficients.values())


def eliminate(operator: Operator, g: Coefficients) -> Coefficients:
    """Sums over the other effects once the first is eliminated: g_B - G_BA G_AA^-1 g_A."""
    if not operator.eliminated:
        return g
    coupled = operator.couple({0: operator.solve(0, g[0])}, operator.in_equations)
    return operator.consistent(tuple(g[k] - coupled[k] for k in operator.in_equations))


def recover(operator: Operator, g: Coefficients, b_others: Coefficients) -> Coefficients:
    """Coefficients of all effects from those of the others than the first: b_A = G_AA^-1 (g_A - G_AB b_B)."""
    if not operator.eliminated:
        return b_others
    if not b_others:
        return (operator.solve(0, g[0]),)
    coupled = operator.couple(dict(zip(operator.in_equations, b_others, strict=True)), [0])[0]
    return (operator.solve(0, g[0] - coupled), *b_others)


def first_only(operator: Operator, g: Coefficients) -> Coefficients:
    """Coefficients that take out the first effect alone."""
    return (solve(operator.inverses[0], g[0]), *(np.zeros_like(part) for part in g[1:]))


def remaining(operator: Operator, g: Coefficients, b: Coefficients) -> Coefficients:
    """Sums of columns once all effects are removed at these coefficients: g - G b."""
    coupled = operator.couple(dict(enumerate(b)), range(len(g)))
    return tuple(part - coupled[k] for k, part in enumerate(g))


def inner(a: Coefficients, b: Coefficients) -> Array:
    """``[n_columns]`` inner products."""
    return np.asarray(sum(_inner(p, q) for p, q in zip(a, b, strict=True)))


def full_product(matrix: Array, factor: Array) -> Array:
    """Product of full matrices; a small one by parts that BLAS does in one thread, so as not to wait for others, nor
    they for it.
    """
    (n_rows, n_inner), n_columns = matrix.shape, factor.shape[1]
    longest = max(n_rows, n_inner, n_columns)
    step = _SINGLE * longest // max(n_rows * n_inner * n_columns, 1)
    if step < _FEWEST or step >= longest:
        return np.asarray(matrix @ factor)
    parts = [slice(start, start + step) for start in range(0, longest, step)]
    if longest == n_inner > n_rows:
        return np.asarray(sum(matrix[:, part] @ factor[part] for part in parts))
    if longest == n_rows:
        return np.concatenate([matrix[part] @ factor for part in parts])
    return np.concatenate([matrix @ factor[:, part] for part in parts], axis=1)


def _inner(p: LevelValues, q: LevelValues) -> LevelValues:
    return np.einsum("ij,ij->j", p, q) if isinstance(p, np.ndarray) else (p * q).sum(axis=0)


def explained(operator: Operator, k: int, g: Coefficients) -> Array:
    """``[n_columns]`` squared length of what an effect alone explains of columns, from their sums."""
    inverse = operator.inverses[k]
    if isinstance(inverse, Blocks):
        return np.maximum(_inner(g[k], solve(inverse, g[k])), 0.0)
    return np.einsum("i,ij,ij->j", inverse, g[k], g[k])


def most_explained(operator: Operator, g: Coefficients) -> Array:
    """The same of the effect that explains most."""
    return np.stack([explained(operator, k, g) for k in range(len(g))]).max(axis=0)
