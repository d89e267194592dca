"""Exact solutions: the largest effect eliminated, the equations of the others solved block by block.

With A the eliminated effect and B the others, the equations are S b = B'W M_A x, S = B'WB - B'WA (A'WA)^-1 A'WB.
S falls into its connected components: pair and year give one block of T equations; pair and group x year give T
equations a group; pair and city x year through both members, one block of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.csgraph import connected_components

from engine.arrays import AnyIntegers, Array
from engine.estimate.absorb import row_kernels as kernels
from engine.estimate.absorb.levels import Levels
from engine.estimate.absorb.row_kernels import Blocks, Coefficients, Operator, level_weights

_DEPENDENT = 1e-11  # share of an equation's own size below which it follows from the others

_CLEAR = 1e-6  # share above which it surely does not

_AT_ONCE = 5  # unit columns: their products are small enough for the allocator to keep the memory

_ROOM = 2e7  # numbers in the blocks of an effect: 160 MB

MOST_PRODUCTS = 2e8
"""Products of two entries that forming S may take: about two seconds and 2 GB."""

MOST_FLOPS = 6.4e10
"""Sum of cubed block sizes that is solved: 4,000 equations in one block, about three seconds."""


@dataclass(frozen=True)
class Inverse:
    """A generalised inverse in blocks.

    Attributes
    ----------
    blocks : Blocks
    n_equations, rank : int
    n_blocks : int
        Of more than one equation.
    """

    blocks: Blocks
    n_equations: int
    rank: int
    n_blocks: int


def products(effects: list[Levels]) -> float:
    """Products of two entries that `schur_complement` takes, at most."""
    entries = sum(effect.members for effect in effects[1:])
    return float(((effects[0].counts.astype(np.float64) * entries) ** 2).sum())


def schur_complement(effects: list[Levels], weights: Array | None) -> sparse.csr_matrix:
    """Equations of all effects but the first, which has one level a row and is eliminated.

    Levels without a row, and those that the first effect explains, have an empty equation.
    """
    first, remaining = effects[0], effects[1:]
    code = first.codes[:, 0]
    n = len(code)
    w = np.ones(n) if weights is None else weights
    total = level_weights(first, weights)
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    incidence = _incidence(remaining, n)
    by_first = sparse.csr_matrix((w, (code, np.arange(n))), shape=(first.size, n)) @ incidence
    cross_products = incidence.T @ sparse.diags(w) @ incidence
    explained = by_first.T @ sparse.diags(inverse) @ by_first
    equations, diagonal = sparse.csr_matrix(cross_products - explained), cross_products.diagonal()
    free = sparse.diags((equations.diagonal() > _DEPENDENT * diagonal).astype(np.float64))
    equations = sparse.csr_matrix(free @ equations @ free)
    equations.eliminate_zeros()
    return equations


def unit_columns(operator: Operator) -> Inverse:
    """Inverse of the same equations as one block, from their products with unit columns."""
    effects = [operator.effects[k] for k in operator.in_equations]
    sizes = [effect.size for effect in effects]
    units = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1])
    columns = [
        np.concatenate(operator.reduced(tuple(part[:, start : start + _AT_ONCE] for part in units)))
        for start in range(0, sum(sizes), _AT_ONCE)
    ]
    matrix = np.concatenate(columns, axis=1)
    full = np.concatenate([level_weights(effect, operator.weights) for effect in effects])
    return in_blocks((matrix + matrix.T)[None] / 2, full)


def in_blocks(matrices: Array, weights: Array) -> Inverse:
    """Inverse of equations ``[n_blocks, width, width]`` of levels that follow one another, of given ``weights``."""
    n_blocks, width, _ = matrices.shape
    independent = np.diagonal(matrices, axis1=1, axis2=2) > _DEPENDENT * weights.reshape(-1, width)
    inverse, ranks = _but_for_constants(matrices), np.full(n_blocks, width - 1)
    if inverse is None:
        inverse, ranks = generalised_inverses(matrices * (independent[:, None] & independent[:, :, None]))
    place = np.arange(n_blocks * width).reshape(n_blocks, width)
    n_coupled = np.count_nonzero(independent.sum(axis=1) > 1)
    return Inverse(Blocks((place,), (inverse,)), int(independent.sum()), int(ranks.sum()), int(n_coupled))


def _but_for_constants(matrices: Array) -> Array | None:
    """Generalised inverses of matrices of which nothing but a constant is in the null space; None if one is not so."""
    size = np.trace(matrices, axis1=1, axis2=2)[:, None, None] / matrices.shape[1]
    whole = matrices + size
    if (np.abs(matrices.sum(axis=2, keepdims=True)) > _DEPENDENT * size).any():
        return None
    try:
        pivots = np.diagonal(np.linalg.cholesky(whole), axis1=1, axis2=2) ** 2
    except np.linalg.LinAlgError:
        return None
    return np.linalg.inv(whole) if (pivots > _CLEAR * size[:, 0]).all() else None


def alike_blocks(effect: Levels, weights: Array | None) -> Blocks | None:
    """Inverse of G_kk of an effect with two levels a row if its blocks are all alike, as those of the years of a
    balanced panel; None if they are not, or there is no room to see.
    """
    first_level, second_level = np.ascontiguousarray(effect.codes.T)
    graph = sparse.coo_matrix(
        (np.ones(len(first_level), np.int8), (first_level, second_level)), shape=(effect.size, effect.size)
    )
    n_blocks, label = connected_components(graph, directed=False)
    size = effect.size // n_blocks
    if (np.bincount(label, minlength=n_blocks) != size).any():
        return None
    if n_blocks * size**2 > _ROOM or float(size) ** 3 > MOST_FLOPS:
        return None
    order = np.argsort(label, kind="stable")
    place_in_block = np.empty(effect.size, np.int64)
    place_in_block[order] = np.tile(np.arange(size), n_blocks)
    cell = (label[first_level] * size + place_in_block[first_level]) * np.int64(size) + place_in_block[
        second_level
    ]
    dense = np.bincount(cell, weights, minlength=n_blocks * size**2).reshape(n_blocks, size, size)
    dense = dense + np.swapaxes(dense, 1, 2)
    if not (dense == dense[0]).all():
        return None
    block = dense[0].astype(np.float64)
    block += np.diag(block.sum(axis=1))
    inverse, _ = generalised_inverses(block[None])
    return Blocks((order.reshape(n_blocks, size),), (inverse,))


def _incidence(effects: list[Levels], n: int) -> sparse.csr_matrix:
    offset, columns = 0, []
    for effect in effects:
        columns.append(effect.codes + np.int64(offset))
        offset += effect.size
    index = np.concatenate(columns, axis=1)
    pointer = np.arange(n + 1) * index.shape[1]
    incidence = sparse.csr_matrix((np.ones(index.size), index.ravel(), pointer), shape=(n, offset))
    incidence.sort_indices()
    return incidence


def invert(matrix: sparse.csr_matrix, *, most_flops: float = MOST_FLOPS) -> Inverse | None:
    """Generalised inverse of a symmetric non-negative matrix by its connected components.

    None where it would take more than ``most_flops``.
    """
    matrix = sparse.csr_matrix(matrix)
    matrix.sort_indices()
    n_blocks, label = connected_components(matrix, directed=False)
    sizes = np.bincount(label, minlength=n_blocks)
    order = np.argsort(label, kind="stable")
    permuted = matrix[order][:, order]
    permuted.sort_indices()
    starts = np.concatenate([[0], np.cumsum(sizes)])
    if float((sizes.astype(np.float64) ** 3).sum()) > most_flops:
        return None
    positions, matrices, rank = [], [], 0
    for width in sorted({_bucket(int(size)) for size in np.unique(sizes)}):
        components = np.flatnonzero((sizes <= width) & (sizes > width // 2))
        place, dense = _dense_blocks(permuted, starts, components, order, width)
        inverse, ranks = generalised_inverses(dense)
        positions.append(place)
        matrices.append(inverse)
        rank += int(ranks.sum())
    n_equations = int(np.count_nonzero(matrix.diagonal()))
    blocks = Blocks(tuple(positions), tuple(matrices))
    return Inverse(blocks, n_equations, rank, int(np.count_nonzero(sizes > 1)))


def _bucket(size: int) -> int:
    """Blocks are padded to a power of two."""
    return 1 << (size - 1).bit_length()


def _dense_blocks(
    permuted: sparse.csr_matrix, starts: AnyIntegers, components: AnyIntegers, order: AnyIntegers, width: int
) -> tuple[AnyIntegers, Array]:
    """Levels ``[n, width]`` and matrices ``[n, width, width]`` of some components, padded."""
    place = np.full((len(components), width), permuted.shape[0], dtype=np.int64)
    dense = np.zeros((len(components), width, width))
    sizes = np.diff(starts)[components]
    block = np.repeat(np.arange(len(components)), sizes)
    place_in_block = np.arange(len(block)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = starts[components][block] + place_in_block
    place[block, place_in_block] = order[rows]
    part = permuted[rows].tocoo()
    owner = block[part.row]
    dense[owner, place_in_block[part.row], part.col - starts[components][owner]] = part.data
    return place, dense


def generalised_inverses(matrices: Array) -> tuple[Array, AnyIntegers]:
    """Of each symmetric non-negative matrix, and its rank; equations are first scaled to the same size."""
    diagonal = np.maximum(np.diagonal(matrices, axis1=1, axis2=2), 0.0)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0)
    scaled = matrices * scale[:, :, None] * scale[:, None, :]
    if matrices.shape[1] <= kernels.SMALL:
        inverse, ranks = _by_sweeps(scaled)
    else:
        solved = [_by_pivots(matrix) for matrix in scaled]
        inverse = np.stack([matrix for matrix, _ in solved])
        ranks = np.array([rank for _, rank in solved])
    return inverse * scale[:, :, None] * scale[:, None, :], ranks


def _by_sweeps(matrices: Array) -> tuple[Array, AnyIntegers]:
    """Inverses of many small matrices at once, and their ranks: sweeps (Goodnight 1979), largest pivot first."""
    work, size = matrices.copy(), matrices.shape[1]
    matrix_index, ranks = np.arange(len(work)), np.zeros(len(work), np.int64)
    swept = np.zeros(work.shape[:2], bool)
    for _ in range(size):
        pivots = np.where(swept, 0.0, np.diagonal(work, axis1=1, axis2=2))
        k = pivots.argmax(axis=1)
        pivot = pivots[matrix_index, k]
        good = pivot > _DEPENDENT
        if not good.any():
            break
        column = work[matrix_index, :, k]
        scaled = column * np.divide(1.0, pivot, out=np.zeros_like(pivot), where=good)[:, None]
        work -= column[:, :, None] * scaled[:, None, :]
        work[matrix_index[good], :, k[good]] = work[matrix_index[good], k[good], :] = scaled[good]
        work[matrix_index[good], k[good], k[good]] = -1 / pivot[good]
        swept[matrix_index[good], k[good]] = True
        ranks += good
    return -work * swept[:, :, None] * swept[:, None, :], ranks


def _by_pivots(matrix: Array) -> tuple[Array, int]:
    """Inverse on a largest set of independent equations, zero elsewhere."""
    factor, pivots, rank, _ = lapack.dpstrf(matrix, tol=_DEPENDENT, lower=1)
    inverse, _ = lapack.dpotri(factor[:rank, :rank], lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    full_inverse = np.zeros_like(matrix)
    index = pivots[:rank] - 1
    full_inverse[np.ix_(index, index)] = inverse
    return full_inverse, int(rank)


def solution(blocks: Blocks, right: Coefficients) -> Coefficients:
    """S^- times a right side."""
    cuts = np.cumsum([len(part) for part in right])[:-1]
    return tuple(np.split(kernels.solve(blocks, np.concatenate(right)), cuts))


def length(operator: Operator, blocks: Blocks, right: Coefficients) -> Array:
    """``[n_columns]`` length of what the effects explain of columns with this right side: sqrt(g' S^- g), and no less
    than any effect alone.
    """
    single = [
        kernels.inner((g,), (operator.solve(k, g),))
        for k, g in zip(operator.in_equations, right, strict=True)
    ]
    joint = kernels.inner(right, solution(blocks, right))
    return np.sqrt(np.maximum(np.max([joint, *single], axis=0), 0.0))
