"""Columns row by row: read into sums over levels, written as residuals, by products with the dummies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from engine.estimate.absorb_kernels import Coefficients
from engine.estimate.absorb_levels import Array, Levels

_WIDE = 8  # rows side by side: long lines are squared faster
_BLOCK = 1 << 14  # rows whose fitted values stay in cache until they are subtracted
_AT_ONCE = 1 << 19  # fitted values that need no blocks


@dataclass(frozen=True)
class Dummies:
    """Dummies of all effects side by side, as sparse matrices.

    Attributes
    ----------
    effects : tuple of Levels
    weights : float64 ``[n_rows]`` or None
    """

    effects: tuple[Levels, ...]
    weights: Array | None

    @cached_property
    def plain(self) -> sparse.csr_matrix:
        """``[n_rows, levels]``"""
        n_rows, members = len(self.effects[0].codes), sum(effect.members for effect in self.effects)
        index, at, offset = np.empty((n_rows, members), np.int32), 0, 0
        for effect in self.effects:
            np.add(effect.codes, np.int32(offset), out=index[:, at : at + effect.members])
            at, offset = at + effect.members, offset + effect.size
        pointer = np.arange(0, n_rows * members + 1, members, dtype=np.int32)
        return sparse.csr_matrix((np.ones(index.size), index.ravel(), pointer), (n_rows, offset))

    @cached_property
    def weighted(self) -> sparse.csc_matrix:
        """``[levels, n_rows]``"""
        plain = self.plain
        if self.weights is None:
            return plain.T
        data = np.repeat(self.weights, plain.nnz // plain.shape[0])
        return sparse.csr_matrix((data, plain.indices, plain.indptr), plain.shape).T

    @cached_property
    def blocks(self) -> list[tuple[slice, sparse.csr_matrix]]:
        """Rows some at a time."""
        n_rows, width = self.plain.shape
        members, index = self.plain.nnz // n_rows, self.plain.indices
        found: list[tuple[slice, sparse.csr_matrix]] = []
        for begin in range(0, n_rows, _BLOCK):
            end = min(begin + _BLOCK, n_rows)
            if not found or end - begin < _BLOCK:  # blocks of one length share what does not differ
                ones = np.ones((end - begin) * members)
                pointer = np.arange(0, len(ones) + 1, members, dtype=index.dtype)
            block = (ones, index[begin * members : end * members], pointer)
            found.append((slice(begin, end), sparse.csr_matrix(block, (end - begin, width))))
        return found

    def sums(self, values: Array) -> Coefficients:
        """Of columns, over the levels of each effect."""
        total = self.weighted @ values
        cuts = np.cumsum([effect.size for effect in self.effects])[:-1]
        return tuple(np.split(total, cuts))

    def squares(self, values: Array) -> Array:
        if self.weights is None:
            whole = values[: len(values) // _WIDE * _WIDE].reshape(-1, _WIDE * values.shape[1])
            found = np.einsum("ij,ij->j", whole, whole).reshape(_WIDE, -1).sum(axis=0)
            rest = values[len(whole) * _WIDE :]
            return found + np.einsum("ij,ij->j", rest, rest)
        return np.einsum("i,ij,ij->j", self.weights, values, values)


@dataclass
class Rows:
    """Columns on their way: rows so far, their sums over all levels, the length they are measured by, and what
    rounding may leave as a share of it.
    """

    dummies: Dummies
    values: Array
    out: Array
    sums: Coefficients
    scale: Array
    rounding: Array

    def subtract(self, b: Coefficients) -> None:
        """Take out what coefficients make of the effects."""
        stacked = np.concatenate(b)
        few = self.values.size <= _AT_ONCE
        for rows, block in [(slice(None), self.dummies.plain)] if few else self.dummies.blocks:
            np.subtract(self.values[rows], block @ stacked, out=self.out[rows])
        self.values = self.out

    def read_again(self) -> None:
        """Sums of the rows as they are now."""
        self.sums = self.dummies.sums(self.values)
