"""The cells of a worksheet, read as a stream: what each holds, and what is wrong with it."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from engine.errors import InputError
from engine.tables.merged_cells import merged_rows
from engine.tables.xlsx_package import RAISED, Damaged, Package, Sheet, is_raised, local, unescaped

Value = float | str | bool | datetime.datetime | datetime.time | datetime.timedelta
LAST_COLUMN, LAST_ROW = 16_384, 1_048_576
NOT_AVAILABLE = "#N/A"  # what a search that finds nothing gives: a missing number
_LETTERS = re.compile(r"[A-Z]{1,3}")
_AT_A_TIME = 10_000  # cells between two looks at the limit


@dataclass
class SheetCells:
    """Filled cells of a sheet.

    Attributes
    ----------
    columns : dict of int to dict of int to value
        Column, from 1: row, from 1: value. A cell in error has its error as text.
    broken : dict of int to dict of int to str
        Column: row: what is wrong with a cell that has no value of its own.
    merged : dict of int to list of (int, int)
        Column: first and last row of each merged range of several rows that begins in it.
    """

    columns: dict[int, dict[int, Value]] = field(default_factory=dict)
    broken: dict[int, dict[int, str]] = field(default_factory=dict)
    merged: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


def read_cells(package: Package, sheet: Sheet) -> SheetCells:
    """The filled cells of a worksheet; raises InputError beyond the limits, Damaged for what is no worksheet."""
    package.estimate_cells(sheet.part)
    reader = _SheetReader(package, sheet)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.buffer_text = reader.data, True
    package.parse(sheet.part, parser)
    package.count_cells(reader.uncounted)
    return reader.cells


def column_letters(column: int) -> str:
    """A column's letters, e.g. 28 is AB."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def column_number(letters: str) -> int:
    """The number of a column, from 1, by its letters: AB is 28."""
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column


def cell_name(row: int, column: int) -> str:
    """``cell E17``, row and column from 1."""
    return f"cell {column_letters(column)}{row}"


class _SheetReader:
    """Handlers of an XML parser that gather cells."""

    def __init__(self, package: Package, sheet: Sheet) -> None:
        self.cells = SheetCells()
        self.uncounted = 0
        self._package, self._sheet = package, sheet
        self._in_rows = self._in_cell = self._formula = False
        self._reading = self._reference = self._kind = self._style = ""
        self._readings = 0  # depth of phonetic runs, whose text is none of the cell's
        self._raised = False  # within a run above or below the line
        self._row = self._column = 0
        self._row_digits = "0"
        self._columns: dict[str, int] = {}
        self._pieces: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name) if ":" in name else name
        if name == "c" and self._in_rows:
            self._start_cell(attributes)
        elif self._in_cell:
            if name in ("v", "t"):
                self._reading = name
            elif name == "f":
                self._formula = True
            elif name == "rPh":
                self._readings += 1
            elif name == "r":
                self._raised = False
            elif name == "vertAlign":
                self._raised = is_raised(attributes)
        elif name == "row" and self._in_rows:
            row = attributes.get("r")
            self._row, self._column = (int(row) if row else self._row + 1), 0
            self._row_digits = str(self._row)
        elif name == "sheetData":
            self._in_rows = True
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))

    def end(self, name: str) -> None:
        name = local(name) if ":" in name else name
        if name in ("v", "t"):
            self._reading = ""
        elif name == "c" and self._in_cell:
            self._in_cell = False
            if self._pieces or self._formula:
                self._end_cell("".join(self._pieces))
        elif name == "rPh":
            self._readings -= 1
        elif name == "sheetData":
            self._in_rows = False

    def data(self, text: str) -> None:
        if self._reading and not self._readings:
            self._pieces.append(text.translate(RAISED) if self._raised else text)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._in_cell, self._formula, self._raised = True, False, False
        self._pieces.clear()
        self._reference = attributes.get("r", "")
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        self._column += 1
        if self._reference:
            self._place(self._reference)
        if self._column > LAST_COLUMN or not 1 <= self._row <= LAST_ROW:
            raise Damaged(f"sheet '{self._sheet.name}' has a cell outside of any sheet")
        self.uncounted += 1
        if self.uncounted == _AT_A_TIME:
            self._package.count_cells(self.uncounted)
            self.uncounted = 0

    def _place(self, reference: str) -> None:
        letters = reference[: -len(self._row_digits)] if reference.endswith(self._row_digits) else ""
        column = self._columns.get(letters, 0)
        if not column:
            if not _LETTERS.fullmatch(letters):
                raise Damaged(f"sheet '{self._sheet.name}' has a cell '{reference[:20]}' in row {self._row}")
            self._columns[letters] = column = column_number(letters)
        self._column = column

    def _merge(self, reference: str) -> None:
        merged = merged_rows(reference)
        if merged is not None:
            letters, first, last = merged
            self.cells.merged.setdefault(column_number(letters), []).append((first, last))

    def _end_cell(self, text: str) -> None:
        try:
            read = _READERS[self._kind]
        except KeyError:
            raise Damaged(f"{self._here()} is of no known kind '{self._kind[:20]}'") from None
        problem = self._problem(text)
        value = problem or (read(self, text) if text else "")
        if problem:
            self.cells.broken.setdefault(self._column, {})[self._row] = problem
        if value == "":
            return
        column = self.cells.columns.setdefault(self._column, {})
        if self._row in column:
            raise Damaged(f"{self._here()} occurs twice")
        column[self._row] = value

    def _problem(self, text: str) -> str | None:
        """Problem of a cell that has an error, or a formula that no program has computed."""
        if self._kind == "e":
            return text if text.strip() != NOT_AVAILABLE else None
        if not self._formula:
            return None
        if not text:
            return None if self._kind == "str" else "a formula without a stored value"
        if self._package.recalculate and self._kind == "n" and text == "0":
            return "a formula that was never computed"
        return None

    def _here(self) -> str:
        return f"{cell_name(self._row, self._column)} of sheet '{self._sheet.name}'"

    def _shared(self, text: str) -> str:
        texts = self._package.texts
        if not text.strip().isascii() or not text.strip().isdigit() or int(text) >= len(texts):
            raise Damaged(f"{self._here()} refers to the text {text[:20]}, which is not there")
        shared_text = texts[int(text)]
        self._package.count_characters(len(shared_text))
        return shared_text

    def _number(self, text: str) -> Value:
        try:
            number = float(text) if "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise Damaged(f"{self._here()} holds '{text[:20]}' as a number")
        if self._style and self._style != "0":
            style = int(self._style)
            if style in self._package.date_styles:
                return date_or_time(number, from_1904=self._package.from_1904)
        return number

    def _text(self, text: str) -> str:
        text = unescaped(text)
        if "\0" in text:
            raise InputError(
                "a cell holds a NUL character",
                where=f"{self._package.path}: {self._here()}",
                remedy="write the text again",
            )
        return text

    def _truth(self, text: str) -> bool:
        if text not in ("0", "1", "true", "false"):
            raise Damaged(f"{self._here()} holds '{text[:20]}' as a truth value")
        return text in ("1", "true")

    def _iso(self, text: str) -> Value:
        try:
            return datetime.datetime.fromisoformat(text.removesuffix("Z"))
        except ValueError:
            return text

    def _error(self, text: str) -> str:
        return text.strip()


_READERS: dict[str, Callable[[_SheetReader, str], Value]] = {
    "n": _SheetReader._number,
    "s": _SheetReader._shared,
    "str": _SheetReader._text,
    "inlineStr": _SheetReader._text,
    "b": _SheetReader._truth,
    "e": _SheetReader._error,
    "d": _SheetReader._iso,
}


def date_or_time(number: float, *, from_1904: bool) -> Value:
    """A date of its serial number; below one day a time; text where there is no such date."""
    if 0 <= number < 1:
        return (datetime.datetime.min + datetime.timedelta(seconds=round(number * 86_400) % 86_400)).time()
    if from_1904:
        start = datetime.datetime(1904, 1, 1)
    else:  # Excel has a 29 February 1900
        start = datetime.datetime(1899, 12, 31 if number < 60 else 30)
    try:
        return start + datetime.timedelta(seconds=round(number * 86_400))
    except OverflowError:
        return f"{number:g} formatted as a date"
