"""Excel sheets as tables: which sheet, which row is the header, and cells that hold no value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.notes import Note
from engine.tables import limits
from engine.tables.file_bytes import FileBytes
from engine.tables.headers import FileLayout, refuse_twice
from engine.tables.merged_cells import merged_values
from engine.tables.problems import FIRST_ROW
from engine.tables.xls_cells import is_old_workbook, open_old_workbook
from engine.tables.xlsx_cells import SheetCells, Value, cell_name, read_cells
from engine.tables.xlsx_package import Sheet, open_package

_EXACT = 2**53  # integers below it are exact in floating point
_ZIP, _START = b"PK", 4096  # how a new workbook begins; bytes in which a web page says that it is one


@dataclass(frozen=True)
class ExcelTable:
    """A sheet as a table.

    Attributes
    ----------
    frame : DataFrame
        ``index + FIRST_ROW`` numbers the rows of the sheet.
    sheet : str
    further_sheets : tuple of str
        Other sheets with cells, where the user named none.
    broken : dict of str to str
        Column: its first cell that holds no value, as ``cell E17 of sheet 'x' holds #REF!``.
    notes : tuple of Note
    merged : tuple of Note
        Cells of units and years that took the value of the merged range they lie in, counted by column.
    """

    frame: pd.DataFrame
    sheet: str
    further_sheets: tuple[str, ...]
    broken: dict[str, str]
    notes: tuple[Note, ...] = ()
    merged: tuple[Note, ...] = ()


def read_excel(file: FileBytes, layout: FileLayout) -> ExcelTable:
    """The sheet that is named, or else the first that holds a table.

    Raises
    ------
    InputError
        No such sheet, no sheet with a table, no header, or a header twice.
    """
    all_sheets, cells_of = _opened(file)
    sheets = [sheet for sheet in all_sheets if sheet.has_cells]
    if layout.sheet is not None:
        sheet = _sheet(all_sheets, layout.sheet, source=file.label)
        return _from_cells(cells_of(sheet), sheet, layout, file, further_sheets=())
    if not sheets:
        raise InputError(
            "the workbook has no sheet with cells", where=file.label, remedy="put the table on a worksheet"
        )
    candidates = [sheet for sheet in sheets if not sheet.hidden] or sheets
    for sheet in candidates:
        cells = cells_of(sheet)
        if _is_table(cells, layout) or len(sheets) == 1:
            further_sheets = tuple(further.name for further in sheets if further is not sheet)
            return _from_cells(cells, sheet, layout, file, further_sheets)
    raise InputError(
        f"no sheet has a table: headers in row {layout.header_row} and rows below; its sheets are "
        + _listed([sheet.name for sheet in sheets]),
        where=file.label,
        remedy=f"state {layout.named('sheet')}, and {layout.named('header')} where the headers stand further down"
        + (f"; or skip fewer rows in {layout.named('skip_rows')}" if layout.skipped else ""),
    )


def _opened(file: FileBytes) -> tuple[Sequence[Sheet], Callable[[Sheet], SheetCells]]:
    """All sheets of a workbook, new or old by its content, and the function that gives a sheet's cells."""
    if is_old_workbook(file):
        old = open_old_workbook(file)
        return old.sheets, old.read_cells
    if file.path.suffix.lower() == ".xls" and not file.content.startswith(_ZIP):
        start = file.content[:_START].lower()
        kind = "a web page" if b"<table" in start or b"<html" in start else "a text"
        raise InputError(
            f"this is no workbook but {kind}, which Excel opens all the same",
            where=file.label,
            remedy="open it in Excel and save it as .xlsx; text with commas or tabs can be named .csv or .tsv",
        )
    package = open_package(file)
    return package.sheets, partial(read_cells, package)


def _sheet(sheets: Sequence[Sheet], name: str, *, source: str) -> Sheet:
    for sheet in sheets:
        if sheet.name == name and sheet.has_cells:
            return sheet
    for sheet in sheets:
        if sheet.name == name:
            raise InputError(f"the sheet '{name}' is a chart or macro, not a table", where=source)
    names = _listed([sheet.name for sheet in sheets if sheet.has_cells])
    raise InputError(f"there is no sheet '{name}'", where=source, remedy=f"the file has {names}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _is_table(cells: SheetCells, layout: FileLayout) -> bool:
    """True where the header row has two cells or more, and there is a row of two cells below it."""
    headers = [rows for rows in cells.columns.values() if layout.header_row in rows]
    body = [row for rows in headers for row in rows if _is_body(row, layout)]
    return len(headers) > 1 and len(body) > len(set(body))


def _from_cells(
    cells: SheetCells, sheet: Sheet, layout: FileLayout, file: FileBytes, further_sheets: tuple[str, ...]
) -> ExcelTable:
    header_row = layout.header_row
    if not cells.columns:
        raise InputError(f"the sheet '{sheet.name}' is empty", where=file.label)
    if not any(header_row in column for column in cells.columns.values()):
        raise InputError(
            f"row {header_row} of sheet '{sheet.name}', which should be the header, is blank",
            where=file.label,
            remedy=f"state {layout.named('header')}: the number of the row that has the headers",
        )
    _refuse_title(cells, sheet, layout, source=file.label)
    columns = {
        number: {row: value for row, value in cells.columns[number].items() if _is_body(row, layout)}
        for number in sorted(cells.columns)
    }
    numbers = [number for number, body in columns.items() if body or header_row in cells.columns[number]]
    names = [_header(cells.columns[number].get(header_row), number) for number in numbers]
    refuse_twice(names, source=file.label, numbers=numbers)
    rows = np.array(sorted({row for body in columns.values() for row in body}), dtype=np.int64)
    limits.check_shape(file.path, rows=len(rows), columns=len(numbers), backed=0)
    merged = _fill_merged(columns, dict(zip(names, numbers, strict=True)), cells, layout, file.path.name)
    positions = {int(row): position for position, row in enumerate(rows)}
    series = {name: _column(columns[number], positions) for name, number in zip(names, numbers, strict=True)}
    frame = pd.DataFrame(series, index=pd.Index(rows - FIRST_ROW), columns=names)
    broken = {}
    for name, number in zip(names, numbers, strict=True):
        first = min((row for row in cells.broken.get(number, ()) if _is_body(row, layout)), default=None)
        if first is not None:
            cell = f"{cell_name(first, number)} of sheet '{sheet.name}'"
            broken[name] = f"{cell} holds {cells.broken[number][first]}"
    notes: tuple[Note, ...] = ()
    if layout.skipped:
        last_row = max((max(column, default=0) for column in cells.columns.values()), default=0)
        notes = layout.rows_beyond(last_row, file=file.path.name)
    return ExcelTable(frame, sheet.name, further_sheets, broken, notes, merged)


def _fill_merged(
    columns: dict[int, dict[int, Value]],
    named: Mapping[str, int],
    cells: SheetCells,
    layout: FileLayout,
    file: str,
) -> tuple[Note, ...]:
    """Give merged cells of units and years, in place, the value of their range; returns notes that count them."""
    keys = [
        (name, number)
        for place, (name, number) in enumerate(named.items())
        if number in cells.merged and layout.says_whose_row(name, place)
    ]
    if not keys:
        return ()
    rows = sorted({row for body in columns.values() for row, value in body.items() if f"{value}".strip()})
    notes = []
    for name, number in keys:
        ranges = [(first, last) for first, last in cells.merged[number] if first > layout.header_row]
        values = merged_values(cells.columns.get(number, {}), ranges, rows)
        columns[number] |= values
        if values:
            row, value = next(iter(values.items()))
            text = str(_plain(value)).strip()
            notes.append(
                Note.of("merged_cells_filled", file=file, column=name, count=len(values), text=text, row=row)
            )
    return tuple(notes)


def _refuse_title(cells: SheetCells, sheet: Sheet, layout: FileLayout, *, source: str) -> None:
    """Raises InputError where the header row has one cell, as a title has, and a row below has more."""
    row = layout.header_row
    if sum(row in column for column in cells.columns.values()) > 1:
        return
    rows = Counter(place for column in cells.columns.values() for place in column if place > row)
    wider = min((place for place, count in rows.items() if count > 1), default=None)
    if wider is not None:
        raise InputError(
            f"row {row} of sheet '{sheet.name}' has one cell, row {wider} more: is row {row} a title?",
            where=source,
            remedy=f"state {layout.named('header')}, the number of the row that has the headers, e.g. {wider}",
        )


def _is_body(row: int, layout: FileLayout) -> bool:
    return row > layout.header_row and row not in layout.skipped


def _header(value: Value | None, number: int) -> str:
    text = "" if value is None else str(_plain(value)).strip()
    return text or f"Unnamed: {number - 1}"


def _plain(value: Value) -> object:
    """A whole number without its point: 110000.0 is the code 110000."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def _column(body: dict[int, Value], positions: dict[int, int]) -> pd.Series:
    """The cells of a column, as numbers where all are, as whole numbers where all of them are whole."""
    if all(type(value) is float for value in body.values()):
        numbers = np.full(len(positions), np.nan)
        for row, number in body.items():
            numbers[positions[row]] = number
        whole = len(body) == len(positions) and bool(
            np.all((numbers == np.floor(numbers)) & (abs(numbers) < _EXACT))
        )
        return numbers.astype(np.int64) if whole and len(numbers) else numbers  # type: ignore[return-value]
    values = np.full(len(positions), np.nan, dtype=object)
    for row, value in body.items():
        values[positions[row]] = _plain(value)
    return pd.Series(values, dtype=object).infer_objects().array  # type: ignore[return-value]
