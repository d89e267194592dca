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
        Groups of each pair that has a row, Z'.
    by_level : ``[n_pairs, n_groups n_years]``
        Levels of the cells that such a pair lacks.
    own, missing_own : ``[n_groups, n_groups]``, ``[n_groups n_years, n_groups n_years]``, or None
        Z Z', and the same of the missing cells alone, if two levels apply to a row.
    """

    n_years: int
    by_group: sparse.csr_matrix
    by_level: sparse.csr_matrix
    own: sparse.csr_matrix | None
    missing_own: sparse.csr_matrix | None

    @cached_property
    def of_group(self) -> sparse.csc_matrix:
        return self.by_group.T

    @cached_property
    def of_level(self) -> sparse.csc_matrix:
        return self.by_level.T

    def by_year(self, b: Array) -> Array:
        """``[n_groups, n_years, n_columns]``"""
        return b.reshape(self.by_group.shape[1], self.n_years, -1)

    def inverse(self) -> Blocks | None:
        """(Z Z')^- of the whole grid in every year, if two levels apply to a row."""
        if self.own is None:
            return None
        inverse, _ = generalised_inverses(self.own.toarray()[None])
        levels = np.arange(len(inverse[0]) * self.n_years).reshape(-1, self.n_years)
        return Blocks((levels.T,), (inverse,))


@dataclass(frozen=True)
class GridOperator(Operator):
    """An operator of two effects that knows where its rows stand."""

    cells: Cells

    def reduced(self, p: Coefficients, image: Coefficients | None = None) -> Coefficients:
        cells, (b,) = self.cells, p
        if image is None or cells.missing_own is None:
            b = b - _every_year(cells.by_year(b).mean(axis=1), cells.n_years)
            out = self._product(1, 1, b)
        else:  # has no mean over years, nor then has what the preconditioner made of it
            out = image[0] - cells.missing_own @ b
        out -= cells.of_level @ self.solve(0, cells.by_level @ b)
        out -= _every_year(cells.by_year(out).mean(axis=1), cells.n_years)
        return (out,)

    def _product(self, k: int, other: int, b: Array) -> Array:
        cells = self.cells
        if k > other:
            return np.asarray(_every_year(cells.of_group @ b, cells.n_years) - cells.of_level @ b)
        if k < other:
            return np.asarray(cells.by_group @ cells.by_year(b).sum(axis=1) - cells.by_level @ b)
        if k == 0 or cells.own is None or cells.missing_own is None:
            return np.asarray(self.effects[k].counts[:, None] * b)
        whole = np.asarray(cells.own @ b.reshape(cells.own.shape[0], -1)).reshape(b.shape)
        return np.asarray(whole - cells.missing_own @ b)


def _every_year(values: Array, n_years: int) -> Array:
    return np.repeat(values, n_years, axis=0)


def whole_groups(effects: list[Levels]) -> list[Levels]:
    """The same with room for all years of the last group of the second effect, should that have groups and years."""
    if len(effects) != 2 or effects[0].members != 1:
        return effects
    first, other = effects
    lacking = -other.size % int(first.counts.max())
    if lacking == 0:
        return effects
    return [first, replace(other, size=other.size + lacking, counts=np.pad(other.counts, (0, lacking)))]


def find_cells(effects: list[Levels], weights: Array | None) -> Cells | None:
    """Where rows stand, or None: two effects in whole groups without weights, no cell twice, few of them missing.

    Some pair must have all years, and levels be coded group x years + year.
    """
    if len(effects) != 2 or effects[0].members != 1 or weights is not None:
        return None
    first, other = effects
    n_rows, n_years = len(first.codes), int(first.counts.max())
    present = np.flatnonzero(first.counts)
    if n_years < 2 or len(present) * n_years > (1 + _MOST_MISSING) * n_rows:
        return None
    n_groups = other.size // n_years
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
        _own_equations(groups[present], n_groups),
        _own_equations(levels, n_groups * n_years),
    )


def _incidence(rows: Integers, columns: Integers, n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Ones; rows are in order."""
    members = columns.shape[1]
    pointer = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows) * members)])
    return sparse.csr_matrix((np.ones(columns.size), columns.ravel(), pointer), (n_rows, n_columns))


def _own_equations(codes: Any, size: int) -> sparse.csr_matrix | None:
    """B'B of dummies of two levels a row."""
    if codes.shape[1] == 1:
        return None
    row = np.concatenate([codes[:, 0], codes[:, 1], codes.ravel()])
    column = np.concatenate([codes[:, 1], codes[:, 0], codes.ravel()])
    return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(size, size))
