"""Documents of every kind that is read, and every way a folder of them can be wrong."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docx as python_docx
import pypdf
import pytest
import text_files
from sentences import english

from engine.errors import InputError
from engine.text.extract import clean, extract
from engine.text.read_documents import DEMO, Document, read_documents

TEXT = "建设信息平台。\n发展海外仓。"
BOX = (
    '<w:p><w:r><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
    "<mc:Choice><w:txbxContent><w:p><w:r><w:t>框内一段</w:t></w:r></w:p></w:txbxContent></mc:Choice>"
    "<mc:Fallback><w:txbxContent><w:p><w:r><w:t>框内一段</w:t></w:r></w:p></w:txbxContent></mc:Fallback>"
    "</mc:AlternateContent></w:r></w:p>"
    "<w:p><w:r><w:t>留下</w:t></w:r><w:del><w:r><w:delText>删去</w:delText></w:r></w:del>"
    "<w:ins><w:r><w:t>加上</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>移走</w:t></w:r></w:moveFrom></w:p>"
)


def encrypted(user: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(text_files.pdf([["建设信息平台。"]])))
    writer.encrypt(user_password=user, owner_password="owner", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def written_by_python_docx() -> bytes:
    document = python_docx.Document()
    document.add_heading("工作方案", level=1)
    document.add_paragraph("建设信息").add_run("平台。").bold = True
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "人才引进", "海外仓"
    document.add_paragraph("第一行").add_run().add_break()
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", TEXT.encode(), TEXT),
        ("mark.txt", TEXT.encode("utf-8-sig"), TEXT),
        ("windows.TXT", TEXT.replace("\n", "\r\n").encode("gb18030"), TEXT),
        ("unicode.txt", TEXT.encode("utf-16"), TEXT),
        ("a.docx", text_files.docx(["一段", "二段"], table=[["甲", "乙"]]), "一段\n二段\n甲\n乙"),
        ("box.docx", text_files.docx(body=BOX), "框内一段\n留下加上"),
        ("other.docx", written_by_python_docx(), "工作方案\n建设信息平台。\n人才引进\n海外仓\n第一行"),
        ("a.pdf", text_files.pdf([["建设信息平", "- 1 -"], ["第 2 页", "台。"]]), "建设信息平台。"),
        ("readable.pdf", encrypted(""), "建设信息平台。"),
    ],
)
def test_what_a_file_says(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert extract(tmp_path / name) == (text, [])


def test_a_page_without_text_is_noted(tmp_path: Path) -> None:
    (tmp_path / "half.pdf").write_bytes(text_files.pdf([[], ["建设信息平台。"], []]))
    text, notes = extract(tmp_path / "half.pdf")
    assert (text, english(notes)) == ("建设信息平台。", ("half.pdf: no text on page 1, 3 of 3: scanned?",))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("建设跨境电子商\n务平台。\n\n　　附 件", "建设跨境电子商务平台。\n附件"),
        ("一、目标\n\n二、任务", "一、目标\n二、任务"),
        ("任务如下：\n支持企业", "任务如下：\n支持企业"),
        ("甲方\n　　乙方\n\t丙方", "甲方\n乙方\n丙方"),
        ("use the\nnew B2B\n平台", "use the new B2B 平台"),
        ("⼈才、⾦融、２０１６年Ｂ２Ｂ，（甲）", "人才、金融、2016年B2B，（甲）"),
        ("\ufeff海\u200b外\u00a0仓 ， 试点\r\n", "海外仓，试点"),
        (" \n\t\n", ""),
    ],
)
def test_cleaning(raw: str, text: str) -> None:
    assert clean(raw) == text


@dataclass(frozen=True)
class BadFile:
    name: str
    content: bytes
    message: str


def without_body() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/other.xml", "<a/>")
    return stream.getvalue()


BAD_FILES = [
    BadFile("a.doc", b"x", "unknown ending '.doc'\n  hint: save it as .docx or .pdf"),
    BadFile("a.png", b"x", "unknown ending '.png'\n  hint: readable are .txt, .docx, .pdf"),
    BadFile("noending", b"x", "unknown ending ''"),
    BadFile("a.txt", b"", "the file is empty"),
    BadFile("a.txt", b" \n", "there is no text in it"),
    BadFile("a.txt", b"English only", "there is no Chinese character in its text"),
    BadFile("a.txt", b"\xff\x00\xff", "the text is neither UTF-8 nor GB18030\n  hint: save it as UTF-8"),
    BadFile("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1", "the file is encrypted, or an old .doc"),
    BadFile("a.docx", b"PK not really", "cannot be read (File is not a zip file)"),
    BadFile("a.docx", without_body(), "cannot be read (\"There is no item named 'word/document.xml'"),
    BadFile("a.docx", text_files.docx(body="<w:p>"), "cannot be read (mismatched tag"),
    BadFile("a.docx", text_files.docx(), "there is no text in it"),
    BadFile("a.pdf", b"%PDF-1.4 and then nothing", "cannot be read ("),
    BadFile("a.pdf", encrypted("secret"), "the file is encrypted\n  hint: save a copy without a password"),
    BadFile(
        "a.pdf",
        text_files.pdf([[], []]),
        "none of its 2 pages has text: it is a scan\n  hint: run character",
    ),
]


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.message[:40])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, bad: BadFile) -> None:
    folder = text_files.folder(tmp_path / "texts", {"good.txt": TEXT, bad.name: bad.content})
    with pytest.raises(InputError, match=f"^{re.escape(str(folder / bad.name))}: {re.escape(bad.message)}"):
        read_documents(folder)


def test_documents_have_city_year_title_and_source(tmp_path: Path) -> None:
    rows = [
        "plan.txt,330100,2015,方案,官网",
        "plan.txt,Beta,2016,,",
        "",
        "more\\letter.docx,Alpha,2017,函,",
    ]
    files = {
        "plan.txt": TEXT,
        "more/letter.docx": text_files.docx(["减税。"]),
        ".DS_Store": b"\x00",
        "~$plan.docx": b"\x00",
    }
    folder = text_files.folder(tmp_path / "texts", files, listed="\n".join(rows))
    assert read_documents(folder) == (
        (
            Document(file="plan.txt", city="330100", year=2015, title="方案", source="官网", text=TEXT),
            Document(file="plan.txt", city="Beta", year=2016, title="", source="", text=TEXT),
            Document(file="more/letter.docx", city="Alpha", year=2017, title="函", source="", text="减税。"),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("a.txt,Alpha,2015,,", "in the folder, but not listed: b.txt"),
        (
            "a.txt,Alpha,2015,,\nB.txt,Alpha,2015,,",
            "listed, but not in the folder: B.txt\n  hint: did you mean 'b.txt'?",
        ),
        (
            "a.txt,Alpha,2015,,\nb.txt,Alpha,2015,,\n../c.txt,A,2015,,",
            "listed, but not in the folder: ../c.txt",
        ),
        ("a.txt,Alpha,2015,,\nb.txt,,2015,,", "row 3: 'city' is empty"),
        ("a.txt,Alpha,soon,,\nb.txt,Alpha,2015,,", "row 2, column 'year': 'soon' is not a year"),
        ("a.txt,Alpha,2015,,\nb.txt,Alpha,15,,", "row 3, column 'year': '15' is not a year"),
        ("a.txt,Alpha,2015,,\na.txt,Alpha,2016,,", "row 3: 'a.txt' of Alpha is listed twice"),
        ("a.txt,Alpha,2015,,\nb.txt,Alpha,2016,,", "'a.txt' and 'b.txt' of Alpha have the same text"),
        ("", "the table has a header but no rows"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, listed: str, message: str) -> None:
    folder = text_files.folder(tmp_path / "texts", {"a.txt": TEXT, "b.txt": TEXT}, listed=listed)
    with pytest.raises(InputError) as error:
        read_documents(folder)
    assert message in str(error.value)
    assert str(error.value).startswith(str(folder / "documents.csv"))


def no_list(folder: Path) -> Path:
    (folder / "documents.csv").unlink()
    return folder


def no_source(folder: Path) -> Path:
    (folder / "documents.csv").write_text("file,city,year,title\na.txt,Alpha,2015,\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            no_list,
            "the folder has no documents.csv\n  hint: write one with the columns file, city, year, title",
        ),
        (no_source, "there is no column 'source'"),
        (lambda folder: folder / "gone", "there is no such folder"),
    ],
)
def test_a_folder_without_a_list_is_refused(
    tmp_path: Path, spoil: Callable[[Path], Path], message: str
) -> None:
    folder = spoil(text_files.folder(tmp_path / "texts", {"a.txt": TEXT}))
    with pytest.raises(InputError, match=re.escape(message)):
        read_documents(folder)


def test_the_demonstration_is_short_chinese_and_says_what_it_is() -> None:
    documents, notes = read_documents(DEMO)
    lengths = [len(re.findall("[\u4e00-\u9fff]", document.text)) for document in documents]
    assert (len(documents), notes) == (12, ())
    assert {document.file.rpartition(".")[2] for document in documents} == {"txt", "docx", "pdf"}
    assert min(lengths) >= 80
    assert max(lengths) <= 200
    for document in documents:
        assert "合成文本 SYNTHETIC" in document.text[:40]
        assert document.source.startswith("SYNTHETIC")
        assert f"{document.city}市" in document.text + document.title
