"""Merged cells of a sheet: of units and years the table is that of a sheet whose every cell is filled."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import openpyxl
import pytest
import xlwt
from excel_files import workbook
from sentences import english

from engine.tables.headers import FileLayout
from engine.tables.merged_cells import merged_rows, merged_values
from engine.tables.read import FileTable, read_file

HEADERS = ["城市", "年份", "gdp", "人口"]
KEYS = FileLayout(names=frozenset({"城市"}), years=frozenset({"年份"}))
Rows = list[list[object]]


def panel() -> Rows:
    """Six city-years; what a population says of several years stands in the first one."""
    return [
        [city, year, number + year / 10, 7.5 if year == 2010 else None]
        for number, city in enumerate(("杭州市", "330200"))
        for year in (2010, 2011, 2012)
    ]


def merged_sheet(path: Path, rows: Rows, columns: list[int], *, header: int = 1) -> Path:
    """Rows below their headers, equal neighbours of some columns, from 0, merged; an ``.xlsx`` or an ``.xls``."""
    below = [HEADERS, *rows]
    spans = []
    for column in columns:
        numbers = range(1, len(below))
        for value, run in groupby(numbers, key=lambda number: below[number][column]):
            whole = list(run)
            if len(whole) > 1:
                spans.append((whole[0], whole[-1], column, value))
    if path.suffix == ".xls":
        book, inside = (
            xlwt.Workbook(),
            {(row, column) for top, end, column, _ in spans for row in range(top, end + 1)},
        )
        sheet = book.add_sheet("x")
        for row, cells in enumerate(below):
            for column, value in enumerate(cells):
                if value is not None and (row, column) not in inside:
                    sheet.write(row + header - 1, column, value)
        for top, end, column, value in spans:
            sheet.write_merge(top + header - 1, end + header - 1, column, column, value)
        book.save(str(path))
        return path
    new = openpyxl.Workbook()
    for row, cells in enumerate(below, start=header):
        for column, value in enumerate(cells, start=1):
            new.active.cell(row, column, value)
    for top, end, column, _ in spans:
        new.active.merge_cells(
            start_row=top + header, end_row=end + header, start_column=column + 1, end_column=column + 1
        )
    new.save(path)
    return path


def cells(table: FileTable) -> Rows:
    return [
        [None if cell != cell else cell for cell in row]
        for row in table.frame.to_numpy(dtype=object).tolist()
    ]


@pytest.mark.parametrize("ending", ["xlsx", "xls"])
def test_cities_and_years_are_those_of_a_sheet_whose_every_cell_is_filled(
    tmp_path: Path, ending: str
) -> None:
    by_city, full = panel(), workbook(tmp_path / "full.xlsx", x=[HEADERS, *panel()])
    by_year = sorted(by_city, key=lambda row: int(str(row[1])))
    table = read_file(merged_sheet(tmp_path / f"a.{ending}", by_city, [0]), KEYS)
    assert table.frame.equals(read_file(full).frame)
    assert english(table.merged) == (
        f"a.{ending}: column '城市': 4 cells of merged ranges read as the first cell of their range, such as '杭州市' "
        "in row 3",
    )
    full = workbook(tmp_path / "full.xlsx", x=[HEADERS, *by_year])
    table = read_file(merged_sheet(tmp_path / f"b.{ending}", by_year, [1]), KEYS)
    assert table.frame.equals(read_file(full).frame)
    assert list(table.frame.dtypes) == list(read_file(full).frame.dtypes)  # years are whole numbers
    [note] = english(table.merged)
    assert "column '年份': 3 cells of merged ranges" in note


@pytest.mark.parametrize("ending", ["xlsx", "xls"])
def test_columns_of_data_stay_as_they_are(tmp_path: Path, ending: str) -> None:
    """A sum over merged rows would be counted in each of them; without keys no column says whose row it is."""
    rows = [[city, year, 4.0, population] for city, year, _, population in panel()]
    path = merged_sheet(tmp_path / f"a.{ending}", rows, [0, 2])
    assert [row[2] for row in cells(read_file(path, KEYS))] == [4.0, None, None, None, None, None]
    plain = read_file(path)
    assert [row[0] for row in cells(plain)] == ["杭州市", None, None, "330200", None, None]
    assert plain.merged == ()


def test_titles_headers_notes_and_rows_to_skip(tmp_path: Path) -> None:
    """Merged ranges that begin above the data, span columns alone, or end below the last row of data."""
    path = merged_sheet(tmp_path / "a.xlsx", panel(), [0], header=3)
    book = openpyxl.load_workbook(path)
    sheet = book.active
    sheet["A1"] = "表1"
    sheet.insert_rows(4)  # of units; openpyxl leaves merged ranges where they were
    sheet.cell(4, 3, "亿元")
    sheet.merged_cells.ranges = set()
    for span in ("A1:D1", "A3:A4", "B3:B4", "A5:A7", "A8:A13", "A14:D15"):
        sheet.merge_cells(span)
    sheet["A14"] = "注：示例"
    book.save(path)
    table = read_file(path, FileLayout(header=3, names=KEYS.names, years=KEYS.years))
    assert [row[0] for row in cells(table)] == [None, *["杭州市"] * 3, *["330200"] * 3, "注：示例"]
    assert (table.frame.index + 2).tolist() == [4, 5, 6, 7, 8, 9, 10, 14]
    skipping = FileLayout(header=3, skip_rows=(4, 5, 14), names=KEYS.names)
    assert [row[0] for row in cells(read_file(path, skipping))] == [*["杭州市"] * 2, *["330200"] * 3]


def test_ranges_that_overlap_or_are_none_do_no_harm() -> None:
    column = {2: "a", 3: "b", 9: "c"}
    rows = [2, 3, 4, 6, 9, 10]
    assert merged_values(column, [(2, 5), (3, 10), (7, 8)], rows) == {4: "a"}
    assert merged_values(column, [(9, 1_048_576)], rows) == {10: "c"}
    assert [merged_rows(text) for text in ("", "A4", "4:7", "A7:A4", "$A$1:$A$2", "A1:A99999999")] == [
        None
    ] * 6
