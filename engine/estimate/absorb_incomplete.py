"""Products on a grid of pairs and years of which some cells are missing: those of the whole grid less the missing.

On the whole grid a pair meets its group (all pairs, a province pair, each of its two cities) in every year, so that
sums over years are taken first, and a product costs pairs, not rows. What is missing costs its own cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from engine.estimate.absorb_kernels import Operator
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

    @cached_property
    def of_group(self) -> sparse.csc_matrix:
        return self.by_group.T

    @cached_property
    def of_level(self) -> sparse.csc_matrix:
        return self.by_level.T


@dataclass(frozen=True)
class GridOperator(Operator):
    """An operator of two effects that knows where its rows stand."""

    cells: Cells

    def _product(self, k: int, other: int, b: Array) -> Array:
        cells, size, n_columns = self.cells, self.effects[k].size, b.shape[1]
        n_groups, n_years = cells.by_group.shape[1], cells.n_years
        if k > other:
            every_year = np.repeat(cells.of_group @ b, n_years, axis=0)
            return np.asarray(every_year - cells.of_level @ b)[:size]
        lacking = n_groups * n_years - len(b)  # the last group may lack its last years
        whole = np.pad(b, ((0, lacking), (0, 0))) if lacking and other > 0 else b
        if k < other:
            years = whole.reshape(n_groups, n_years, n_columns)
            return np.asarray(cells.by_group @ years.sum(axis=1) - cells.by_level @ whole)
        own = self.effects[k].counts[:, None] * b
        between, lacking_between = cells.between, cells.missing_between
        if k == 0 or between is None or lacking_between is None:
            return np.asarray(own)
        joined = np.asarray(between @ whole.reshape(n_groups, -1)).reshape(-1, n_columns)
        return np.asarray(own + (joined - np.asarray(lacking_between @ whole))[:size])


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
    n_groups = -(-other.size // n_years)
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
