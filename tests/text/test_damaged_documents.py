"""Documents that are damaged, huge or hostile: text, or one error that names the file, in bounded time and memory."""

from __future__ import annotations

import io
import logging
import random
import tracemalloc
import zipfile
from pathlib import Path

import pypdf
import pytest
import text_files

from engine.errors import InputError
from engine.text import docx_text, extract, pdf_text
from engine.text import read_documents as reading

TEXT = "建设信息平台。\n发展海外仓。"
MAIN = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
PARAGRAPH = "<w:p><w:r><w:t>建设信息平台。</w:t></w:r></w:p>"


def packed(xml: bytes, name: str = "word/document.xml") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, xml)
    return stream.getvalue()


def document(body: str) -> bytes:
    return packed(f"<w:document {MAIN}><w:body>{body}</w:body></w:document>".encode())


def read(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return extract.extract(path)[0]


def refusal(path: Path, content: bytes) -> InputError | None:
    try:
        read(path, content)
    except InputError as error:
        return error
    return None


WHOLE = {
    "a.txt": TEXT.encode(),
    "b.txt": TEXT.encode("utf-16"),
    "a.docx": document(PARAGRAPH * 40),
    "a.pdf": text_files.pdf([["建设信息平台。", "发展海外仓。"], ["第二页。"]]),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("damage", ["flip", "cut", "zeros"])
def test_damage_ends_in_text_or_in_an_error_that_names_the_file(
    tmp_path: Path, name: str, damage: str
) -> None:
    draw, refused = random.Random(f"{name} {damage}"), 0
    path = tmp_path / name
    for _ in range(100):
        content = bytearray(WHOLE[name])
        place = draw.randrange(len(content))
        if damage == "flip":
            content[place] ^= 1 << draw.randrange(8)
        elif damage == "cut":
            del content[place:]
        else:
            content[place : place + 40] = bytes(len(content[place : place + 40]))
        error = refusal(path, bytes(content))
        if error is not None:
            refused += 1
            assert error.where == str(path)
            assert error.remedy
    assert refused or damage == "flip" or name.endswith(".txt")


@pytest.mark.parametrize("tags", [["w:tbl", "w:tr", "w:tc"], ["w:x"], ["w:t"], ["w:del"]])
def test_depth_of_a_document_is_no_matter(tmp_path: Path, tags: list[str]) -> None:
    nested = "".join(f"<{tag}>" for tag in tags * 20_000), "".join(f"</{tag}>" for tag in tags[::-1] * 20_000)
    deep = document(nested[0] + PARAGRAPH + nested[1] + PARAGRAPH)
    assert read(tmp_path / "a.docx", deep).startswith("建设信息平台。")


@pytest.mark.parametrize("filler", ["space", "elements"])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(
    tmp_path: Path, filler: str
) -> None:
    chunk = (b" " if filler == "space" else b"<w:p/>") * 200_000
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as body,
    ):
        body.write(f"<w:document {MAIN}><w:body><w:p><w:r>".encode())
        for _ in range(20 if filler == "elements" else 2 * docx_text._MOST_XML // len(chunk)):
            body.write(chunk)
        body.write(b"</w:r></w:p></w:body></w:document>")
    path = tmp_path / "a.docx"
    path.write_bytes(stream.getvalue())
    assert path.stat().st_size < 2_000_000
    if filler == "space":  # tracing makes small objects slow
        tracemalloc.start()
    message = r"a\.docx: its text takes more than 100,000,000 bytes or 3,000,000 elements when unpacked"
    with pytest.raises(InputError, match=message):
        extract.extract(path)
    if filler == "space":
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
        tracemalloc.stop()


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    xml = (
        f'<!DOCTYPE d [<!ENTITY a "平台">{laughs}]><w:document {MAIN}><w:body><w:p><w:r><w:t>&i;</w:t></w:r></w:p>'
        "</w:body></w:document>"
    )
    outside = f'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><w:document {MAIN}><w:t>&e;</w:t></w:document>'
    for text in (xml, outside):
        with pytest.raises(InputError, match=r"a\.docx: cannot be read"):
            read(tmp_path / "a.docx", packed(text.encode()))


def test_a_page_that_unpacks_to_much_and_a_file_of_many_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pdf"
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(WHOLE["a.pdf"]))
    stream = pypdf.generic.DecodedStreamObject()
    stream.set_data(b" " * (pdf_text._MOST_PAGE_BYTES + 1))
    writer.pages[1][pypdf.generic.NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    writer.write(path)
    with pytest.raises(InputError, match=r"a\.pdf: page 2 takes more than 10,000,000 bytes when unpacked"):
        extract.extract(path)
    monkeypatch.setattr(pdf_text, "_MOST_PAGES", 1)
    with pytest.raises(InputError, match=r"a\.pdf: it has more than 1 pages"):
        read(path, WHOLE["a.pdf"])


def test_a_damaged_pdf_says_nothing_but_its_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """pypdf writes "invalid pdf header" and the like to standard error before it fails."""
    with pytest.raises(InputError, match=r"a\.pdf: cannot be read"):
        read(tmp_path / "a.pdf", b"garbage")
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("pypdf")] == []
    assert logging.getLogger("pypdf").propagate


def test_long_lines_of_blanks_take_no_time(tmp_path: Path) -> None:
    assert pdf_text._without_page_number(" " * 1_000_000 + "x") == [" " * 1_000_000 + "x"]
    assert pdf_text._without_page_number("— 12 —\n建设\n 第 3 页 ") == ["建设"]


def test_limits_of_size_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(
        InputError, match=r"a\.txt: its text has 2,000,001 characters; a document may have 2,000,000"
    ):
        read(path, ("建" * 2_000_001).encode())
    with path.open("wb") as stream:
        stream.truncate(50_000_001)
    with pytest.raises(
        InputError, match=r"a\.txt: the file has 50,000,001 bytes; a \.txt file may have 50,000,000"
    ):
        extract.extract(path)
    monkeypatch.setattr(reading, "MOST_CHARACTERS", 20)
    folder = text_files.folder(tmp_path / "many", {"a.txt": TEXT, "b.txt": TEXT + "三"})
    with pytest.raises(
        InputError, match=r"many: the documents up to b\.txt have 29 characters; 20 is the most at once"
    ):
        reading.read_documents(folder)
