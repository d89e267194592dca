"""Problems of a table, collected while it is read and raised together, so that one run shows all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from engine.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FIRST_ROW = 2
"""Number of the first row of data in a file, whose header is row 1: the index of a table plus this is the
number of the row as the user sees it."""

IN_JOB, IN_JOB_FILE, TOGETHER = "; or in the job file: ", "in the job file: ", "in the job file, together: "
"""Words before the lines to paste into a job file."""

ENGLISH = ("error: ", "hint: ")
_SHOWN = 20
_LONGEST = 60  # characters of a cell


class TableProblem(InputError):
    """A problem of a table that a line of the job file can mend.

    Parameters
    ----------
    problem, where, remedy
        As of every InputError; the remedy is what can be done about the table itself.
    job_line : str, optional
        The line, as `job_line` writes it; "" where no key mends the problem.
    labels
        As of every InputError.
    phrase : function
        What stands before the line, in the language of the message.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str,
        remedy: str,
        job_line: str = "",
        labels: tuple[str, str] = ENGLISH,
        phrase: Callable[[str], str] = str,
    ) -> None:
        self.table_remedy, self.job_line = remedy, job_line
        in_job = f"{phrase(IN_JOB)}{job_line}" if job_line else ""
        super().__init__(problem, where=where, remedy=f"{remedy}{in_job}", labels=labels)

    def at(self, where: str) -> InputError:
        """As of every InputError."""
        return TableProblem(
            self.problem, where=where, remedy=self.table_remedy, job_line=self.job_line, labels=self.labels
        )


def job_line(key: str, value: object) -> str:
    """A key of a job file with its value in one line of YAML.

    >>> job_line("panel.missing", {"gdp": ["about 12"]})
    'panel.missing: {gdp: [about 12]}'
    """
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return f"{key}: {text.removesuffix('...' + chr(10)).strip()}"


class SeveralProblems(InputError):
    """One error for several of a table, a line each with the line of the job that mends it, and all their remedies.

    Parameters
    ----------
    errors : sequence of InputError
    source : str
        File, which the lines do not repeat.
    where : str, optional
        Where the problems are; default the file.
    labels
        As of every InputError.
    phrase : function
        What joins the problems, in the language of the message.
    """

    def __init__(
        self,
        errors: Sequence[InputError],
        *,
        source: str,
        where: str | None = None,
        labels: tuple[str, str] = ENGLISH,
        phrase: Callable[[str], str] = str,
    ) -> None:
        self.parts, self.source = tuple(errors), source
        lines = []
        for error in self.parts[:_SHOWN]:
            place = (error.where or "").removeprefix(source).removeprefix(": ")
            lines.append(f"{place}: {error.problem}" if place else error.problem)
            if isinstance(error, TableProblem) and error.job_line:
                lines.append(f"  {phrase(IN_JOB_FILE)}{error.job_line}")
        if len(self.parts) > _SHOWN:
            lines.append(phrase(f"and {len(self.parts) - _SHOWN:,} more"))
        job_lines = [error.job_line for error in self.parts if isinstance(error, TableProblem)]
        lines += [f"{phrase(TOGETHER)}{line}" for line in _together(job_lines)]
        remedies = dict.fromkeys(map(_table_remedy, self.parts[:_SHOWN]))
        super().__init__(
            "\n  ".join([phrase(f"{len(self.parts):,} problems"), *lines]),
            where=where or source or None,
            remedy=phrase("; ").join(filter(None, remedies)) or None,
            labels=labels,
        )

    def at(self, where: str) -> InputError:
        """As of every InputError."""
        return SeveralProblems(self.parts, source=self.source, where=where, labels=self.labels)


def _together(lines: Sequence[str]) -> list[str]:
    """Lines of one key that several problems propose, as one line."""
    by_key: dict[str, list[object]] = {}
    for line in filter(None, lines):
        key, _, value = line.partition(": ")
        by_key.setdefault(key, []).append(yaml.safe_load(value))
    return [
        job_line(key, _united(values))
        for key, values in by_key.items()
        if len(values) > 1 and isinstance(values[0], list | dict)
    ]


def _united(values: Sequence[object]) -> object:
    """Mappings merged, lists joined."""
    union: dict[str, object] = {}
    entries: list[object] = []
    for value in values:
        if isinstance(value, dict):
            union |= {name: _united([union[name], of]) if name in union else of for name, of in value.items()}
        else:
            entries += [
                entry for entry in (value if isinstance(value, list) else [value]) if entry not in entries
            ]
    return union or sorted(entries, key=lambda entry: entry if isinstance(entry, int) else 0)


def _table_remedy(error: InputError) -> str | None:
    return error.table_remedy if isinstance(error, TableProblem) else error.remedy


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


def cell_excerpt(cell: object) -> str:
    """The text of a cell for messages, of at most 60 characters; a whole number has no point."""
    text = f"{cell:.15g}" if isinstance(cell, float) else str(cell)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


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
