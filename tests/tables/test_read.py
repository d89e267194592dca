"""Tables from disk: formats, encodings, headers, and the files that are refused."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from excel_files import workbook
from sentences import english

from engine.errors import InputError
from engine.tables import limits
from engine.tables.cell_values import FIRST_ROW
from engine.tables.headers import FileLayout
from engine.tables.read import file_hash, read_columns, read_file, read_table

FRAME = pd.DataFrame(
    {"城市": ["杭州市", "宁波市", "青岛市"], "年份": [2010, 2010, 2011], "产值": [1.5, 1 / 3, 7e-9]}
)
TEXT = FRAME.to_csv(index=False)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def assert_same(read: pd.DataFrame) -> None:
    assert list(read.columns) == list(FRAME.columns)
    for name in FRAME:
        assert read[name].tolist() == FRAME[name].tolist()  # exact, floats too


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_csv_in_the_usual_encodings_needs_no_option(tmp_path: Path, encoding: str) -> None:
    assert_same(read_table(write(tmp_path / "a.csv", TEXT.encode(encoding))))


def test_stated_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXT.encode("utf-16"))
    assert_same(read_table(path, encoding="utf-16"))
    with pytest.raises(InputError, match=r"a\.csv: the text is not .*\n  hint: state encoding: utf-16"):
        read_table(path)


def test_a_stated_encoding_that_need_not_be_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXT.encode("gb18030"))
    with pytest.raises(
        InputError, match=r"the text is not utf-8\n  hint: take out encoding: the text is GB18030"
    ):
        read_table(path, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "separator"), [("a.tsv", "\t"), ("a.txt", "\t"), ("b.txt", ","), ("c.txt", ";"), ("A.CSV", ",")]
)
def test_separators(tmp_path: Path, name: str, separator: str) -> None:
    assert_same(read_table(write(tmp_path / name, TEXT.replace(",", separator).encode())))


def test_compressed(tmp_path: Path) -> None:
    assert_same(read_table(write(tmp_path / "a.csv.gz", gzip.compress(TEXT.encode("gb18030")))))


def test_parquet_and_excel(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet")
    assert_same(read_table(tmp_path / "a.parquet"))
    FRAME.set_index(["城市", "年份"]).to_parquet(tmp_path / "b.parquet")
    assert_same(read_table(tmp_path / "b.parquet"))
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        pd.DataFrame({"x": [1]}).to_excel(book, sheet_name="说明", index=False)
        FRAME.to_excel(book, sheet_name="数据", index=False)
    assert_same(read_table(tmp_path / "a.xlsx", sheet="数据"))
    assert_same(read_table(tmp_path / "a.xlsx"))  # a sheet of one column is no table
    with pytest.raises(
        InputError, match=r"a\.xlsx: there is no sheet '数居'\n  hint: the file has 说明, 数据"
    ):
        read_table(tmp_path / "a.xlsx", sheet="数居")


def test_headers_are_stripped_and_names_like_na_survive(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.csv", b" iso , x\t,\nNA,1,a\nnan,,b\n"))
    assert list(read.columns) == ["iso", "x", "Unnamed: 2"]
    assert read["iso"].tolist() == ["NA", "nan"]
    np.testing.assert_array_equal(read["x"], [1, np.nan])


def test_blank_lines_are_no_rows_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.csv", b"city,x\nA,1\n\n,\nB,2\n  , \n\n"))
    assert read["city"].tolist() == ["A", "B"]
    assert (read.index + FIRST_ROW).tolist() == [2, 5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv: the file is empty"),
        ("a.csv", b"\n\n", r"a\.csv: "),
        ("a.csv", b"city,year\n", r"a\.csv: the table has a header but no rows"),
        (
            "a.csv",
            b"city,x,y, x\nA,1,2,3\n",
            r"a\.csv: the header 'x' is repeated in columns 2, 4\n  hint: rename",
        ),
        (
            "a.csv",
            b"city,x\nA,1\nB,2,3\n",
            r"a\.csv: row 3 has 3 cells, the header has 2\n  hint: give every row",
        ),
        ("a.csv", b"city,x\nA,1,7\nB,2,3\n", r"a\.csv: row 2 has more cells .*\n  hint: give every row"),
        ("a.csv", b"city;x\nA;1\n", r"a\.csv: .*semicolons\n  hint: save it with commas"),
        ("a.csv.gz", b"city,x\nA,1\n", r"a\.csv\.gz: it is not compressed"),
        ("a.parquet", b"PAR1 not really", r"a\.parquet: cannot be read .*\n  hint: write the file again"),
        ("a.xlsx", b"not a zip", r"a\.xlsx: cannot be read .*\n  hint: open it in Excel"),
        ("a.xls", b"city\tyear\nA\t1\n", r"a\.xls: .* no workbook but a text, .*\n  hint: open it in Excel"),
        ("a.xls", b"<html><table><tr><td>1", r"a\.xls: .* no workbook but a web page, .*\n  hint: open it"),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut off",
            r"a\.xls: cannot be read .*\n  hint: open it in Excel",
        ),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            r"a\.xls: the workbook has a password\n  hint: save it without",
        ),
        ("a.sav", b"spss", r"a\.sav: unknown ending '\.sav'\n  hint: readable are \.parquet"),
        ("a.dta", b"stata", r"a\.dta: cannot be read"),
        ("panel", b"x", r"panel: unknown ending ''"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path / name, content))


def test_paths_and_options_that_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXT.encode())
    with pytest.raises(InputError, match=r"b\.csv: there is no such file\n  hint"):
        read_table(tmp_path / "b.csv")
    with pytest.raises(InputError, match="this is a folder"):
        read_table(tmp_path)
    with pytest.raises(InputError, match="unknown encoding 'utf-88'"):
        read_table(path, encoding="utf-88")
    with pytest.raises(InputError, match="only Excel files have sheets"):
        read_table(path, sheet="x")
    FRAME.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="only text files have one"):
        read_table(tmp_path / "a.parquet", encoding="utf-8")


def test_empty_sheet(tmp_path: Path) -> None:
    pd.DataFrame().to_excel(tmp_path / "a.xlsx", sheet_name="空", index=False)
    with pytest.raises(InputError, match="the sheet '空' is empty"):
        read_table(tmp_path / "a.xlsx")


def test_file_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXT.encode())
    assert file_hash(path) == hashlib.sha256(TEXT.encode()).hexdigest()
    assert read_file(path).sha256 == file_hash(path)


def test_the_hash_is_of_what_was_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced while it is parsed leaves frame and hash of the old one."""
    path = write(tmp_path / "a.csv", b"city,x\nA,1\n")
    before, parse = file_hash(path), pd.read_csv

    def replace_then_parse(*args: object, **options: object) -> pd.DataFrame:
        path.write_bytes(b"city,x\nA,2\n")
        return parse(*args, **options)

    monkeypatch.setattr(pd, "read_csv", replace_then_parse)
    table = read_file(path)
    assert (table.frame["x"].tolist(), table.sha256) == ([1], before)
    assert file_hash(path) != before


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r"pipe\.csv: this is a pipe"):  # at once, without a writer
        read_table(tmp_path / "pipe.csv")
    (tmp_path / "folder.xlsx").mkdir()
    with pytest.raises(InputError, match=r"folder\.xlsx: this is a folder"):
        read_table(tmp_path / "folder.xlsx")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"device\.csv: this is a device"):
        read_table(tmp_path / "device.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with pytest.raises(InputError, match=r"loop\.csv: cannot be opened \(.*symbolic"):
        read_table(tmp_path / "loop.csv")
    with pytest.raises(InputError, match="no such file"):
        read_table(write(tmp_path / "a.csv", b"x") / "b.csv")
    with pytest.raises(InputError, match="cannot be opened"):
        read_table(tmp_path / "nul\0.csv")
    with pytest.raises(InputError, match="cannot be opened") as refused:
        read_table(tmp_path / ("x" * 5000 + ".csv"))
    assert len(str(refused.value)) < 500


def test_header_and_skipped_rows_of_a_text(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", '"a title,\nof two lines"\n\ncity,gdp\n名称,亿元\nA,1\n\nB,2\nC,3\n'.encode()
    )
    by_count = read_file(path, FileLayout(header=3, skip_rows=1)).frame
    assert by_count.to_dict("list") == {"city": ["A", "B", "C"], "gdp": [1, 2, 3]}
    assert (by_count.index + FIRST_ROW).tolist() == [5, 7, 8]
    assert pd.api.types.is_numeric_dtype(by_count["gdp"])  # the row of units is not there
    by_number = read_file(path, FileLayout(header=3, skip_rows=(4, 7))).frame
    assert by_number["city"].tolist() == ["A", "C"]
    assert (by_number.index + FIRST_ROW).tolist() == [5, 8]
    with pytest.raises(InputError, match="skip_rows names row 3, but the header is row 3"):
        read_file(path, FileLayout(header=3, skip_rows=(3,)))
    with pytest.raises(InputError, match=r"row 2.* is blank\n  hint: state panel\.header"):
        read_file(path, FileLayout(header=2, key="panel"))
    with pytest.raises(InputError, match=r"row 90.* is blank"):
        read_file(path, FileLayout(header=90))


def test_columns_that_a_list_lacks_are_told_with_those_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"file,yr\na.txt,2015\n")
    with pytest.raises(
        InputError, match="no column 'year'\n  hint: its columns are file, yr; needed are file, year"
    ):
        read_columns(path, ["file", "year"])


def test_shapes_that_files_cannot_account_for() -> None:
    limits.check_shape(Path("a.csv"), rows=10**7, columns=2, backed=0)
    with pytest.raises(InputError, match=r"a\.csv: 10,000,000 rows of 3 columns are 30,000,000 cells"):
        limits.check_shape(Path("a.csv"), rows=10**7, columns=3, backed=0)
    with pytest.raises(InputError, match="at most 16,384 are read"):
        limits.check_shape(Path("a.csv"), rows=1, columns=20_000, backed=10**9)
    with pytest.raises(InputError, match=r"a\.csv: the file has 5,000,000,000 bytes; at most"):
        limits.check_file_bytes(Path("a.csv"), 5_000_000_000)


ROWS: list[list[object]] = [["city", "x"], ["A", 1], ["B", 2], ["C, D\nE", 3]]


def laid_out(folder: Path, form: str) -> Path:
    """`ROWS` as a file."""
    if form == "xlsx":
        return workbook(folder / "a.xlsx", s=ROWS)
    end = "" if form == "unended" else "\n"
    return write(folder / "a.csv", ('city,x\nA,1\nB,2\n"C, D\nE",3' + end).encode())


@pytest.mark.parametrize("form", ["csv", "unended", "xlsx"])
def test_rows_that_are_skipped_but_absent_are_warned_of(tmp_path: Path, form: str) -> None:
    path = laid_out(tmp_path, form)
    for skipped in ((2,), (2, 4), 1):
        assert read_file(path, FileLayout(skip_rows=skipped)).notes == ()
    table = read_file(path, FileLayout(skip_rows=(2, 4, 5, 5000), key="panel"))
    assert table.frame["x"].tolist() == [2]
    assert english(table.notes) == (
        f"{path.name}: panel.skip_rows names 2 rows below the last row of the table, which is row 4: 5, 5000",
    )


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_table_without_rows_names_the_keys_that_left_none(tmp_path: Path, form: str) -> None:
    path = laid_out(tmp_path, form)
    for layout, problem, keys in (
        (
            FileLayout(skip_rows=9999, key="panel"),
            "row 1, but for those that panel.skip_rows passes over",
            "skip_rows",
        ),
        (FileLayout(header=4, key="panel"), "no rows below its header, row 4\n", "header"),
    ):
        with pytest.raises(InputError) as caught:
            read_file(path, layout)
        assert problem in str(caught.value)
        assert caught.value.remedy == f"correct panel.{keys}, so that rows of data are left"
