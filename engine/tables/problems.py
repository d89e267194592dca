"""Problems of a table, collected while it is read and raised together, so that one run shows all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd

from engine.errors import InputError

FIRST_ROW = 2
"""Number of the first row of data in a file, whose header is row 1: the index of a table plus this is the
number of the row as the user sees it."""

_SHOWN = 20


class SeveralProblems(InputError):
    """One error for several of a table, a line each, with all their remedies."""

    def __init__(self, errors: Sequence[InputError], *, source: str) -> None:
        self.parts = tuple(errors)
        lines = []
        for error in self.parts[:_SHOWN]:
            place = (error.where or "").removeprefix(source).removeprefix(": ")
            lines.append(f"{place}: {error.problem}" if place else error.problem)
        if len(self.parts) > _SHOWN:
            lines.append(f"and {len(self.parts) - _SHOWN} more")
        remedies = list(dict.fromkeys(error.remedy for error in self.parts[:_SHOWN] if error.remedy))
        super().__init__(
            "\n  ".join([f"{len(self.parts)} problems", *lines]),
            where=source or None,
            remedy="; ".join(remedies) or None,
        )


class Problems:
    """Collector of what is wrong with one table.

    Read each column within `collect`; call `raise_any` before values are used. ::

        problems = Problems(source)
        for name in names:
            with problems.collect():
                values[name] = cells.numbers(frame[name], source=source)[0]
        problems.raise_any()

    Parameters
    ----------
    source : str
        File, for messages.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._errors: list[InputError] = []

    @property
    def errors(self) -> tuple[InputError, ...]:
        """Problems collected so far."""
        return tuple(self._errors)

    def add(self, error: InputError) -> None:
        """Keep a problem; one that is there already, word for word, is kept once."""
        for part in error.parts if isinstance(error, SeveralProblems) else (error,):
            if str(part) not in map(str, self._errors):
                self._errors.append(part)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep the InputError that the block raises, instead of raising it."""
        try:
            yield
        except InputError as error:
            self.add(error)

    def raise_any(self) -> None:
        """Raises InputError where there are problems: the one there is, or one that lists them all."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise SeveralProblems(self._errors, source=self.source)


def row_place(source: str, column: pd.Series, position: int) -> str:
    """``file.csv: row 7, column 'gdp'`` of a cell, by its position in the column."""
    place = f"row {column.index[position] + FIRST_ROW}, column '{column.name}'"
    return f"{source}: {place}" if source else place


def other_rows(column: pd.Series, positions: Sequence[int]) -> str:
    """``; also rows 8, 9, 11 and 12 more`` for the cells after the first that are wrong alike, "" where none is."""
    if len(positions) < 2:
        return ""
    rows = [str(column.index[position] + FIRST_ROW) for position in positions[1:4]]
    n_unlisted = len(positions) - 1 - len(rows)
    if n_unlisted:
        return f"; also rows {', '.join(rows)} and {n_unlisted} more"
    row_list = " and ".join([", ".join(rows[:-1]), rows[-1]] if len(rows) > 1 else rows)
    return f"; also row{'s' * (len(rows) > 1)} {row_list}"
