"""Columns row by row: read into sums over levels, written as residuals, by products with the dummies.

Rows come in blocks, each with the levels of the first effect that its own rows have. Where rows are in the order of
that effect (rows of a pair together) no two blocks share much of it, and several threads work on blocks at once. What
the blocks are, and the order in which their sums are added, does not depend on the threads: nor do the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from scipy import sparse

from engine.arrays import Array
from engine.estimate.absorb.levels import Levels
from engine.estimate.absorb.row_kernels import Coefficients

T = TypeVar("T")
R = TypeVar("R")

_WIDE = 8  # rows side by side: long lines are squared faster
_BLOCK = 1 << 15  # rows of a block: ten columns of them, and what is made of them, about fill a core's cache
_WORTH = 1 << 18  # numbers for which threads are worth waking


@dataclass(frozen=True)
class RowBlock:
    """Rows that follow one another, and their dummies.

    Attributes
    ----------
    rows : slice
    levels : slice
        Levels of the first effect that they may have.
    plain : ``[n_rows, levels]``
        Dummies of those, then of all levels of the other effects.
    weights : float64 ``[n_rows]`` or None
    """

    rows: slice
    levels: slice
    plain: sparse.csr_matrix
    weights: Array | None

    @cached_property
    def weighted(self) -> sparse.csc_matrix:
        """``[levels, n_rows]``"""
        if self.weights is None:
            return self.plain.T
        plain = self.plain
        entries = np.repeat(self.weights, plain.nnz // plain.shape[0])
        return sparse.csr_matrix((entries, plain.indices, plain.indptr), plain.shape).T

    def squares(self, values: Array) -> Array:
        """Of its rows of columns, summed."""
        if self.weights is not None:
            return np.einsum("i,ij,ij->j", self.weights, values, values)
        lines = values[: len(values) // _WIDE * _WIDE].reshape(-1, _WIDE * values.shape[1])
        total = np.einsum("ij,ij->j", lines, lines).reshape(_WIDE, -1).sum(axis=0)
        last_rows = values[len(lines) * _WIDE :]
        return total + np.einsum("ij,ij->j", last_rows, last_rows)


@dataclass(frozen=True)
class Dummies:
    """Dummies of all effects side by side, as sparse matrices.

    Attributes
    ----------
    effects : tuple of Levels
    weights : float64 ``[n_rows]`` or None
    threads : int
        That work on blocks at once.
    """

    effects: tuple[Levels, ...]
    weights: Array | None
    threads: int = 1

    @cached_property
    def blocks(self) -> list[RowBlock]:
        first, *remaining = self.effects
        n_rows, codes = len(first.codes), first.codes[:, 0]
        ordered = first.members == 1 and bool((codes[1:] >= codes[:-1]).all())
        members, width = (
            sum(effect.members for effect in self.effects),
            sum(effect.size for effect in remaining),
        )
        blocks: list[RowBlock] = []
        entries, pointer = np.ones(0), np.zeros(0, np.int32)
        for rows in in_parts(n_rows, n_rows) if ordered else [slice(0, n_rows)]:
            levels = slice(int(codes[rows][0]), int(codes[rows][-1]) + 1) if ordered else slice(0, first.size)
            n_block, n_levels = rows.stop - rows.start, levels.stop - levels.start
            index = np.empty((n_block, members), np.int32)
            np.subtract(first.codes[rows], np.int32(levels.start), out=index[:, : first.members])
            for column, offset, effect in _placed(remaining, first.members, n_levels):
                np.add(effect.codes[rows], np.int32(offset), out=index[:, column : column + effect.members])
            if len(entries) != index.size:  # blocks of one length share what does not differ
                entries, pointer = np.ones(index.size), np.arange(0, index.size + 1, members, dtype=np.int32)
            plain = sparse.csr_matrix((entries, index.ravel(), pointer), (n_block, n_levels + width))
            blocks.append(RowBlock(rows, levels, plain, None if self.weights is None else self.weights[rows]))
        return blocks

    def read(self, values: Array) -> tuple[Coefficients, Array]:
        """Sums of columns over the levels of each effect, and of their squares over all rows."""

        def read(block: RowBlock) -> tuple[Array, Array]:
            block_rows = values[block.rows]
            return block.weighted @ block_rows, block.squares(block_rows)

        parts = in_threads(read, self.blocks, self.threads, values.size)
        sizes = [effect.size for effect in self.effects]
        total = np.zeros((sum(sizes), values.shape[1]))
        for block, (sums, _) in zip(self.blocks, parts, strict=True):
            n_levels = block.levels.stop - block.levels.start
            total[block.levels] += sums[:n_levels]
            total[sizes[0] :] += sums[n_levels:]
        return tuple(np.split(total, np.cumsum(sizes)[:-1])), np.sum(
            [squares for _, squares in parts], axis=0
        )

    def subtract(self, values: Array, b: Coefficients, residuals: Array) -> None:
        """Fill ``residuals`` with columns less the effects at these coefficients; the two may be one array."""
        first, b_others = b[0], np.concatenate([np.empty((0, values.shape[1])), *b[1:]])

        def subtract(block: RowBlock) -> None:
            fitted = block.plain @ np.concatenate([first[block.levels], b_others])
            np.subtract(values[block.rows], fitted, out=residuals[block.rows])

        in_threads(subtract, self.blocks, self.threads, values.size)


def _placed(effects: Sequence[Levels], column: int, offset: int) -> Iterator[tuple[int, int, Levels]]:
    """First column and first level of each of some effects side by side."""
    for effect in effects:
        yield column, offset, effect
        column, offset = column + effect.members, offset + effect.size


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(n: int, n_rows: int) -> list[slice]:
    """Equal parts of ``n`` things that have ``n_rows`` rows together: an even number, for two threads to share."""
    n_parts = min(2 * -(-n_rows // (2 * _BLOCK)) if n_rows > _BLOCK else 1, n)
    return [slice(n * cut // n_parts, n * (cut + 1) // n_parts) for cut in range(n_parts)]


def in_threads(work: Callable[[T], R], parts: Sequence[T], threads: int, numbers: int) -> list[R]:
    """The outcome of ``work`` on each part, in order; the parts are divided into equal runs, a thread each.

    This thread does the first run, and all of them where the parts have few ``numbers`` together.
    """
    threads = min(threads, len(parts)) if numbers >= _WORTH else 1
    if threads == 1:
        return [work(part) for part in parts]
    cuts = [len(parts) * k // threads for k in range(threads + 1)]

    def run(run_parts: Sequence[T]) -> list[R]:
        return [work(part) for part in run_parts]

    futures = [
        _pool(threads).submit(copy_context().run, run, parts[begin:end]) for begin, end in pairwise(cuts[1:])
    ]
    outcomes = run(parts[: cuts[1]])
    for future in futures:
        outcomes += future.result()
    return outcomes


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="absorb")


@dataclass
class Rows:
    """Columns while effects are removed from them.

    Attributes
    ----------
    dummies : Dummies
    values : float64 ``[n_rows, n_columns]``
        The columns less the effects removed so far.
    residuals : float64 ``[n_rows, n_columns]``
        Where the next values are written; may be ``values``.
    sums : tuple of float64 ``[n_levels, n_columns]``
        Of the values, over the levels of each effect.
    scale : float64 ``[n_columns]``
        Length by which errors are measured.
    rounding : float64 ``[n_columns]``
        The error that rounding may leave, as a share of it.
    """

    dummies: Dummies
    values: Array
    residuals: Array
    sums: Coefficients
    scale: Array
    rounding: Array

    def subtract(self, b: Coefficients) -> None:
        """Subtract the effects at these coefficients."""
        self.dummies.subtract(self.values, b, self.residuals)
        self.values = self.residuals

    def read_again(self) -> Array:
        """Sums of the rows as they are now; of their squares."""
        self.sums, squares = self.dummies.read(self.values)
        return squares
