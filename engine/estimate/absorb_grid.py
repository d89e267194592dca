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

from engine.estimate.absorb_direct import MOST_FLOPS, generalised_inverses
from engine.estimate.absorb_levels import Array, Integers, Levels

_BLOCK = 1 << 17  # numbers that stay in cache
_SINGLE = 1 << 18  # multiplications of a product that BLAS does in one thread


@dataclass(frozen=True)
class Grid:
    """Rows as pairs x years.

    Attributes
    ----------
    n_years : int
    groups : int ``[n_pairs, members]``
    n_groups : int
    weights : float64 ``[n_pairs]`` or None
    """

    n_years: int
    groups: Integers
    n_groups: int
    weights: Array | None

    @cached_property
    def by_group(self) -> sparse.csr_matrix:
        """``[n_groups, n_pairs]`` Z W."""
        return sparse.csr_matrix((self._by_pair(self.weights)).T)

    @cached_property
    def average(self) -> sparse.csr_matrix:
        """``[n_pairs, n_rows]`` means of pairs."""
        n_rows = len(self.groups) * self.n_years
        pointer = np.arange(0, n_rows + 1, self.n_years, dtype=np.int32)
        return sparse.csr_matrix(
            (np.full(n_rows, 1 / self.n_years), np.arange(n_rows, dtype=np.int32), pointer)
        )

    @cached_property
    def inverse(self) -> tuple[Array, int]:
        """(Z W Z')^- and its rank: ``[n_groups]`` for one group a pair, ``[n_groups, n_groups]`` for two."""
        if self.groups.shape[1] == 1:
            return 1 / np.asarray(self.by_group.sum(axis=1)).ravel(), self.n_groups
        inverse, rank = generalised_inverses((self.by_group @ self._by_pair(None)).toarray()[None])
        return inverse[0], int(rank[0])

    @property
    def rank(self) -> int:
        """Of both effects: a group's years add up to what the pairs have already."""
        return len(self.groups) + (self.n_years - 1) * self.inverse[1]

    def _by_pair(self, weights: Array | None) -> sparse.csr_matrix:
        n_pairs, members = self.groups.shape
        values = np.repeat(np.ones(n_pairs) if weights is None else weights, members)
        pointer = np.arange(0, n_pairs * members + 1, members)
        return sparse.csr_matrix((values, self.groups.ravel(), pointer), (n_pairs, self.n_groups))

    def residuals(self, columns: Array, out: Array) -> tuple[Array, Array]:
        """Fill ``out`` with residuals of columns; the two may be one array.

        Returns
        -------
        scale : ``[n_columns]``
            Length of the columns less pair means.
        rounding : ``[n_columns]``
            What rounding may leave of the effects in the residuals, as a share of it.
        """
        n_pairs, n_columns = len(self.groups), columns.shape[1]
        wide = self.n_years * n_columns
        x, e = (np.ascontiguousarray(part).reshape(n_pairs, wide) for part in (columns, out))
        means = self.average @ x.reshape(-1, n_columns)
        sums = self.by_group @ x
        sums -= np.tile(sums.reshape(-1, self.n_years, n_columns).mean(axis=1), (1, self.n_years))
        inverse, _ = self.inverse
        b = inverse[:, None] * sums if inverse.ndim == 1 else _product(inverse, sums)
        left, gone = np.zeros(wide), np.zeros(n_columns)
        step = min(n_pairs, max(1, _BLOCK // wide))
        pair, room = np.repeat(np.arange(step), self.n_years), np.empty((step * self.n_years, n_columns))
        more = np.empty((step, wide))
        for begin in range(0, n_pairs, step):
            part = slice(begin, begin + step)
            mean, residual = means[part], e[part]
            rows = len(mean) * self.n_years
            np.take(mean, pair[:rows], axis=0, out=room[:rows], mode="clip")  # other modes make a copy
            fitted = room[:rows].reshape(-1, wide)
            for group in self.groups[part].T:
                if len(b) > 1:
                    fitted += np.take(b, group, axis=0, out=more[: len(group)], mode="clip")
                else:
                    fitted += b
            np.subtract(x[part], fitted, out=residual)
            if self.weights is None:
                left += np.einsum("ij,ij->j", residual, residual)
                gone += np.einsum("ij,ij->j", mean, mean)
            else:
                left += np.einsum("i,ij,ij->j", self.weights[part], residual, residual)
                gone += np.einsum("i,ij,ij->j", self.weights[part], mean, mean)
        if not np.shares_memory(e, out):
            out[:] = e.reshape(out.shape)
        within = left + np.maximum((b * sums).sum(axis=0), 0.0)
        within = within.reshape(self.n_years, n_columns).sum(axis=0)
        scale = np.sqrt(np.where(within == 0, 1.0, within))
        return scale, np.finfo(float).eps * np.sqrt(within + gone * self.n_years) / scale


def _product(matrix: Array, other: Array) -> Array:
    """Matrix times columns; a small one by parts that BLAS does in one thread, so as not to wait for others."""
    step = _SINGLE // matrix.size
    if step == 0:
        return matrix @ other
    return np.concatenate([matrix @ other[:, k : k + step] for k in range(0, other.shape[1], step)], axis=1)


def recognise(effects: list[Levels], weights: Array | None) -> Grid | None:
    """The grid that rows form, or None: two effects, as many rows of each level of the first, next to each other."""
    if len(effects) != 2 or effects[0].members != 1:
        return None
    first, other = effects
    n_rows, n_pairs = len(first.codes), first.n_levels
    n_years = n_rows // n_pairs
    if n_pairs * n_years != n_rows or n_years < 2:
        return None
    pair = first.codes.reshape(n_pairs, n_years)
    if not (pair == pair[:, :1]).all():
        return None
    codes = other.codes.reshape(n_pairs, n_years, other.members)
    groups, n_groups = _numbered(codes[:, 0], other.size)
    if n_groups * n_years != other.n_levels or (other.members == 2 and float(n_groups) ** 3 > MOST_FLOPS):
        return None
    years = np.empty((n_groups, n_years), dtype=codes.dtype)
    for member in range(other.members):
        years[groups[:, member]] = codes[:, :, member]
    # As many levels as groups x years: if each group always has the same, no two groups share one.
    if any((years[groups[:, member]] != codes[:, :, member]).any() for member in range(other.members)):
        return None
    if weights is not None:
        by_pair = weights.reshape(n_pairs, n_years)
        if not (by_pair == by_pair[:, :1]).all():
            return None
        weights = np.ascontiguousarray(by_pair[:, 0])
    return Grid(n_years, groups, n_groups, weights)


def _numbered(codes: Integers, size: int) -> tuple[Integers, int]:
    """Codes numbered from 0 without gaps."""
    seen = np.zeros(size, dtype=bool)
    seen[codes] = True
    return (np.cumsum(seen) - 1)[codes], int(seen.sum())
