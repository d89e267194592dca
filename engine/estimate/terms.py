"""Terms of a regression: columns of the pass, and treatment terms of the sets that its cells use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.pairs.treatment import Terms


@dataclass(frozen=True)
class Term:
    """A regressor.

    Attributes
    ----------
    name : str
        As job files and tables spell it; cells of one pass may use it for different treatments.
    path_set : int or None
        Number of the set of treatment paths within the pass that the term belongs to; None for a column.
    event_time : int or None
        Years since adoption, of an event-study term.
    cohort : int or None
        Position of the cohort, of a term of one cohort and year (`engine.estimate.cohorts.Partition`).
    year : int or None
        The year of such a term.
    """

    name: str
    path_set: int | None = None
    event_time: int | None = None
    cohort: int | None = None
    year: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_treatment(self) -> bool:
        """True where the term is a treatment path, not a column."""
        return self.path_set is not None


@dataclass(frozen=True)
class Regression:
    """A linear regression on terms of a pass, with the pass's effects.

    Attributes
    ----------
    regressors : tuple of Term
    instruments : tuple of Term or None
        As many as regressors, each in its regressor's place; None for least squares.
    outcome : Term or None
        A term in place of the outcome.
    """

    regressors: tuple[Term, ...]
    instruments: tuple[Term, ...] | None = None
    outcome: Term | None = None


def column_terms(names: Iterable[str]) -> tuple[Term, ...]:
    """Terms of regressor columns."""
    return tuple(Term(name) for name in names)


def names_of(terms: Iterable[Term]) -> tuple[str, ...]:
    """Names as tables print them."""
    return tuple(term.name for term in terms)


def unite_terms(cells: Sequence[Terms]) -> tuple[Array, list[tuple[Term, ...]]]:
    """One table of the distinct sets of treatment paths of some cells, and each cell's terms.

    Returns
    -------
    float64 ``[H, H, T, r]``
        Paths of all sets, one set after the other.
    list of tuple of Term
        By cell; `distinct` of them are in the order of the table.
    """
    sets: list[Terms] = []
    numbers = []
    for paths in cells:
        number = next((n for n, member in enumerate(sets) if _same(member, paths)), len(sets))
        if number == len(sets):
            sets.append(paths)
        numbers.append(number)
    cell_terms = [terms_of_set(paths, number) for paths, number in zip(cells, numbers, strict=True)]
    return np.concatenate([paths.table for paths in sets], axis=-1), cell_terms


def terms_of_set(paths: Terms, number: int = 0) -> tuple[Term, ...]:
    """The terms of one set of treatment paths."""
    times = paths.event_times or (None,) * len(paths.names)
    cohorts = paths.cohorts or (None,) * len(paths.names)
    years = paths.years or (None,) * len(paths.names)
    return tuple(
        Term(name, number, time, cohort, year)
        for name, time, cohort, year in zip(paths.names, times, cohorts, years, strict=True)
    )


def distinct(cell_terms: Iterable[tuple[Term, ...]]) -> tuple[Term, ...]:
    """Every term once, in order of first appearance."""
    return tuple(dict.fromkeys(term for terms in cell_terms for term in terms))


def _same(paths: Terms, candidate: Terms) -> bool:
    return paths.names == candidate.names and np.array_equal(paths.table, candidate.table)
