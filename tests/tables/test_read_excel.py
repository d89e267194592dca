"""Excel: which sheet is read, cells without a value, dates, limits; openpyxl writes and is the oracle."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from excel_files import edited, of_cells, workbook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.chart import LineChart
from sentences import english

from engine.errors import InputError
from engine.tables import limits
from engine.tables.cell_values import FIRST_ROW
from engine.tables.headers import FileLayout
from engine.tables.read import FileTable, read_file, read_table, refuse_broken
from engine.tables.xlsx_cells import column_letters
from engine.tables.xlsx_package import is_date_format

ROWS = [["city", "year", "x"], ["A", 2010, 1.5], ["B", 2011, None], ["C", 2012, 3]]


def test_cells_become_the_values_that_openpyxl_reads(tmp_path: Path) -> None:
    rows = [
        ["text", "whole", "real", "truth", "date", "mixed", 2010],
        ["杭州 <&>", 1, 1 / 3, True, datetime.datetime(2015, 7, 1), "NA", 5],
        [" b", -(2**40), 7e-300, False, datetime.datetime(1900, 1, 1, 6, 30), 110000.0, 6],
    ]
    read = read_table(workbook(tmp_path / "a.xlsx", s=rows))
    assert list(read.columns) == [*map(str, rows[0])]
    for place, name in enumerate(read.columns):
        assert read[name].tolist() == [row[place] for row in rows[1:]]
    assert [read[name].dtype.kind for name in ("whole", "real", "truth", "date")] == ["i", "f", "b", "M"]


_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**50), 2**50),
    st.floats(-1e300, 1e300),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8).filter(lambda text: text[:1] != "="),
    st.datetimes(datetime.datetime(1900, 3, 1), datetime.datetime(2200, 1, 1)).map(
        lambda t: t.replace(microsecond=0)
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.lists(st.lists(_VALUES, min_size=3, max_size=3), min_size=1, max_size=6))
def test_random_cells_become_the_values_that_openpyxl_reads(body: list[list[object]]) -> None:
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    for row in [["a", "b", "c"], *body, ["end", "end", "end"]]:
        book.active.append(row)
    book.save(stream)
    path = Path("random.xlsx")
    oracle = openpyxl.load_workbook(io.BytesIO(stream.getvalue())).active
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.tables.read.read_bytes", lambda path: _bytes(path, stream.getvalue()))
        read = read_table(path).astype(object)
    for row in range(2, len(body) + 3):
        expected = [oracle.cell(row, column).value for column in (1, 2, 3)]
        if any(value is not None for value in expected):
            got = [None if pd.isna(value) else value for value in read.loc[row - FIRST_ROW]]
            assert got == expected
        else:
            assert row - FIRST_ROW not in read.index


def _bytes(path: Path, content: bytes) -> object:
    from engine.tables.file_bytes import FileBytes

    return FileBytes(path, content, "")


def test_the_first_sheet_with_a_table_is_read_and_the_others_are_told(tmp_path: Path) -> None:
    note = [["About these data"], ["They are made up"]]
    path = workbook(tmp_path / "a.xlsx", README=note, Leer=[], data=ROWS, codes=[["k", "v"], [1, 2]])
    table = read_file(path, FileLayout(key="panel.join[0]"))
    assert table.frame["city"].tolist() == ["A", "B", "C"]
    assert english(table.notes) == (
        "a.xlsx: the sheet 'data' was read; the workbook also has README, Leer, codes (panel.join[0].sheet names "
        "another)",
    )
    assert table.label.endswith("a.xlsx (sheet 'data')")
    named = read_file(path, FileLayout(sheet="codes"))
    assert (named.frame.to_dict("list"), named.notes) == ({"k": [1], "v": [2]}, ())
    with pytest.raises(InputError, match=r"no sheet 'x'\n  hint: the file has README, Leer, data, codes"):
        read_file(path, FileLayout(sheet="x"))
    assert read_file(workbook(path, data=ROWS)).notes == ()  # one sheet: nothing to tell


def test_no_sheet_with_a_table(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", README=[["About"]], title=[["Cities of China"], [], *ROWS])
    with pytest.raises(
        InputError, match=r"its sheets are README, title\n  hint: state panel\.sheet, and panel\.header"
    ):
        read_file(path, FileLayout(key="panel"))
    table = read_file(path, FileLayout(header=3))
    assert table.frame["city"].tolist() == ["A", "B", "C"]
    assert (table.frame.index + FIRST_ROW).tolist() == [4, 5, 6]
    with pytest.raises(InputError, match="row 2 of sheet 'title', which should be the header, is blank"):
        read_file(path, FileLayout(sheet="title", header=2))


def test_a_title_above_the_headers_is_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", s=[["Cities of China"], [], *ROWS])
    with pytest.raises(InputError, match=r"is row 1 a title\?\n  hint: state panel\.header, .* e\.g\. 3"):
        read_file(path, FileLayout(key="panel"))
    assert read_table(workbook(path, s=[["x"], [1], [2]]))["x"].tolist() == [1, 2]


def test_charts_hidden_sheets_and_macros_never_break_reading(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    data = book.active
    for row in ROWS:
        data.append(row)
    old = book.create_sheet("old", 0)
    old.append(["a", "b"])
    old.append([1, 2])
    old.sheet_state = "hidden"
    book.create_chartsheet("picture", 0).add_chart(LineChart())
    book.save(tmp_path / "a.xlsx")
    table = read_file(tmp_path / "a.xlsx")
    assert table.frame["year"].tolist() == [2010, 2011, 2012]
    assert "the sheet 'Sheet' was read; the workbook also has old" in english(table.notes)[0]
    with pytest.raises(InputError, match="'picture' is a chart or macro"):
        read_file(tmp_path / "a.xlsx", FileLayout(sheet="picture"))


def test_skipped_rows_and_rows_of_the_file(tmp_path: Path) -> None:
    rows = [["a title"], ["city", "x"], ["name", "yuan"], ["A", 1], [], ["B", 2], ["C", 3]]
    path = workbook(tmp_path / "a.xlsx", s=rows)
    read = read_file(path, FileLayout(header=2, skip_rows=1)).frame
    assert (read["x"].tolist(), read["x"].dtype.kind) == ([1, 2, 3], "i")
    assert (read.index + FIRST_ROW).tolist() == [4, 6, 7]
    read = read_file(path, FileLayout(header=2, skip_rows=(3, 6))).frame
    assert read["city"].tolist() == ["A", "C"]


def broken(table: FileTable, column: str) -> str:
    with pytest.raises(InputError) as refused:
        refuse_broken(table, [column], source="a.xlsx")
    return str(refused.value)


@pytest.mark.parametrize("error", ["#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!"])
def test_cells_in_error_are_named(tmp_path: Path, error: str) -> None:
    cells = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>city</t></is></c><c r="E1" t="inlineStr"><is><t>x</t></is></c></row>'
        '<row r="16"><c r="A16" t="inlineStr"><is><t>A</t></is></c><c r="E16"><v>2015</v></c></row>'
        f'<row r="17"><c r="A17" t="inlineStr"><is><t>B</t></is></c><c r="E17" t="e"><f>D1</f><v>{error}</v></c></row>'
    )
    table = read_file(of_cells(tmp_path / "a.xlsx", cells))
    assert broken(table, "x").startswith(
        f"a.xlsx: column 'x': cell E17 of sheet 's' holds {error}\n  hint: open"
    )
    assert table.frame["x"].tolist() == [2015, error]  # text, never a missing number
    refuse_broken(table, ["city"], source="a.xlsx")  # a column without errors


def test_not_available_is_handed_on_as_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["city", "x"], ["A", "#N/A"], ["B", 1]):
        book.active.append(row)
    book.active["B2"].data_type = "e"
    book.save(tmp_path / "a.xlsx")
    table = read_file(tmp_path / "a.xlsx")
    assert (table.frame["x"].tolist(), table.broken) == (["#N/A", 1], {})


def test_formulas_without_a_value_are_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", s=[["city", "x", "y"], ["A", 1, 2], ["B", "=B2*2", 3]])
    table = read_file(path)
    assert "cell B3 of sheet 's' holds a formula without a stored value" in broken(table, "x")
    assert not pd.isna(table.frame["x"]).any()
    refuse_broken(table, ["city", "y"], source="a.xlsx")


def test_formulas_with_values_and_those_of_programs_that_do_not_compute(tmp_path: Path) -> None:
    cells = (
        '<row r="1"><c r="A1" t="str"><v>x</v></c><c r="B1" t="str"><v>y</v></c></row>'
        '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="str"><f>""</f><v></v></c></row>'
        '<row r="3"><c r="A3"><f>1-1</f><v>0</v></c><c r="B3"><v>1</v></c></row>'
    )
    computed = read_file(of_cells(tmp_path / "a.xlsx", cells))
    assert (computed.frame["x"].tolist(), computed.broken) == ([2, 0], {})
    np.testing.assert_array_equal(computed.frame["y"], [np.nan, 1])  # an empty text is an empty cell
    other = read_file(of_cells(tmp_path / "a.xlsx", cells, calc='<calcPr fullCalcOnLoad="1"/>'))
    assert "cell A3 of sheet 's' holds a formula that was never computed" in broken(other, "x")


def test_shared_texts_readings_prefixes_and_cells_without_reference(tmp_path: Path) -> None:
    texts = "<si><r><t>杭</t></r><r><t>州</t></r><rPh><t>Hang</t></rPh></si><si><t>a_x000A_b</t></si>"
    cells = (
        '<row><c t="s"><v>0</v></c><c t="str"><v>x</v></c></row><row><c t="s"><v>1</v></c><c><v>4</v></c></row>'
        "</sheetData><extLst><c><v>9</v></c></extLst><sheetData>"
    )
    read = read_table(of_cells(tmp_path / "a.xlsx", cells, texts=texts))
    assert read.to_dict("list") == {"杭州": ["a\nb"], "x": [4]}
    workbook(tmp_path / "b.xlsx", s=ROWS)

    def with_prefix(xml: str) -> str:
        for name in ("worksheet", "sheetData", "row", "c", "v", "is", "t"):
            for mark in (" ", ">", "/"):
                xml = xml.replace(f"<{name}{mark}", f"<q:{name}{mark}")
            xml = xml.replace(f"</{name}>", f"</q:{name}>")
        return xml.replace("xmlns=", "xmlns:q=")

    before = read_table(tmp_path / "b.xlsx")
    edited(tmp_path / "b.xlsx", "xl/worksheets/sheet1.xml", with_prefix)
    pd.testing.assert_frame_equal(read_table(tmp_path / "b.xlsx"), before)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ('<row r="1"><c r="1A"><v>1</v></c></row>', "has a cell '1A' in row 1"),
        ('<row r="1"><c r="AAAA1"><v>1</v></c></row>', "has a cell 'AAAA1'"),
        ('<row r="1"><c r="XFE1"><v>1</v></c></row>', "a cell outside of any sheet"),
        ('<row r="1048577"><c><v>1</v></c></row>', "a cell outside of any sheet"),
        ('<row r="0"><c><v>1</v></c></row>', "a cell outside of any sheet"),
        ('<row r="x"><c><v>1</v></c></row>', "cannot be read"),
        ('<row r="1"><c r="A2"><v>1</v></c></row>', "has a cell 'A2' in row 1"),
        (
            '<row r="1"><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>',
            "cell A1 of sheet 's' occurs twice",
        ),
        ('<row r="1"><c r="A1"><v>abc</v></c></row>', "cell A1 of sheet 's' holds 'abc' as a number"),
        ('<row r="1"><c r="A1"><v>1_0</v></c></row>', "holds '1_0' as a number"),
        ('<row r="1"><c r="A1"><v>nan</v></c></row>', "holds 'nan' as a number"),
        ('<row r="1"><c r="A1"><v>1e999</v></c></row>', "holds '1e999' as a number"),
        ('<row r="1"><c r="A1" t="s"><v>7</v></c></row>', "refers to the text 7, which is not there"),
        ('<row r="1"><c r="A1" t="s"><v>-1</v></c></row>', "refers to the text -1"),
        ('<row r="1"><c r="A1" t="zz"><v>1</v></c></row>', "of no known kind 'zz'"),
        ('<row r="1"><c r="A1" s="x"><v>1</v></c></row>', "cannot be read"),
        ("<row>", "mismatched tag"),
    ],
)
def test_cells_that_break_the_rules(tmp_path: Path, cells: str, message: str) -> None:
    with pytest.raises(
        InputError, match=r"a\.xlsx: cannot be read \(.*\)\n  hint: open it in Excel"
    ) as refused:
        read_table(of_cells(tmp_path / "a.xlsx", cells))
    assert message in str(refused.value)


def test_entities_passwords_missing_parts_and_garbage(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", s=ROWS)
    laughs = '<!DOCTYPE w [<!ENTITY a "ha">]><worksheet'
    with pytest.raises(InputError, match="it declares entities"):
        read_table(edited(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace("<worksheet", laughs)))
    for part in ("xl/workbook.xml", "xl/styles.xml", "xl/worksheets/sheet1.xml"):
        workbook(path, s=[["day", "x"], [datetime.datetime(2010, 1, 1), 1]])
        with pytest.raises(InputError, match=r"a\.xlsx: cannot be read"):
            read_table(edited(path, part, lambda xml: "garbage"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "nothing")
    with pytest.raises(InputError, match=r"the part xl/workbook\.xml is missing"):
        read_table(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0 and so on")
    with pytest.raises(InputError, match=r"a\.xlsx: cannot be read \("):
        read_table(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0 and so on" + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(InputError, match="the workbook has a password"):
        read_table(path)


def test_a_far_cell_takes_no_memory_and_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.active["XFD1048576"] = 1
    book.save(tmp_path / "a.xlsx")
    read = read_table(tmp_path / "a.xlsx")
    assert list(read.columns) == ["city", "year", "x", "Unnamed: 16383"]
    assert (read.index + FIRST_ROW).tolist() == [2, 3, 4, 1_048_576]


def test_limits_of_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", note=[["n"]], s=[["a", "b"], *([[1, 2]] * 200)])
    assert len(read_table(path)) == 200
    monkeypatch.setattr(limits, "SHEET_CELLS", 402)  # one more is in the note: all sheets that are read count
    with pytest.raises(
        InputError, match=r"more than 402 cells; .*\n  hint: .*save the sheet as CSV or Parquet"
    ):
        read_table(path)
    monkeypatch.setattr(limits, "SHEET_CELLS", 403)
    read_table(path)
    monkeypatch.setattr(limits, "SHEET_BYTES", 5000)
    with pytest.raises(InputError, match=r"sheet2\.xml has more than 5,000 bytes"):
        read_table(path)


def test_tags_elements_and_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = of_cells(tmp_path / "a.xlsx", "<x/>" * 30)
    monkeypatch.setattr(limits, "SHEET_TAGS", 25)
    with pytest.raises(InputError, match=r"a\.xml has more than 25 tags"):
        read_table(path)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "SMALL_PART", 3)
    with pytest.raises(InputError, match=r"workbook\.xml has more than 3 elements"):
        read_table(of_cells(path, "", calc="<a/>"))
    monkeypatch.undo()
    rows = '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>' + '<row><c t="s"><v>0</v></c></row>' * 50
    of_cells(path, rows, texts=f"<si><t>{'x' * 1000}</t></si><si><t>b</t></si>")
    monkeypatch.setattr(limits, "SHEET_BYTES", 40_000)
    with pytest.raises(InputError, match="its cells have more than 40,000 characters"):
        read_table(path)


def test_sparse_sheets_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'<row r="{n}"><c r="{column_letters(n)}{n}"><v>1</v></c></row>' for n in range(1, 60))
    path = of_cells(tmp_path / "a.xlsx", rows)
    monkeypatch.setattr(limits, "FREE_CELLS", 1000)
    with pytest.raises(InputError, match="58 rows of 59 columns are 3,422 cells"):
        read_table(path)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("yyyy-mm-dd", True),
        ('[$-804]yyyy"年"m"月"', True),
        ("[h]:mm", True),
        ("General", False),
        ("0.00E+00", False),
        ("[Red]#,##0", False),
        ('0" days"', False),
        ("0\\d", False),
        ("_-* #,##0.00_-;-* #,##0.00_-", False),
        ("#,##0;[Red]-#,##0", False),
    ],
)
def test_formats_of_dates(code: str, expected: bool) -> None:
    assert is_date_format(code) is expected


def test_dates_of_1904_and_impossible_ones(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", s=[["day", "x"], [datetime.datetime(2010, 1, 1), 1]])
    edited(path, "xl/workbook.xml", lambda xml: re.sub(r"<workbookPr\b", '<workbookPr date1904="1"', xml))
    assert read_table(path)["day"].tolist() == [pd.Timestamp(2014, 1, 2)]  # 1,462 days later
    edited(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace("<v>40179</v>", "<v>99999999</v>"))
    assert read_table(path)["day"].tolist() == ["1e+08 formatted as a date"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_raised_run_is_a_mark_not_a_digit(tmp_path: Path, shared: bool) -> None:
    """12.5 with the superscript 1 of a footnote was read as 12.51."""
    runs = '<r><t>12.5</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>1</t></r>'
    cell = '<c r="B2" t="s"><v>0</v></c>' if shared else f'<c r="B2" t="inlineStr"><is>{runs}</is></c>'
    heads = "".join(
        f'<c r="{letter}1" t="inlineStr"><is><t>{name}</t></is></c>'
        for letter, name in (("A", "c"), ("B", "x"))
    )
    body = (
        '<row r="2"><c r="A2"><v>1</v></c>'
        + cell
        + '</row><row r="3"><c r="A3"><v>2</v></c><c r="B3"><v>7</v></c></row>'
    )
    path = of_cells(tmp_path / "a.xlsx", f'<row r="1">{heads}</row>{body}', texts=f"<si>{runs}</si>")
    assert read_table(path)["x"].tolist() == ["12.5¹", 7]
