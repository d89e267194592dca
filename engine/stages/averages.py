"""Coefficients that an estimator reports: those of its regression, or averages of them weighted by rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import block_diag

from engine.arrays import Array, Integers
from engine.estimate.estimate import Estimate, RowsLeft
from engine.estimate.row_counts import city_term_rows, term_rows
from engine.estimate.terms import Term
from engine.spec import Cell, Job
from engine.stages.left_out_samples import GroupSamples
from engine.stages.pair_sums import PassSums


@dataclass(frozen=True)
class TermRows:
    """Rows in which a term is on: in all, of the pairs of each city ``[n_units]``, and of those of each group.

    Groups are those of block jackknives, ``[n_groups]`` by the code of the standard-error type; ``alone`` are rows of
    other pairs ``[n_units]`` that are alone in a level once a city is gone.
    """

    total: float
    of_city: Array
    of_groups: Mapping[str, Array] = field(default_factory=dict)
    alone: Array | None = None

    @property
    def left(self) -> Array:
        """Share of the rows left without each city."""
        return np.asarray(1 - self.of_city / self.total)

    @property
    def left_of_refit(self) -> Array:
        """Share of the rows that a regression without each city has."""
        return self.left if self.alone is None else np.asarray(self.left - self.alone / self.total)

    def left_of_group(self, code: str) -> Array:
        """Share of the rows left without each group."""
        return np.asarray(1 - self.of_groups[code] / self.total)


def rows_of_terms(
    cells: tuple[Cell, ...],
    terms: tuple[Term, ...],
    classes: Integers,
    passes: PassSums,
    groups: GroupSamples,
) -> dict[Term, TermRows]:
    """Rows in which each treatment term is on; empty where no cell averages terms.

    Raises
    ------
    InputError
        Where pairs of one type differ in their years.
    """
    if not any(cell.job.model.registered.functions.combination for cell in cells):
        return {}
    total = term_rows(passes.moments, classes, passes.table)
    of_city = city_term_rows(passes.moments, classes, passes.table)
    of_groups = groups.rows_gone(passes, of_city)
    return {
        term: TermRows(rows, of_city[:, at], {code: gone[:, at] for code, gone in of_groups.items()})
        for at, (term, rows) in enumerate(zip(terms, total, strict=True))
    }


def with_rows(treatment: tuple[Term, ...], rows: Mapping[Term, TermRows]) -> tuple[Term, ...]:
    """The terms but for those of cohorts that have no pair in the sample, where an estimator averages cohorts."""
    return tuple(term for term in treatment if term not in rows or rows[term].total > 0) or treatment


def reported(cell: Cell, fit: Estimate, rows: Mapping[Term, TermRows]) -> Estimate:
    """The coefficients that a cell's estimator reports, from those of its regression and the rows of its terms."""
    combination, treatment = cell.job.model.registered.functions.combination, cell.job.treatment
    if combination is None or treatment is None:
        return replace(fit, takes_both=takes_both(cell.job))
    columns = tuple(term for term in fit.terms if not term.is_treatment)
    paths = tuple(term for term in fit.terms if term.is_treatment)
    total = np.array([rows[term].total for term in paths])
    terms, weights = combination(treatment.name, paths, total)
    left = RowsLeft(
        _beside_ones(columns, [rows[term].left for term in paths]),
        _beside_ones(columns, [rows[term].left_of_refit for term in paths]),
        {
            code: _beside_ones(columns, [rows[term].left_of_group(code) for term in paths])
            for code in fit.without_group
        },
    )
    return fit.averaged((*columns, *terms), block_diag(np.eye(len(columns)), weights), left)


def _beside_ones(columns: tuple[Term, ...], left: list[Array]) -> Array:
    """Shares of rows ``[n_samples, K]``; those of columns, which are not averaged, are one."""
    return np.stack([*(np.ones_like(left[0]) for _ in columns), *left], axis=1)


def takes_both(job: Job) -> bool:
    """Whether coefficients are of a treatment under rule both (an instrument has weights of its own)."""
    is_regressor = job.model.treatment and not job.model.registered.uses_instrument
    return bool(is_regressor and job.treatment is not None and job.treatment.rule == "both")
