"""The cells of an old Excel workbook, ``.xls``: what each holds, and what is wrong with it.

`xlrd` reads the format; it does not tell a formula from a number, so that a formula which no program ever computed
would be the number 0. The records of the sheet are therefore looked through once for such formulas.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import xlrd

from engine.errors import InputError
from engine.tables import limits
from engine.tables.file_bytes import FileBytes
from engine.tables.xlsx_cells import NOT_AVAILABLE, SheetCells, Value, cell_name, date_or_time
from engine.tables.xlsx_package import RAISED, Damaged, Sheet

COMPOUND = b"\xd0\xcf\x11\xe0"
"""How a compound document begins: an .xls of Excel 5 or newer, or a workbook with a password."""
_BEGIN, _END = (0x0009, 0x0209, 0x0409, 0x0809), 0x000A
"""Records at which a sheet, or a chart within it, begins and ends."""
_FORMULA = (0x0006, 0x0206, 0x0406)
_NO_TEXT = b"no text "
_SUMMARY = "\x05SummaryInformation".encode("utf-16-le")
_TO_COMPUTE = 0x0002  # of a formula's flags: it is computed when the file is opened
_NO_PASSWORD = "save it without a password"


@dataclass(frozen=True)
class OldWorkbook:
    """An opened .xls file; its sheets in the order of the tabs, without charts and macros."""

    file: FileBytes
    book: xlrd.Book

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return tuple(
            Sheet(sheet.name, str(number), has_cells=True, hidden=sheet.visibility != 0)
            for number, sheet in enumerate(self.book.sheets())
        )

    def read_cells(self, sheet: Sheet) -> SheetCells:
        """The filled cells of a sheet; raises InputError beyond the limits, Damaged for what is no sheet."""
        cells, number = SheetCells(), int(sheet.part)
        rows = self.book.sheet_by_index(number)
        if sum(rows.row_len(row) for row in range(rows.nrows)) > limits.SHEET_CELLS:
            raise limits.too_many_cells(
                self.file.path, f"the sheet has more than {limits.SHEET_CELLS:,} cells"
            )
        for top, bottom, left, _ in rows.merged_cells:  # from 0, the ends beyond the range
            if bottom - top > 1:
                cells.merged.setdefault(left + 1, []).append((top + 1, bottom))
        uncomputed = self._uncomputed(number)
        for row in range(rows.nrows):
            for column, kind in enumerate(rows.row_types(row)):
                if kind in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
                    continue
                value = rows.cell_value(row, column)
                problem = self._problem(value, kind, is_uncomputed=(row, column) in uncomputed)
                if problem:
                    cells.broken.setdefault(column + 1, {})[row + 1] = problem
                    value = problem
                elif kind == xlrd.XL_CELL_ERROR:
                    value = NOT_AVAILABLE
                elif kind == xlrd.XL_CELL_TEXT:
                    value = self._text(rows, row, column, sheet)
                else:
                    cell = f"{cell_name(row + 1, column + 1)} of sheet '{sheet.name}'"
                    value = _number(value, kind, cell, from_1904=self.book.datemode == 1)
                if value != "":
                    cells.columns.setdefault(column + 1, {})[row + 1] = value
        return cells

    def _problem(self, value: float, kind: int, *, is_uncomputed: bool) -> str | None:
        """Problem of a cell that has an error, or a formula that no program has computed."""
        if kind == xlrd.XL_CELL_ERROR:
            error = xlrd.error_text_from_code.get(value, "#ERROR")
            return error if error != NOT_AVAILABLE else None
        return "a formula that was never computed" if is_uncomputed else None

    def _text(self, rows: xlrd.sheet.Sheet, row: int, column: int, sheet: Sheet) -> str:
        """A text, with digits of runs above or below the line as such."""
        text = rows.cell_value(row, column)
        if "\0" in text:
            raise InputError(
                "a cell holds a NUL character",
                where=f"{self.file.label}: {cell_name(row + 1, column + 1)} of sheet '{sheet.name}'",
                remedy="write the text again",
            )
        runs = rows.rich_text_runlist_map.get((row, column), [])
        stops = [*(start for start, _ in runs[1:]), len(text)]
        for (start, font), stop in zip(runs, stops, strict=False):  # most texts have no run
            if self.book.font_list[font].escapement:
                text = text[:start] + text[start:stop].translate(RAISED) + text[stop:]
        return text

    def _uncomputed(self, number: int) -> set[tuple[int, int]]:
        """Row and column, from 0, of formulas that wait for a program that computes them.

        They say so and hold zero; or hold an empty text, as formulas may, on a sheet whose formulas all do, in a file
        without the summary that programs which compute write beside the sheets.
        """
        formulas = list(self._formulas(number))
        if _SUMMARY not in self.file.content and all(result == _NO_TEXT for _, result, _ in formulas):
            return {place for place, _, _ in formulas}
        return {place for place, result, flags in formulas if flags & _TO_COMPUTE and result == bytes(8)}

    def _formulas(self, number: int) -> Iterator[tuple[tuple[int, int], bytes, int]]:
        """Row and column, from 0, the 8 bytes of the result, and the flags of every formula of a sheet."""
        content, position = self.book.mem, self.book._sh_abs_posn[number]
        depth = 0
        while position + 4 <= len(content):
            kind, length = struct.unpack_from("<HH", content, position)
            position += 4
            if kind in _BEGIN:
                depth += 1
            elif kind == _END:
                depth -= 1
                if depth == 0:
                    return
            elif kind in _FORMULA and length >= 16 and depth == 1:
                row, column, result, flags = struct.unpack_from("<HH2x8sH", content, position)
                empty = result[0] == 3 and result[6:] == b"\xff\xff"
                yield (row, column), _NO_TEXT if empty else result, flags
            position += length


def is_old_workbook(file: FileBytes) -> bool:
    """Whether the content, whatever the file is called, is that of an old workbook, or one with a password."""
    return file.content.startswith(COMPOUND)


def open_old_workbook(file: FileBytes) -> OldWorkbook:
    """The workbook of a file; raises InputError where it has a password, Damaged where it is none."""
    if "EncryptedPackage".encode("utf-16-le") in file.content:
        raise InputError("the workbook has a password", where=file.label, remedy=_NO_PASSWORD)
    try:
        book = xlrd.open_workbook(
            file_contents=file.content,
            formatting_info=True,  # or else nobody tells a raised digit
            on_demand=True,  # or else the records are gone
            logfile=io.StringIO(),
        )
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise InputError("the workbook has a password", where=file.label, remedy=_NO_PASSWORD) from None
        raise Damaged(f"this is no workbook of Excel ({error})") from error
    return OldWorkbook(file, book)


def _number(value: float, kind: int, cell: str, *, from_1904: bool) -> Value:
    if kind == xlrd.XL_CELL_BOOLEAN:
        return bool(value)
    if not math.isfinite(value):
        raise Damaged(f"{cell} holds {value} as a number")
    return date_or_time(value, from_1904=from_1904) if kind == xlrd.XL_CELL_DATE else value
