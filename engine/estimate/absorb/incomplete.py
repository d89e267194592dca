"""Products on a grid of pairs and years of which some cells are missing: those of the whole grid less the missing.

On the whole grid a pair meets its group (all pairs, a province pair, each of its two cities) in every year, so that
sums over years are taken first, and a product costs pairs, not rows. What is missing costs its own cells.

The equations once pairs are eliminated are those of the whole grid, Z Z' (x) (I - 11'/T), less what is missing. What
is the same in all years is nothing to them, so they are applied to deviations from the mean over years, and on
these the inverse of the whole grid is (Z Z')^-: close enough to be a preconditioner where two levels apply to a row.
Where one does, the equations fall into one block of T a group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from engine.arrays import AnyIntegers, Array
from engine.estimate.absorb.direct import MOST_FLOPS, generalised_inverses
from engine.estimate.absorb.levels import Levels
from engine.estimate.absorb.pair_year_grid import group_equations
from engine.estimate.absorb.row_kernels import Blocks, Coefficients, Operator, full_product

_MOST_MISSING = 0.5  # cells, as a share of rows
_SEVERAL = 5  # columns for which it pays to make one matrix of three products


@dataclass(frozen=True)
class GridCells:
    """Where rows stand on a grid, of two effects: the level of group g in year t is g T + t.

    Attributes
    ----------
    n_years : int
    by_group : ``[n_pairs, n_groups]``
        Groups of each pair that has a row, Z'.
    missing : ``[n_missing, n_groups n_years]``
        Levels of each cell that such a pair lacks, M.
    incomplete_pairs : int ``[n_incomplete]``
        Pairs that have such cells.
    by_pair : ``[n_incomplete, n_missing]``
        Those cells, by pair.
    group_equations : ``[n_groups]`` or ``[n_groups, n_groups]``
        Z Z': pairs of each group, or a matrix where two levels apply to a row.
    """

    n_years: int
    by_group: sparse.csr_matrix
    missing: sparse.csr_matrix
    incomplete_pairs: AnyIntegers
    by_pair: sparse.csr_matrix
    group_equations: Array

    @cached_property
    def of_group(self) -> sparse.csc_matrix:
        return self.by_group.T

    @cached_property
    def of_missing(self) -> sparse.csc_matrix:
        return self.missing.T

    @cached_property
    def of_pair(self) -> sparse.csc_matrix:
        return self.by_pair.T

    def by_year(self, b: Array) -> Array:
        """``[n_groups, n_years, n_columns]``"""
        return b.reshape(len(self.group_equations), self.n_years, -1)

    def whole(self, b: Array) -> Array:
        """Z Z' b, in every year."""
        if self.group_equations.ndim == 1:
            return _every_year(self.group_equations, self.n_years)[:, None] * b
        return full_product(self.group_equations, b.reshape(len(self.group_equations), -1)).reshape(b.shape)

    def equations(self, counts: AnyIntegers) -> Array:
        """Those of a second effect with one level a row once pairs are eliminated, ``[n_groups, n_years, n_years]``.

        diag(rows) - sum_p c_p c_p' / n_p over the pairs of a group, c_p their n_p years: one less the years that they
        lack. ``counts``: rows of each pair.
        """
        t, n_levels, level = self.n_years, len(self.group_equations) * self.n_years, self.missing.indices
        cells_of_pair = np.diff(self.by_pair.indptr)
        of_cell, weight = (
            np.repeat(cells_of_pair, cells_of_pair),
            np.repeat(1 / counts[self.incomplete_pairs], cells_of_pair),
        )
        n_both = int(of_cell.sum())
        first_cell = np.repeat(np.arange(len(level)), of_cell)
        start = np.repeat(self.by_pair.indptr[:-1], cells_of_pair) - np.cumsum(of_cell) + of_cell
        second_cell = np.arange(n_both) + np.repeat(start, of_cell)
        joint = np.bincount(
            level[first_cell] * np.int64(t) + level[second_cell] % t, weight[first_cell], n_levels * t
        )
        lacks = np.bincount(level, weight, n_levels).reshape(-1, t)
        whole = np.bincount(self.by_group.indices, 1 / counts[counts > 0], len(self.group_equations))
        explained = joint.reshape(-1, t, t) + whole[:, None, None] - lacks[:, :, None] - lacks[:, None, :]
        equations: Array = np.asarray(-explained, dtype=np.float64)
        rows = self.group_equations[:, None] - np.bincount(level, minlength=n_levels).reshape(-1, t)
        np.einsum("gtt->gt", equations)[:] += rows
        return equations

    def inverse(self) -> Blocks | None:
        """(Z Z')^- in every year, if two levels apply to a row."""
        if self.group_equations.ndim == 1:
            return None
        inverse, _ = generalised_inverses(self.group_equations[None])
        levels = np.arange(len(self.group_equations) * self.n_years).reshape(-1, self.n_years)
        return Blocks((levels.T,), (inverse,))


@dataclass(frozen=True)
class GridOperator(Operator):
    """An operator of two effects that knows where its rows stand."""

    cells: GridCells

    def solve(self, k: int, g: Array) -> Array:
        inverse, (n_groups, n_years) = self.inverses[k], (len(self.cells.group_equations), self.cells.n_years)
        if (
            isinstance(inverse, Blocks)
            and inverse.positions[0].shape == (n_years, n_groups)
            and len(inverse.matrices[0]) == 1
        ):  # that of `GridCells.inverse`: no level has to be looked up
            return full_product(inverse.matrices[0][0], g.reshape(n_groups, -1)).reshape(g.shape)
        return super().solve(k, g)

    def consistent(self, right: Coefficients) -> Coefficients:
        (g,) = right
        return (g - _every_year(self.cells.by_year(g).mean(axis=1), self.cells.n_years),)

    def reduced(self, p: Coefficients, image: Coefficients | None = None) -> Coefficients:
        cells, (b,) = self.cells, p
        if image is None or cells.group_equations.ndim == 1:
            b = b - _every_year(cells.by_year(b).mean(axis=1), cells.n_years)
            product = cells.whole(b)
        else:  # the preconditioner is that of the whole grid, and p has no mean over years
            product = image[0]
        product = product - (self._missing_matrix @ b if b.shape[1] >= _SEVERAL else self._of_missing(b))
        product -= _every_year(cells.by_year(product).mean(axis=1), cells.n_years)
        return (product,)

    def _of_missing(self, b: Array) -> Array:
        """Part of missing cells in the equations of the whole grid, on deviations from the mean over years."""
        cells = self.cells
        missing_sums = cells.missing @ b  # what is as long as pairs or cells is made as seldom as can be
        mean = cells.by_pair @ missing_sums
        mean /= self.effects[0].counts[cells.incomplete_pairs][:, None]
        missing_sums += cells.of_pair @ mean
        return np.asarray(cells.of_missing @ missing_sums)

    @cached_property
    def _missing_matrix(self) -> sparse.csr_matrix:
        """The same as one matrix: M'M + M'P' diag(1/n) P M, P the cells by pair."""
        cells = self.cells
        by_pair = cells.by_pair @ cells.missing
        by_pair.data /= np.repeat(
            np.sqrt(self.effects[0].counts[cells.incomplete_pairs]), np.diff(by_pair.indptr)
        )
        root = sparse.vstack([cells.missing, by_pair]).tocsr()
        return sparse.csr_matrix(root.T.tocsr() @ root)

    def _product(self, target: int, source: int, b: Array) -> Array:
        cells = self.cells
        if target > source:
            every_year = _every_year(cells.of_group @ b, cells.n_years)
            every_year -= cells.of_missing @ (cells.of_pair @ b[cells.incomplete_pairs])
            return every_year
        if target == 0 == source:
            return np.asarray(self.effects[0].counts[:, None] * b)
        missing_sums = cells.missing @ b
        if target < source:
            pair_sums = np.asarray(cells.by_group @ cells.by_year(b).sum(axis=1))
            pair_sums[cells.incomplete_pairs] -= cells.by_pair @ missing_sums
            return pair_sums
        return np.asarray(cells.whole(b) - cells.of_missing @ missing_sums)


def _every_year(values: Array, n_years: int) -> Array:
    return np.repeat(values, n_years, axis=0)


def whole_groups(effects: list[Levels]) -> list[Levels]:
    """The same with room for all years of the last group of the second effect, should that have groups and years."""
    if len(effects) != 2 or effects[0].members != 1:
        return effects
    first, second = effects
    n_padding = -second.size % int(first.counts.max())
    if n_padding == 0:
        return effects
    return [
        first,
        replace(second, size=second.size + n_padding, counts=np.pad(second.counts, (0, n_padding))),
    ]


def find_cells(effects: list[Levels], weights: Array | None) -> GridCells | None:
    """Where rows stand, or None: two effects in whole groups without weights, no cell twice, few of them missing.

    Some pair must have all years, and levels be coded group x years + year.
    """
    if len(effects) != 2 or effects[0].members != 1 or weights is not None:
        return None
    first, second = effects
    n_rows, n_years = len(first.codes), int(first.counts.max())
    present = np.flatnonzero(first.counts)
    if n_years < 2 or len(present) * n_years > (1 + _MOST_MISSING) * n_rows:
        return None
    n_groups = second.size // n_years
    if second.members == 2 and float(n_groups) ** 3 > MOST_FLOPS:
        return None
    pair = first.codes[:, 0].astype(np.intp)  # an index that is not is cast element by element
    some_row = np.zeros(first.size, np.int32)
    some_row[pair] = np.arange(n_rows, dtype=np.int32)
    groups = second.codes[some_row] // np.int32(n_years)
    year = second.codes[:, 0] - np.take(groups[:, 0] * np.int32(n_years), pair)
    if year.view(np.uint32).max() >= n_years:  # a negative one is large
        return None
    if second.members == 2:
        again = second.codes[:, 1] - np.take(groups[:, 1] * np.int32(n_years), pair)
        if (again != year).any():
            return None
    occupied = np.zeros((first.size, n_years), dtype=bool)
    occupied.ravel()[pair * n_years + year] = True
    if np.count_nonzero(occupied) != n_rows:
        return None
    occupied[first.counts == 0] = True
    of_cell, years = np.divmod(np.flatnonzero(~occupied).astype(np.int32), np.int32(n_years))
    levels = groups[of_cell] * np.int32(n_years) + years[:, None]
    incomplete_pairs = np.flatnonzero((first.counts > 0) & (first.counts < n_years))
    cell = np.arange(len(of_cell), dtype=np.int32)
    return GridCells(
        n_years,
        _ones((first.counts > 0) * second.members, groups[present].ravel(), n_groups),
        _ones(np.full(len(cell), second.members), levels.ravel(), n_groups * n_years),
        incomplete_pairs,
        _ones(n_years - first.counts[incomplete_pairs], cell, len(cell)),
        group_equations(groups[present], n_groups),
    )


def _ones(n_entries: AnyIntegers, columns: AnyIntegers, n_columns: int) -> sparse.csr_matrix:
    """As many ones a row as said."""
    pointer = np.zeros(len(n_entries) + 1, np.int32)
    np.cumsum(n_entries, out=pointer[1:])
    return sparse.csr_matrix((np.ones(len(columns)), columns, pointer), (len(n_entries), n_columns))
