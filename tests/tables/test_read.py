"""Tables from disk: formats, encodings, headers, and the files that are refused."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.tables.read import file_hash, read_table

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
    with pytest.raises(InputError, match=r"b\.csv: the text is not .*\n  remedy: state panel\.encoding"):
        read_table(write(tmp_path / "b.csv", b"\xff\xfe\xff\xff\xff"))


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
    assert read_table(tmp_path / "a.xlsx")["x"].tolist() == [1]
    with pytest.raises(
        InputError, match=r"a\.xlsx: there is no sheet '数居'\n  remedy: the file has 说明, 数据"
    ):
        read_table(tmp_path / "a.xlsx", sheet="数居")


def test_headers_are_stripped_and_names_like_na_survive(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.csv", b" iso , x\t,\nNA,1,a\nnan,,b\n"))
    assert list(read.columns) == ["iso", "x", "Unnamed: 2"]
    assert read["iso"].tolist() == ["NA", "nan"]
    np.testing.assert_array_equal(read["x"], [1, np.nan])


def test_blank_lines_keep_their_row_numbers(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.csv", b"city,x\nA,1\n\nB,2\n"))
    assert read["x"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv: the file is empty"),
        ("a.csv", b"\n\n", r"a\.csv: "),
        ("a.csv", b"city,year\n", r"a\.csv: the table has a header but no rows"),
        (
            "a.csv",
            b"city,x,y, x\nA,1,2,3\n",
            r"a\.csv: the header 'x' stands over columns 2, 4\n  remedy: rename",
        ),
        ("a.csv", b"city,x\nA,1\nB,2,3\n", r"a\.csv: cannot be read .*line 3.*\n  remedy: give every row"),
        ("a.csv", b"city,x\nA,1,7\nB,2,3\n", r"a\.csv: cannot be read .*\n  remedy: give every row"),
        ("a.csv", b"city;x\nA;1\n", r"a\.csv: .*semicolons\n  remedy: save it with commas"),
        ("a.csv.gz", b"city,x\nA,1\n", r"a\.csv\.gz: cannot be read"),
        ("a.parquet", b"PAR1 not really", r"a\.parquet: cannot be read .*\n  remedy: write the file again"),
        ("a.xlsx", b"not a zip", r"a\.xlsx: cannot be read .*\n  remedy: open it in Excel"),
        ("a.xls", b"old", r"a\.xls: .*\.xls format is not read\n  remedy: save it as \.xlsx"),
        ("a.dta", b"stata", r"a\.dta: unknown ending '\.dta'\n  remedy: readable are \.parquet"),
        ("panel", b"x", r"panel: unknown ending ''"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path / name, content))


def test_paths_and_options_that_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TEXT.encode())
    with pytest.raises(InputError, match=r"b\.csv: there is no such file\n  remedy"):
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
