"""Products on a grid of pairs and years of which some cells are missing: those of the whole grid less the missing.

On the whole grid a pair meets its group (all pairs, a province pair, each of its two cities) in every year, so that
sums over years are taken first, and a product costs pairs, not rows. What is missing costs its own cells.

The equations once pairs are eliminated are those of the whole grid, Z Z' (x) (I - 11'/T), less what is missing. What
is the same in all years is nothing to them, so they are applied to deviations from the mean over years, and on
these the inverse of the whole grid is (Z Z')^-: close enough to be a preconditioner where two levels apply to a row.
Where one does, the equations fall into one block of T a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from engine.estimate.absorb_direct import MOST_FLOPS, generalised_inverses
from engine.estimate.absorb_kernels import Blocks, Coefficients, Operator
from engine.estimate.absorb_levels import Array, Integers, Levels

_MOST_MISSING = 0.5  # cells, as a share of rows


@dataclass(frozen=True)
class Cells:
    """Where rows stand on a grid, of two effects: the level of group g in year t is g T + t.

    Attributes
    ----------
    n_years : int
    by_group : ``[n_pairs, n_groups]``
        Groups of each pair that has a row.
    by_level : ``[n_pairs, n_groups n_years]``
        Levels of the cells that such a pair lacks.
    between, missing_between : ``[n_groups, n_groups]``, ``[n_groups n_years, n_groups n_years]``, or None
        Pairs that join two groups, and missing cells that would join two levels, if two levels apply to a row.
    """

    n_years: int
    by_group: sparse.csr_matrix
    by_level: sparse.csr_matrix
    between: sparse.csr_matrix | None
    missing_between: sparse.csr_matrix | None

    @property
    def n_groups(self) -> int:
        return int(self.by_group.shape[1])

    @cached_property
    def of_group(self) -> sparse.csc_matrix:
        return self.by_group.T

    @cached_property
    def of_level(self) -> sparse.csc_matrix:
        return self.by_level.T

    def whole(self, b: Array) -> Array:
        """Coefficients of all levels: the last group may lack its last years."""
        return np.pad(b, ((0, self.n_groups * self.n_years - len(b)), (0, 0)))

    def inverse(self, size: int) -> Blocks | None:
        """(Z Z')^- of the whole grid in every year, of the first levels, if two levels apply to a row."""
        if self.between is None:
            return None
        degree = np.asarray(self.of_group.sum(axis=1)).ravel()
        inverse, _ = generalised_inverses((self.between.toarray() + np.diag(degree))[None])
        levels = np.minimum(np.arange(self.n_groups * self.n_years), size)
        return Blocks((levels.reshape(self.n_groups, self.n_years).T,), (inverse,))


@dataclass(frozen=True)
class GridOperator(Operator):
    """An operator of two effects that knows where its rows stand."""

    cells: Cells

    def reduced(self, p: Coefficients) -> Coefficients:
        cells, size = self.cells, len(p[0])
        years = cells.whole(p[0]).reshape(cells.n_groups, cells.n_years, -1)
        years = years - years.mean(axis=1, keepdims=True)
        b = years.reshape(-1, years.shape[2])
        out = self._own(b)
        out -= cells.of_level @ self.solve(0, cells.by_level @ b)
        years = out.reshape(years.shape)
        years -= years.mean(axis=1, keepdims=True)
        return (out[:size],)

    def _own(self, b: Array) -> Array:
        """G_BB b of the second effect, on all levels."""
        cells, counts = self.cells, self.effects[1].counts
        out = np.pad(counts, (0, len(b) - len(counts)))[:, None] * b
        if cells.between is not None and cells.missing_between is not None:
            out += np.asarray(cells.between @ b.reshape(cells.n_groups, -1)).reshape(b.shape)
            out -= cells.missing_between @ b
        return np.asarray(out)

    def _product(self, k: int, other: int, b: Array) -> Array:
        cells, size = self.cells, self.effects[k].size
        if k > other:
            every_year = np.repeat(cells.of_group @ b, cells.n_years, axis=0)
            return np.asarray(every_year - cells.of_level @ b)[:size]
        if k == 0 == other:
            return np.asarray(self.effects[0].counts[:, None] * b)
        whole = cells.whole(b)
        if k == other:
            return self._own(whole)[:size]
        years = whole.reshape(cells.n_groups, cells.n_years, -1)
        return np.asarray(cells.by_group @ years.sum(axis=1) - cells.by_level @ whole)


def find_cells(effects: list[Levels], weights: Array | None) -> Cells | None:
    """Where rows stand, or None: two effects without weights, no cell twice, few of them missing.

    Some pair must have all years, and levels be coded group x years + year.
    """
    if len(effects) != 2 or effects[0].members != 1 or weights is not None:
        return None
    first, other = effects
    n_rows, n_years = len(first.codes), int(first.counts.max())
    present = np.flatnonzero(first.counts)
    if n_years < 2 or len(present) * n_years > (1 + _MOST_MISSING) * n_rows:
        return None
    n_groups = -(-other.size // n_years)
    if other.members == 2 and float(n_groups) ** 3 > MOST_FLOPS:
        return None
    pair = first.codes[:, 0]
    some_row = np.zeros(first.size, np.int32)
    some_row[pair] = np.arange(n_rows, dtype=np.int32)
    groups = other.codes[some_row] // np.int32(n_years)
    begin = groups * np.int32(n_years)
    year = other.codes[:, 0] - begin[pair, 0]
    if year.min() < 0 or year.max() >= n_years:
        return None
    if other.members == 2 and (other.codes[:, 1] - begin[pair, 1] != year).any():
        return None
    seen = np.zeros((first.size, n_years), dtype=bool)
    seen.ravel()[pair * np.int64(n_years) + year] = True
    if np.count_nonzero(seen) != n_rows:
        return None
    seen[first.counts == 0] = True
    lacking, years = np.divmod(np.flatnonzero(~seen), n_years)
    levels = groups[lacking] * n_years + years[:, None]
    return Cells(
        n_years,
        _incidence(present, groups[present], first.size, n_groups),
        _incidence(lacking, levels, first.size, n_groups * n_years),
        _joined(groups[present], n_groups),
        _joined(levels, n_groups * n_years),
    )


def _incidence(rows: Integers, columns: Integers, n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Ones; rows are in order."""
    members = columns.shape[1]
    pointer = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows) * members)])
    return sparse.csr_matrix((np.ones(columns.size), columns.ravel(), pointer), (n_rows, n_columns))


def _joined(codes: Any, size: int) -> sparse.csr_matrix | None:
    """How often two codes are together, either way."""
    if codes.shape[1] == 1:
        return None
    both = np.concatenate([codes, codes[:, ::-1]])
    return sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(size, size))
