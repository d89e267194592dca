"""Old Excel workbooks: the cells of another reader, of a new workbook with the same cells, and what is refused."""

from __future__ import annotations

import datetime
import struct
from contextlib import suppress
from pathlib import Path

import openpyxl
import pytest
import python_calamine
import xlwt

from engine.errors import InputError
from engine.tables.headers import FileLayout
from engine.tables.read import read_columns, read_file, read_table

ROWS = [
    ["\u57ce\u5e02", "year", "gdp", "\u8bd5\u70b9", "day"],
    ["\u5317\u4eac", 2010, 1.5, True, datetime.date(2015, 3, 12)],
    ["\u4e0a\u6d77", 2011, -0.25, False, datetime.date(1999, 12, 31)],
    ["A&B <c>", 2012, None, True, None],
]


def old_workbook(path: Path, sheets: dict[str, list[list[object]]], *, from_1904: bool = False) -> Path:
    book = xlwt.Workbook()
    book.dates_1904 = from_1904
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for row, cells in enumerate(rows):
            for column, value in enumerate(cells):
                if isinstance(value, datetime.date):
                    sheet.write(row, column, value, day)
                elif value is not None:
                    sheet.write(row, column, value)
    book.save(str(path))
    return path


def test_it_is_the_table_of_a_new_workbook_with_the_same_cells(tmp_path: Path) -> None:
    new = openpyxl.Workbook()
    for cells in ROWS:
        new.active.append(cells)
    new.save(tmp_path / "new.xlsx")
    old = read_file(old_workbook(tmp_path / "old.xls", {"Sheet": ROWS}))
    expected = read_file(tmp_path / "new.xlsx")
    assert old.frame.to_dict("list") == expected.frame.to_dict("list") or old.frame.equals(expected.frame)
    assert list(old.frame.dtypes) == list(expected.frame.dtypes)
    assert old.storage == "sheet"


def test_cells_are_those_of_another_reader(tmp_path: Path) -> None:
    path = old_workbook(tmp_path / "a.xls", {"x": ROWS})
    cells = python_calamine.load_workbook(str(path)).get_sheet_by_name("x").to_python()
    frame = read_table(path)
    assert list(frame) == cells[0]
    for column, name in enumerate(["\u57ce\u5e02", "year", "gdp", "\u8bd5\u70b9"]):
        ours = ["" if value != value else value for value in frame[name]]
        assert ours == [row[column] for row in cells[1:]]
    assert [day.date() for day in frame["day"].dropna()] == [row[4] for row in cells[1:3]]


def test_dates_of_both_calendars(tmp_path: Path) -> None:
    for from_1904 in (False, True):
        path = old_workbook(tmp_path / "a.xls", {"x": ROWS[:3]}, from_1904=from_1904)
        days = [day.date() for day in read_table(path)["day"]]
        assert days == [datetime.date(2015, 3, 12), datetime.date(1999, 12, 31)]


def test_sheets_titles_and_rows_to_skip(tmp_path: Path) -> None:
    titled: list[list[object]] = [["\u8868 1", None], [None, None], *ROWS, ["\u6765\u6e90", None]]
    path = old_workbook(tmp_path / "a.xls", {"note": [["only words"]], "data": titled, "further": ROWS})
    with pytest.raises(
        InputError, match=r"row 1 of sheet 'data' has one cell, row 3 more: is row 1 a title\?"
    ):
        read_file(path, FileLayout(sheet="data"))
    table = read_file(path, FileLayout(sheet="data", header=3, skip_rows=(7,)))
    assert table.frame["year"].tolist() == [2010, 2011, 2012]
    chosen = read_file(path, FileLayout())
    assert chosen.sheet == "further"  # the first with a table in its first row
    with pytest.raises(InputError, match=r"no sheet 'x'\n  hint: the file has note, data, further"):
        read_file(path, FileLayout(sheet="x"))


def workbook_of(path: Path, cells: dict[tuple[int, int], object]) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("x")
    for row, texts in enumerate([["city", "gdp", "gap", "fine"], ["A", 1.0, 2.0, 3.0], ["B", 4.0, 5.0, 6.0]]):
        for column, value in enumerate(texts):
            changed = cells.get((row, column), value)
            if isinstance(changed, int):
                sheet.row(row).set_cell_error(column, changed)
            else:
                sheet.write(row, column, changed)
    book.save(str(path))
    return path


def test_errors_are_refused_where_they_are_read(tmp_path: Path) -> None:
    path = workbook_of(tmp_path / "a.xls", {(1, 1): 0x17, (2, 1): 0x2A})
    table = read_file(path)
    assert table.broken == {"gdp": "cell B2 of sheet 'x' holds #REF!"}
    assert table.frame["gdp"].tolist() == ["#REF!", "#N/A"]
    with pytest.raises(
        InputError, match=r"column 'gdp': cell B2 of sheet 'x' holds #REF!\n  hint: open the workbook"
    ):
        read_columns(path, ["gdp"])
    assert read_columns(path, ["fine"])["fine"].tolist() == [3, 6]


@pytest.mark.parametrize("result", ["nothing", "zero to be computed"])
def test_formulas_that_nobody_computed_are_refused_where_they_are_read(tmp_path: Path, result: str) -> None:
    """As one writer leaves them, and as others do: with zero for a result and the mark that it is to be computed."""
    path = workbook_of(tmp_path / "a.xls", {(2, 2): xlwt.Formula("B2+1")})
    if result != "nothing":
        content = path.read_bytes()
        place = content.index(bytes.fromhex("0300 0000 0000 ffff 0000"))
        path.write_bytes(content[:place] + bytes(8) + b"\x02\x00" + content[place + 10 :])
    table = read_file(path)
    assert table.broken == {"gap": "cell C3 of sheet 'x' holds a formula that was never computed"}
    with pytest.raises(InputError, match="never computed"):
        read_columns(path, ["gap"])


def test_results_of_formulas_are_values_and_an_empty_text_among_them_is_an_empty_cell(tmp_path: Path) -> None:
    path = workbook_of(tmp_path / "a.xls", {(1, 2): xlwt.Formula("B2+1"), (2, 2): xlwt.Formula('""')})
    content = path.read_bytes()
    place = content.index(bytes.fromhex("0300 0000 0000 ffff 0000"))
    path.write_bytes(content[:place] + struct.pack("<dH", 2.5, 0) + content[place + 10 :])
    table = read_file(path)
    assert table.broken == {}
    assert table.frame["gap"].tolist()[0] == 2.5
    assert table.frame["gap"].isna().tolist() == [False, True]


def test_formulas_that_all_give_an_empty_text_are_empty_cells_where_a_program_has_computed(
    tmp_path: Path,
) -> None:
    """Excel, LibreOffice and WPS write a summary beside the sheets."""
    path = workbook_of(tmp_path / "a.xls", {(1, 2): xlwt.Formula('""'), (2, 2): xlwt.Formula('""')})
    assert "gap" in read_file(path).broken
    path.write_bytes(path.read_bytes() + "\x05SummaryInformation".encode("utf-16-le"))
    table = read_file(path)
    assert table.broken == {}
    assert "gap" not in table.frame or table.frame["gap"].isna().all()


def test_a_raised_digit_is_no_digit_of_the_number(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("x")
    raised = xlwt.easyfont("")
    raised.escapement = xlwt.Font.ESCAPEMENT_SUPERSCRIPT
    for row, cells in enumerate([["city", "gdp"], ["A", "12.5"], ["B", "7"]]):
        for column, value in enumerate(cells):
            sheet.write(row, column, value)
    sheet.write_rich_text(3, 0, ["C"])
    sheet.write_rich_text(3, 1, ["12.5", ("1", raised)])
    book.save(str(tmp_path / "a.xls"))
    assert read_table(tmp_path / "a.xls")["gdp"].tolist() == ["12.5", "7", "12.5\u00b9"]


def test_the_content_says_which_workbook_it_is(tmp_path: Path) -> None:
    old_workbook(tmp_path / "a.xls", {"x": ROWS}).rename(tmp_path / "a.xlsx")
    new = openpyxl.Workbook()
    for cells in ROWS:
        new.active.append(cells)
    new.save(tmp_path / "b.xlsx")
    (tmp_path / "b.xlsx").rename(tmp_path / "b.xls")
    assert read_table(tmp_path / "a.xlsx").equals(read_table(tmp_path / "b.xls"))


def test_damage_of_any_kind_names_the_file(tmp_path: Path) -> None:
    """Every eighth of a workbook cut off, and bytes changed all over: a table, or an error with the file's name."""
    content = old_workbook(tmp_path / "a.xls", {"x": ROWS}).read_bytes()
    spoiled = [content[: len(content) * part // 8] for part in range(1, 8)]
    for place in range(512, len(content), 97):
        spoiled.append(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
    path = tmp_path / "b.xls"
    refused = 0
    for text in spoiled:
        path.write_bytes(text)
        with suppress(InputError):
            read_file(path)
            continue
        refused += 1
        with pytest.raises(InputError, match=r"b\.xls"):
            read_file(path)
    assert refused > 10
