"""Which rows of a regression table are printed, and how: the block ``table`` of a job, or an argument in Python."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

from engine.errors import InputError
from engine.pairs.year_slopes import regressor_of
from engine.report.number_format import AlignedNumbers, Notation, notations, number
from engine.report.unit_names import UNITS

NO_STARS = "none"
"""As ``stars``: no stars at all."""


class TableChoices(TypedDict, total=False):
    """Choices by name, as a job file or a caller gives them: one name may stand for a list of one."""

    labels: Mapping[str, str]
    keep: Sequence[str] | str
    drop: Sequence[str] | str
    order: Sequence[str] | str
    digits: int | None
    stars: str | None
    errors: Sequence[str] | str | None
    notes: Sequence[str] | str
    columns: Sequence[str] | str


_NAMES = frozenset(TableChoices.__annotations__)
_LISTS = ("keep", "drop", "order", "errors", "notes", "columns")


@dataclass(frozen=True)
class TableStyle:
    """Choices of a regression table; the defaults print everything.

    Attributes
    ----------
    labels : mapping of str to str
        Printed names by term, series or column of the results.
    keep, drop, order : sequence of str
        Names of terms, or regular expressions searched in them: those printed, left out, and printed first.
    digits : int or None
        Decimals of coefficients, errors and fits, whatever their size; None for those that `number_format.notations`
        finds.
    stars : str or None
        Standard-error type of the stars, or `NO_STARS`; None for the preferred type that all columns have.
    errors : sequence of str or None
        Standard-error types printed, in this order; None for all.
    notes : sequence of str
        Further notes below the table.
    columns : sequence of str
        Headings; none for (1), (2) and on.
    slopes : mapping of cell to sequence of str
        Regressors with a slope a year: a row says so, and ``keep`` prints their coefficients where it names them.
    units : str
        Label of the row that counts them.
    notation : Notation, optional
        Of numbers that belong together, where ``digits`` leaves it open; see `by_column`.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[str] = ()
    drop: Sequence[str] = ()
    order: Sequence[str] = ()
    digits: int | None = None
    stars: str | None = None
    errors: Sequence[str] | None = None
    notes: Sequence[str] = ()
    columns: Sequence[str] = ()
    slopes: Mapping[Hashable, Sequence[str]] = field(default_factory=dict)
    units: str = UNITS
    notation: Notation | None = None

    def changed(self, choices: TableChoices) -> TableStyle:
        """The style with some choices made; raises InputError for one that there is not."""
        unknown = sorted(set(choices) - _NAMES)
        if unknown:
            raise InputError(
                f"there is no choice '{unknown[0]}'",
                where="table",
                remedy=f"there are {', '.join(sorted(_NAMES))}",
            )
        values = {
            name: [value] if name in _LISTS and isinstance(value, str) else value
            for name, value in choices.items()
            if value is not None or name in ("digits", "stars", "errors")
        }
        style = replace(self, **values)  # type: ignore[arg-type]
        for key in ("keep", "drop", "order"):
            for pattern in getattr(style, key):
                _check_pattern(pattern, key)
        return style

    def label(self, name: str) -> str:
        """The printed name."""
        return self.labels.get(name, name)

    def number(self, value: float) -> str:
        """A coefficient, error or fit as printed."""
        if self.digits is not None:
            return Notation(self.digits).text(value)
        return self.notation.text(value) if self.notation else number(value)

    def by_column(self, columns: Sequence[AlignedNumbers]) -> list[TableStyle]:
        """The style of each column for the numbers of one term, which share a notation where they can."""
        return [replace(self, notation=notation) for notation in notations(columns)]

    def of_numbers(self, values: Iterable[float], errors: Iterable[float] = ()) -> TableStyle:
        """The style for numbers of one notation, and for their standard errors."""
        return self.by_column([AlignedNumbers(tuple(values), tuple(errors))])[0]

    def terms(self, names: Iterable[str]) -> list[str]:
        """The terms printed, in their order; raises InputError where none is left."""
        all_terms = list(names)
        if self.keep:
            chosen = [name for name in all_terms if _any_in(self.keep, name)]
        else:
            chosen = self.without_slopes(all_terms)
        chosen = [name for name in chosen if not _any_in(self.drop, name)]
        if not chosen:
            raise InputError(
                "table.keep and table.drop leave no term",
                where="table",
                remedy=f"the terms are {', '.join(all_terms[:20])}",
            )
        return sorted(chosen, key=self._rank)

    def without_slopes(self, names: Iterable[str]) -> list[str]:
        """Terms that are no slope of one year; all where there are no others."""
        by_year = {regressor for of_cell in self.slopes.values() for regressor in of_cell}
        sources = {name: regressor_of(name) for name in names}
        others = [name for name, source in sources.items() if source is None or source[0] not in by_year]
        return others or list(sources)

    def _rank(self, name: str) -> int:
        places = (place for place, pattern in enumerate(self.order) if matches(pattern, name))
        return next(places, len(self.order))

    def error_codes(self, codes: Iterable[str]) -> tuple[str, ...]:
        """The standard-error types printed; raises InputError for one that the results lack."""
        present = tuple(codes)
        if self.errors is None:
            return present
        for code in self.errors:
            _check_present(code, present, "errors")
        return tuple(self.errors)

    def starred(self, preferred: str | None, codes: Iterable[str]) -> str | None:
        """The type of the stars, None for none; ``preferred`` is the one that the table would take itself."""
        if self.stars is None or self.stars == NO_STARS:
            return None if self.stars else preferred
        _check_present(self.stars, tuple(codes), "stars")
        return self.stars

    def header(self, n_columns: int) -> tuple[str, ...]:
        """Headings of the columns; raises InputError where there are more or fewer names than columns."""
        if not self.columns:
            return tuple(f"({column})" for column in range(1, n_columns + 1))
        if len(self.columns) != n_columns:
            raise InputError(
                f"{len(self.columns)} headings for {n_columns} columns",
                where="table.columns",
                remedy="give one a column",
            )
        return tuple(self.columns)


EVERYTHING = TableStyle()
"""Every row, as the table itself would print it."""


def _any_in(patterns: Sequence[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)


def matches(pattern: str, name: str) -> bool:
    """Whether a name, or regular expression, means a term.

    A term's own name is its pattern too, though ``policy[-2]`` is a class of characters as an expression.
    """
    if re.fullmatch(r"\w+\[[+-]?\d+\]", pattern):  # a term of an event study
        return pattern == name
    return re.search(pattern, name) is not None


def _check_pattern(pattern: str, key: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"'{pattern}' is no regular expression ({error})",
            where=f"table.{key}",
            remedy="write a term's name, or a pattern like ^edu",
        ) from None


def _check_present(code: str, present: Sequence[str], key: str) -> None:
    if code not in present:
        raise InputError(
            f"there are no errors '{code}' in the results",
            where=f"table.{key}",
            remedy=f"they have {', '.join(present)}; others must be among model.errors",
        )
