"""Text tables that would be misread: encodings, separators, cut and damaged files, bombs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sentences import english

from engine.errors import InputError
from engine.tables import limits
from engine.tables.headers import FileLayout
from engine.tables.read import read_file, read_table

WESTERN = "city,x\nSão Paulo,1\nMálaga,2\nMünchen,3\nCONCEIÇÃO,4\nParis,5\n"
CHINESE = "城市,年份,产值\n亳州市,2010,1\n衢州市,2010,2\n儋州市,2011,3\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "iso-8859-1", "iso-8859-15"])
def test_western_text_is_not_taken_for_chinese(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", WESTERN.encode(encoding))
    with pytest.raises(InputError, match=r"panel\.join\[1\]\.encoding: cp1252"):
        read_file(path, FileLayout(key="panel.join[1]"))
    assert read_table(path, encoding=encoding)["city"].tolist()[:2] == ["São Paulo", "Málaga"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso-8859-15", "cp1251"])
def test_utf8_that_is_stated_to_be_western_is_refused(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", WESTERN.encode())
    with pytest.raises(
        InputError, match=rf"the text is UTF-8, not {encoding}\n  hint: take panel\.encoding out"
    ):
        read_file(path, FileLayout(encoding=encoding, key="panel"))
    plain = write(tmp_path / "b.csv", b"city,x\nA,1\n")
    assert read_table(plain, encoding=encoding)["x"].tolist() == [1]


@pytest.mark.parametrize("word", ["São Paulo", "Málaga", "Bogotá D", "ÎLE-DE-FRANCE", "Île", "Łódź"])
def test_one_western_word_is_enough(tmp_path: Path, word: str) -> None:
    encoding = "cp1250" if "Ł" in word else "cp1252"
    with pytest.raises(InputError, match="encoding"):
        read_table(write(tmp_path / "a.csv", f"city,x\n{word},1\nRome,2\n".encode(encoding)))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("city,x\nМосква,1\nКазань,2\nВоронеж,3\n", "cp1251"),
        ("city,x\n東京都,1\nおおさか,2\n", "shift_jis"),
        ("city,x\n臺北市,1\n高雄市,2\n新竹縣,3\n", "big5"),
    ],
)
def test_other_scripts_are_not_taken_for_chinese(tmp_path: Path, text: str, encoding: str) -> None:
    path = write(tmp_path / "a.csv", text.encode(encoding))
    with pytest.raises(InputError, match=f"state encoding: .*{encoding}"):
        read_table(path)
    assert read_table(path, encoding=encoding)["x"].tolist()[:2] == [1, 2]


@pytest.mark.parametrize(
    "text", [CHINESE, "city,x\n亳州,1\n", "city,x\nA股,1\nGDP增长,2\n", "c,x\n（一）,2\n"]
)
def test_chinese_text_is_read_without_a_word(tmp_path: Path, text: str) -> None:
    read = read_table(write(tmp_path / "a.txt", text.encode("gb18030")))
    assert read.iloc[0, 0] == text.splitlines()[1].split(",")[0]


def test_rare_characters_are_read_where_the_encoding_is_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "city,x\n堃,1\n".encode("gb18030"))
    with pytest.raises(InputError, match=r"the text reads '堃' in GB18030.*\n.*or gb18030 if that is right"):
        read_table(path)
    assert read_table(path, encoding="gb18030")["city"].tolist() == ["堃"]


@pytest.mark.parametrize(
    "encoding",
    ["utf-88", "utf-8\0", "", "ä", "rot13", "base64", "zlib", "hex", "idna", "unicode_escape", "x" * 999],
)
def test_names_that_are_no_encoding(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", b"city,x\nA,1\n")
    with pytest.raises(
        InputError, match=r"unknown encoding .*\n  hint: use e\.g\. .* as pair_table\.encoding"
    ):
        read_file(path, FileLayout(encoding=encoding, key="pair_table"))


def test_utf_16_is_told_by_its_mark_and_by_its_nul_bytes(tmp_path: Path) -> None:
    marked = write(tmp_path / "a.csv", "city,x\n杭州,1\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"state pair_table\.encoding: utf-16"):
        read_file(marked, FileLayout(key="pair_table"))
    bare = write(tmp_path / "b.csv", "city,x\nA,1\n".encode("utf-16-le"))
    with pytest.raises(InputError, match=r"is utf-16-le without .*\n  hint: state encoding: utf-16-le"):
        read_table(bare)
    other = write(tmp_path / "c.csv", "city,x\n杭州,1\n".encode("utf-16-be"))
    with pytest.raises(InputError, match="hint: state encoding: utf-16-be"):
        read_table(other)
    assert read_table(bare, encoding="utf-16-le")["x"].tolist() == [1]


def test_nul_characters_are_refused_with_their_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "city,x\n杭州,1\n宁\0波,2\n".encode())
    with pytest.raises(InputError, match=r"a\.csv: row 3: the text contains a NUL character"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "city;x\nA;1,5\nB;2,25\n", "separated by semicolons and decimals are written with commas"),
        (
            "a.csv",
            "city;gdp;x\nA;1,5;1\nB;2,25;2\n",
            "separated by semicolons and decimals are written with commas",
        ),
        ("a.csv", "city;gdp, real;x\nA;1;1\nB;2;2\n", "separated by semicolons\n"),
        ("a.csv", "city\tx\nA\t1\n", "separated by tabs"),
        ("a.csv", "city|x\nA|1\n", "separated by bars"),
        ("a.txt", "city year  x\nA 2010 1\n", "headers are separated by blanks or not at all"),
        ("a.tsv", "city,x\nA,1\n", "separated by commas"),
        ("a.tsv", "city;x\nA;1,5\n", "separated by semicolons and decimals"),
    ],
)
def test_separators_that_do_not_fit(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"{message}[\\s\\S]*hint: (save it with commas|separate)"):
        read_table(write(tmp_path / name, text.encode()))


def test_decimal_commas_never_become_numbers(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.txt", b"city;x;y\nA;1,234;1.5\nB;2,5;2\n"))
    assert read["x"].tolist() == ["1,234", "2,5"]  # text, which a number column refuses
    assert read["y"].tolist() == [1.5, 2.0]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_every_cut_within_a_last_row_that_loses_cells_is_refused(tmp_path: Path, separator: str) -> None:
    whole = 'city,year,name,gdp\nA,2010,x y,1.5\nB,2011,"a, \n b",27.25'.replace(",", separator).encode()
    last = whole.index(b"B" + separator.encode())
    complete = whole.rindex(separator.encode()) + 1
    for stop in range(last + 1, len(whole) + 1):
        path = write(tmp_path / "a.txt", whole[:stop])
        if stop < complete:
            with pytest.raises(
                InputError,
                match=r"a\.txt: (the last row has . of 4 cells|the quotation mark that .* line 3 is not)",
            ):
                read_table(path)
        else:
            assert len(read_table(path)) == 2
    assert read_table(path)["gdp"].tolist() == [1.5, 27.25]


def test_rows_that_end_early_within_the_file_are_as_excel_writes_them(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.csv", b"city,x,y\nA,1,2\nB,1\nC\n"))
    np.testing.assert_array_equal(read["y"], [2, np.nan, np.nan])


def test_rows_that_end_early_are_noted_with_the_first_of_them(tmp_path: Path) -> None:
    text = 'title\ncity,x,y\nunit,km\nA,1,2\n\nB,3\n"C, D",4,5\n"E\nF",6\nG,7,8\n'
    table = read_file(
        write(tmp_path / "a.csv", text.encode()), FileLayout(header=2, skip_rows=[3], key="panel")
    )
    (note,) = english(table.notes)
    assert note == (
        "a.csv: 2 rows have fewer cells than the header, first row 6 with 2 of 3; what they lack is missing"
    )
    assert table.frame["y"].isna().tolist() == [False, True, False, True, False]
    whole = 'city,x,y\nA,1,2\n\n"B, C",3,\n,,\n'
    assert read_file(write(tmp_path / "b.csv", whole.encode()), FileLayout(key="panel")).notes == ()


def test_sparse_files_are_bounded(tmp_path: Path) -> None:
    wide = ",".join(f"c{number}" for number in range(10_000))
    path = write(tmp_path / "a.csv", (wide + "\nA" * 3000 + "\n").encode())
    with pytest.raises(InputError, match=r"3,001 rows of 10,000 columns are 30,010,000 cells"):
        read_table(path)
    with pytest.raises(InputError, match="has 20,000 columns"):
        read_table(write(tmp_path / "b.csv", b"," * 19_999 + b"\nA\n"))


def test_compressed_bombs_and_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"city,x\n" + b"A,1\n" * 50_000
    path = write(tmp_path / "a.csv.gz", gzip.compress(text))
    assert len(read_table(path)) == 50_000
    monkeypatch.setattr(limits, "FILE_BYTES", 150_000)
    with pytest.raises(InputError, match="decompresses to more than 150,000 bytes"):
        read_table(path)
    monkeypatch.undo()
    both = gzip.compress(b"city,x\nA,1\n") + gzip.compress(b"B,2\n")
    assert read_table(write(path, both))["x"].tolist() == [1, 2]
    for cut in (both[:-3], both[:15], both[:-12] + b"\xff" * 12, both + b"more"):
        with pytest.raises(InputError, match=r"a\.csv\.gz: cannot be read .*\n  hint: get the whole file"):
            read_table(write(path, cut))


def test_whatever_pandas_raises_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> pd.DataFrame:
        raise RuntimeError("deep inside\nsecond line")

    monkeypatch.setattr(pd, "read_csv", fail)
    with pytest.raises(InputError, match=r"a\.csv: cannot be read \(deep inside\)\n  hint") as refused:
        read_table(write(tmp_path / "a.csv", b"city,x\nA,1\n"))
    assert isinstance(refused.value.__cause__, RuntimeError)


def test_semicolons_in_a_csv_are_read_where_decimal_commas_are_stated(tmp_path: Path) -> None:
    """A spreadsheet saves its .csv so where decimals have commas."""
    path = write(tmp_path / "a.csv", b"city;x;y\nA;1,5;3\nB;2,25;4\n")
    frame = read_file(path, FileLayout(key="panel", decimal="comma")).frame
    assert frame.to_dict("list") == {"city": ["A", "B"], "x": ["1,5", "2,25"], "y": [3, 4]}
    with pytest.raises(InputError, match=r"\(1234\.5\), or state panel\.decimal: comma$"):
        read_file(path, FileLayout(key="panel"))
    quoted = write(tmp_path / "b.csv", b'city,"x;y"\nA,"1,5"\nB,"2,25"\n')
    assert read_file(quoted, FileLayout(decimal="comma")).frame["x;y"].tolist() == ["1,5", "2,25"]


def test_a_remedy_leaves_out_what_is_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"city;x\nA;1,5\nB;2,25\n")
    for decimal, remedy in ((None, "or as .txt and state panel.decimal: comma"), ("comma", "or as .txt")):
        with pytest.raises(InputError) as caught:
            read_file(path, FileLayout(key="panel", decimal=decimal))  # type: ignore[arg-type]
        assert str(caught.value.remedy).endswith(f"(1234.5), {remedy}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('city,x\nA,1\n"B, 2\nC,3\n', 3),
        ('city,x\n"A\nA","1"\r\n"B ""b""",2\r\n"C,3\r\nD,4\r\n', 5),
        ('city,x\n5",1\nB,"2\n', 3),
        ('"city,x\nA,1\n', 1),
        ('city,x\nA,"1', 2),
        ('city,x\nA,"1' + "0" * 200_000, 2),
    ],
)
def test_an_unclosed_quotation_mark_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path / "a.csv", text.encode())
    with pytest.raises(
        InputError,
        match=rf"a\.csv: the quotation mark that opens a cell in line {line} is not closed\n  hint: ",
    ):
        read_table(path)


KINDS = {
    "workbook": (b"PK\x03\x04 and more", "a workbook or another ZIP archive"),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of old Excel"),
    "parquet": (b"PAR1 and more PAR1", "a Parquet file"),
    "stata": (b"<stata_dta><header>", "a Stata file"),
    "gzip": (gzip.compress(b"city,x\nA,1\n"), "compressed"),
}


@pytest.mark.parametrize(("content", "kind"), KINDS.values(), ids=KINDS)
def test_content_of_another_kind_is_named_by_its_first_bytes(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(InputError, match=rf"a\.csv: this is no text, it is {kind}\n  hint: "):
        read_table(path)


def test_text_named_gz_is_said_to_be_uncompressed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", b"city,x\nA,1\n")
    with pytest.raises(InputError, match=r"it is not compressed\n  hint: take \.gz off its name"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("city,x\nA,1\nB,2,3,4\n", "row 3 has 4 cells, the header has 2"),
        ('city,x\n"A\nB\nC",1\nB,2,3,4\n', "row 3 has 4 cells, the header has 2"),
        ("city,x\nA,1,234\nB,2,345\n", "row 2 has more cells than the header"),
    ],
)
def test_row_with_too_many_cells_is_told_by_its_number(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path / "a.csv", text.encode())
    with pytest.raises(InputError, match=rf"a\.csv: {problem}\n"):
        read_table(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_unmarked_utf_16_of_chinese_alone_is_named(tmp_path: Path, encoding: str) -> None:
    text = "城市名称一览表,所在省份名称\n" + "杭州市上城区街道办,浙江省浙江省浙江省\n" * 50
    path = write(tmp_path / "a.csv", text.encode(encoding))
    with pytest.raises(InputError, match=rf"is {encoding} without .*\n  hint: state encoding: {encoding}"):
        read_table(path)


def test_text_that_begins_as_parquet_does_is_text(tmp_path: Path) -> None:
    assert list(read_table(write(tmp_path / "a.csv", b"PAR1,x\nA,1\n"))) == ["PAR1", "x"]
