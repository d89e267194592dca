"""Headers of a table: stripped, each once, and the rows of a file that are neither header nor data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.problems import FIRST_ROW
from engine.tables.written_numbers import DecimalSign

_SHOWN = 10  # rows of a note


@dataclass(frozen=True)
class FileLayout:
    """How a file is to be read, as the user states it; None where nothing is stated.

    Attributes
    ----------
    sheet : str or None
        Excel sheet.
    encoding : str or None
        Of a text file.
    header : int or None
        Row of the file, from 1, that has the headers; default 1.
    skip_rows : int, tuple of int, or None
        So many rows below the header that are no data (units, translations), or their numbers in the file.
    key : str or None
        Block of the job that states all this, for messages: ``panel``, ``panel.join[0]``, ``pair_table``.
    decimal : {'point', 'comma'} or None
        Decimal sign of numbers in text.
    names : frozenset of str or int
        Columns of names, by header or by position from 0: their texts in a text file are kept as they are, so that 01
        and 1, or 1.1 and 1.10, are two names.
    years : frozenset of str or int
        Columns of years, likewise. A merged cell of theirs, or of a column of names, is of all its rows.
    """

    sheet: str | None = None
    encoding: str | None = None
    header: int | None = None
    skip_rows: int | tuple[int, ...] | None = None
    key: str | None = None
    decimal: DecimalSign | None = None
    names: frozenset[str | int] = frozenset()
    years: frozenset[str | int] = frozenset()

    @property
    def header_row(self) -> int:
        return 1 if self.header is None else self.header

    @property
    def skipped(self) -> frozenset[int]:
        """Numbers of the rows below the header that are no data."""
        if self.skip_rows is None:
            return frozenset()
        if isinstance(self.skip_rows, int):
            return frozenset(range(self.header_row + 1, self.header_row + 1 + self.skip_rows))
        return frozenset(self.skip_rows)

    def says_whose_row(self, header: str, place: int) -> bool:
        """Whether the column of a header, at a place from 0, names units or years."""
        return not (self.names | self.years).isdisjoint((header, place))

    def named(self, key: str) -> str:
        """A key of the block with its place, e.g. ``pair_table.encoding``."""
        return f"{self.key}.{key}" if self.key else key

    def rows_beyond(self, last_row: int, *, file: str) -> tuple[Note, ...]:
        """A warning where ``skip_rows`` names rows below the last one of the file."""
        beyond = [f"{row}" for row in sorted(self.skipped) if row > last_row]
        if not beyond:
            return ()
        key, rows = self.named("skip_rows"), shortened(beyond, _SHOWN)
        return (
            Note.of("skipped_rows_absent", file=file, key=key, count=len(beyond), rows=rows, last=last_row),
        )

    def no_rows(self, source: str) -> InputError:
        """The error for a table without rows below its header; it names the keys that may be why."""
        keys = [key for key in ("header", "skip_rows") if getattr(self, key) is not None]
        if not keys:
            return InputError("the table has a header but no rows", where=source)
        skipped = f", but for those that {self.named('skip_rows')} passes over" if self.skipped else ""
        return InputError(
            f"the table has no rows below its header, row {self.header_row}{skipped}",
            where=source,
            remedy=f"correct {' and '.join(map(self.named, keys))}, so that rows of data are left",
        )

    def check(self, source: str) -> None:
        """Raises InputError for rows that no file has."""
        numbers = [self.header_row, *self.skipped]
        if min(numbers) < 1 or max(numbers) > 2**31:
            raise InputError(
                f"{min(numbers) if min(numbers) < 1 else max(numbers)} is no row of a file",
                where=source,
                remedy="rows are counted from 1",
            )
        early = sorted(number for number in self.skipped if number <= self.header_row)
        if early:
            raise InputError(
                f"{self.named('skip_rows')} names row {early[0]}, but the header is row {self.header_row}",
                where=source,
                remedy="rows above the header are passed over anyway; name rows below it",
            )


def column_names(raw: Sequence[object], *, source: str) -> list[str]:
    """Stripped header texts; a header without text gets the number of its column. Nothing else is changed."""
    texts = ["" if pd.isna(header) else str(header).strip() for header in raw]  # type: ignore[call-overload]
    names = [text or f"Unnamed: {number}" for number, text in enumerate(texts)]
    refuse_twice(names, source=source)
    return names


def refuse_twice(names: Sequence[str], *, source: str, numbers: Sequence[int] | None = None) -> None:
    """Raises InputError where two columns, of these numbers in the file, have one header."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        numbers = range(1, len(names) + 1) if numbers is None else numbers
        places = [str(number) for number, name in zip(numbers, names, strict=True) if name == repeated[0]]
        raise InputError(
            f"the header '{repeated[0]}' is repeated in columns {', '.join(places)}",
            where=source,
            remedy="rename all but one",
        )


def without_blank_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without rows that have no value but blanks; the index, which numbers the rows, stays."""
    if frame.shape[1] == 0:
        return frame
    blank = _blank(frame.iloc[:, 0])
    for place in range(1, frame.shape[1]):
        if not blank.any():
            return frame
        blank[blank] = _blank(frame.iloc[:, place][blank])
    return frame[~blank]


def _blank(column: pd.Series) -> Flags:
    """True where a cell is missing or holds nothing but blanks."""
    blank = column.isna().to_numpy(dtype=bool, copy=True)
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        codes, texts = pd.factorize(column)  # few texts in many rows
        spaces = [number for number, text in enumerate(texts) if isinstance(text, str) and not text.strip()]
        if spaces:
            blank |= np.isin(codes, spaces)
    return blank


def row_index(layout: FileLayout, n_rows: int) -> pd.Index:
    """Index of the data rows of a text, such that ``index + FIRST_ROW`` is the number of a row in the file."""
    first = layout.header_row + 1
    numbers = np.arange(first, first + n_rows + len(layout.skipped))
    if layout.skipped:
        numbers = numbers[~np.isin(numbers, list(layout.skipped))][:n_rows]
    return (
        pd.RangeIndex(n_rows) if first == FIRST_ROW and not layout.skipped else pd.Index(numbers - FIRST_ROW)
    )
