"""Closed form on a grid: every pair in every year, rows of a pair together, one effect beside the pair's.

The rows of columns are X [pair, year x column]. The other effect gives each pair one group or two (one for year;
its province pair for province pair x year; its two cities for city x year), Z [group, pair], in every year: its
dummies are Z' (x) I_years. They meet the pair effect's I (x) 1 in commuting projections:

    e = X~ - Z' (Z W Z')^- Z W X~,  X~ = X less pair means,

with one matrix of groups shared by all years and columns (for pairs of cities, a signless Laplacian).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from engine.arrays import AnyIntegers, Array
from engine.estimate.absorb.column_rows import in_parts, in_threads
from engine.estimate.absorb.direct import MOST_FLOPS, generalised_inverses
from engine.estimate.absorb.levels import Levels
from engine.estimate.absorb.row_kernels import full_product

_BLOCK = 1 << 17  # numbers that stay in cache


@dataclass(frozen=True)
class Part:
    """Some pairs that follow one another.

    Attributes
    ----------
    pairs : slice
    groups : int ``[n_pairs, members]``
    by_group : ``[n_groups, n_pairs]``
        Z W of these pairs.
    average : ``[n_pairs, n_rows]``
        Means of pairs.
    weights : float64 ``[n_pairs]`` or None
    """

    pairs: slice
    groups: AnyIntegers
    by_group: sparse.csc_matrix
    average: sparse.csr_matrix
    weights: Array | None

    def read(self, x: Array, n_columns: int) -> tuple[Array, Array]:
        """Means ``[n_pairs, n_columns]`` and sums ``[n_groups, wide]`` of ``x [all pairs, wide]``."""
        rows = x[self.pairs]
        return self.average @ rows.reshape(-1, n_columns), self.by_group @ rows

    def write(self, x: Array, means: Array, b: Array, e: Array) -> tuple[Array, Array]:
        """Fill its part of ``e`` with residuals; sums of their squares ``[wide]``, and of squared means."""
        wide, n_columns = x.shape[1], means.shape[1]
        n_years = wide // n_columns
        x, e = x[self.pairs], e[self.pairs]
        squares, mean_squares = np.zeros(wide), np.zeros(n_columns)
        step = min(len(x), max(1, _BLOCK // wide))
        pair, room = np.repeat(np.arange(step), n_years), np.empty((step * n_years, n_columns))
        group_fit = np.empty((step, wide))
        for begin in range(0, len(x), step):
            block = slice(begin, begin + step)
            mean, residual = means[block], e[block]
            rows = len(mean) * n_years
            np.take(mean, pair[:rows], axis=0, out=room[:rows], mode="clip")  # other modes make a copy
            fitted = room[:rows].reshape(-1, wide)
            for group in self.groups[block].T:
                if len(b) > 1:
                    fitted += np.take(b, group, axis=0, out=group_fit[: len(group)], mode="clip")
                else:
                    fitted += b
            np.subtract(x[block], fitted, out=residual)
            if self.weights is None:
                squares += np.einsum("ij,ij->j", residual, residual)
                mean_squares += np.einsum("ij,ij->j", mean, mean)
            else:
                squares += np.einsum("i,ij,ij->j", self.weights[block], residual, residual)
                mean_squares += np.einsum("i,ij,ij->j", self.weights[block], mean, mean)
        return squares, mean_squares


@dataclass(frozen=True)
class PairYearGrid:
    """Rows as pairs x years.

    Attributes
    ----------
    n_years : int
    groups : int ``[n_pairs, members]``
    n_groups : int
    weights : float64 ``[n_pairs]`` or None
    threads : int
    """

    n_years: int
    groups: AnyIntegers
    n_groups: int
    weights: Array | None
    threads: int = 1

    @cached_property
    def parts(self) -> list[Part]:
        """Pairs in parts, which the threads share; the number of parts does not depend on that of threads."""
        parts, members, average = [], self.groups.shape[1], sparse.csr_matrix((0, 0))
        for pairs in in_parts(len(self.groups), len(self.groups) * self.n_years):
            groups, weights = self.groups[pairs], None if self.weights is None else self.weights[pairs]
            values = np.ones(groups.size) if weights is None else np.repeat(weights, members)
            pointer = np.arange(0, groups.size + 1, members)
            by_group = sparse.csc_matrix((values, groups.ravel(), pointer), (self.n_groups, len(groups)))
            if average.shape[0] != len(groups):  # parts of one length share it
                average = _averages(len(groups), self.n_years)
            parts.append(Part(pairs, groups, by_group, average, weights))
        return parts

    @cached_property
    def inverse(self) -> tuple[Array, int]:
        """(Z W Z')^- and its rank: ``[n_groups]`` for one group a pair, ``[n_groups, n_groups]`` for two."""
        equations = group_equations(self.groups, self.n_groups, self.weights)
        if equations.ndim == 1:
            return 1 / equations, self.n_groups
        inverse, rank = generalised_inverses(equations[None])
        return inverse[0], int(rank[0])

    @property
    def rank(self) -> int:
        """Of both effects: a group's years add up to what the pairs have already."""
        return len(self.groups) + (self.n_years - 1) * self.inverse[1]

    def fill_residuals(self, columns: Array, residuals: Array) -> tuple[Array, Array]:
        """Fill ``residuals`` with those of columns; the two may be one array.

        Returns
        -------
        scale : ``[n_columns]``
            Length of the columns less pair means.
        rounding : ``[n_columns]``
            The error that rounding may leave in the residuals, as a share of it.
        """
        n_pairs, n_columns = len(self.groups), columns.shape[1]
        wide = self.n_years * n_columns
        x, e = (np.ascontiguousarray(part).reshape(n_pairs, wide) for part in (columns, residuals))
        read = in_threads(lambda part: part.read(x, n_columns), self.parts, self.threads, x.size)
        sums = np.sum([of_groups for _, of_groups in read], axis=0)
        sums -= np.tile(sums.reshape(-1, self.n_years, n_columns).mean(axis=1), (1, self.n_years))
        inverse, _ = self.inverse
        b = inverse[:, None] * sums if inverse.ndim == 1 else full_product(inverse, sums)
        tasks = [(part, means) for part, (means, _) in zip(self.parts, read, strict=True)]
        squares_of_parts = in_threads(
            lambda task: task[0].write(x, task[1], b, e), tasks, self.threads, x.size
        )
        squares, mean_squares = (np.sum(parts, axis=0) for parts in zip(*squares_of_parts, strict=True))
        if not np.shares_memory(e, residuals):
            residuals[:] = e.reshape(residuals.shape)
        within = squares + np.maximum((b * sums).sum(axis=0), 0.0)
        within = within.reshape(self.n_years, n_columns).sum(axis=0)
        scale = np.sqrt(np.where(within == 0, 1.0, within))
        return scale, np.finfo(float).eps * np.sqrt(within + mean_squares * self.n_years) / scale


def group_equations(groups: AnyIntegers, n_groups: int, weights: Array | None = None) -> Array:
    """Z W Z' of groups ``[n_pairs, members]``: ``[n_groups]`` for one a pair, ``[n_groups, n_groups]`` for two."""
    w = np.ones(len(groups)) if weights is None else weights
    total: Array = np.sum([np.bincount(group, w, n_groups) for group in groups.T], axis=0)
    if groups.shape[1] == 1:
        return total
    joint = np.bincount(groups[:, 0] * np.int64(n_groups) + groups[:, 1], w, n_groups**2)
    between = joint.reshape(n_groups, n_groups)
    return np.asarray(between + between.T + np.diag(total), dtype=np.float64)


def _averages(n_pairs: int, n_years: int) -> sparse.csr_matrix:
    n_rows = n_pairs * n_years
    pointer = np.arange(0, n_rows + 1, n_years, dtype=np.int32)
    return sparse.csr_matrix((np.full(n_rows, 1 / n_years), np.arange(n_rows, dtype=np.int32), pointer))


def recognise(effects: list[Levels], weights: Array | None, threads: int = 1) -> PairYearGrid | None:
    """The grid that rows form, or None: two effects, as many rows of each level of the first, next to each other."""
    if len(effects) != 2 or effects[0].members != 1:
        return None
    first, second = effects
    n_rows, n_pairs = len(first.codes), first.n_levels
    n_years = n_rows // n_pairs
    if n_pairs * n_years != n_rows or n_years < 2:
        return None
    pair = first.codes.reshape(n_pairs, n_years)
    if not (pair == pair[:, :1]).all():
        return None
    codes = second.codes.reshape(n_pairs, n_years, second.members)
    groups, n_groups = _numbered(codes[:, 0], second.size)
    if n_groups * n_years != second.n_levels or (second.members == 2 and float(n_groups) ** 3 > MOST_FLOPS):
        return None
    years = np.empty((n_groups, n_years), dtype=codes.dtype)
    for member in range(second.members):
        years[groups[:, member]] = codes[:, :, member]
    # As many levels as groups x years: if each group always has the same, no two groups share one.
    if any((years[groups[:, member]] != codes[:, :, member]).any() for member in range(second.members)):
        return None
    if weights is not None:
        by_pair = weights.reshape(n_pairs, n_years)
        if not (by_pair == by_pair[:, :1]).all():
            return None
        weights = np.ascontiguousarray(by_pair[:, 0])
    return PairYearGrid(n_years, groups, n_groups, weights, threads)


def _numbered(codes: AnyIntegers, size: int) -> tuple[AnyIntegers, int]:
    """Codes numbered from 0 without gaps."""
    occurs = np.zeros(size, dtype=bool)
    occurs[codes] = True
    return (np.cumsum(occurs) - 1)[codes], int(occurs.sum())
