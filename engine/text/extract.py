"""The text of one file: .txt, .docx or .pdf, cleaned, one paragraph a line."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from engine.errors import InputError, readable
from engine.notes import Note
from engine.text.docx_text import read_docx
from engine.text.pdf_text import read_pdf

ENDINGS = (".txt", ".docx", ".pdf")

_HAN = "\u4e00-\u9fff"
_ENDS = "。！？；：!?;:"
# Look-alikes of ordinary characters: radicals, which PDFs give for 人 or 金, and full-width letters and digits
_LOOK_ALIKE = re.compile("[\u2e80-\u2fdf\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BLANK = re.compile("[ \t\r\f\v\u00a0\u2000-\u200a]+")
_GAP = re.compile(f"(?<=[{_HAN}，、（《“]) (?=[{_HAN}，、。）》”])")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def extract(path: Path) -> tuple[str, list[Note]]:
    """Cleaned text of a file, and notes on what could not be read of it.

    Text files are UTF-8 or GB18030 (UTF-16 where its mark says so). Of .docx, the body with its tables and
    text boxes is read, tracked changes as accepted; headers, footers and notes are not. Of .pdf, the text
    layer; lines that are only a page number are left out.

    Raises
    ------
    InputError
        Unknown ending, a file that is empty, damaged, encrypted or beyond the limits, one without a text layer
        (a scan), and one without a Chinese character.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        remedy = (
            "save it as .docx or .pdf" if ending in (".doc", ".wps") else f"readable are {', '.join(ENDINGS)}"
        )
        raise InputError(f"unknown ending '{path.suffix}'", where=str(path), remedy=remedy)
    with readable(path, remedy=_REMEDIES[ending]):
        _check_size(path, ending)
        raw, notes = _READERS[ending](path)
        text = clean(raw)
    if not re.search(f"[{_HAN}]", text):
        raise InputError(
            "there is no Chinese character in its text" if text else "there is no text in it",
            where=str(path),
            remedy="save it again, as UTF-8 text or as .docx",
        )
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"its text has {len(text):,} characters; a document may have {MOST_CHARACTERS:,}",
            where=str(path),
            remedy="divide it into documents, each with its row in the list",
        )
    return text, notes


def _check_size(path: Path, ending: str) -> None:
    size, max_bytes = path.stat().st_size, _MOST_BYTES[ending]
    if size == 0:
        raise InputError("the file is empty", where=str(path), remedy="replace it or take it off the list")
    if size > max_bytes:
        raise InputError(
            f"the file has {size:,} bytes; a {ending} file may have {max_bytes:,}",
            where=str(path),
            remedy="save its text alone as .txt, or divide it",
        )


def clean(text: str) -> str:
    """Ordinary characters, no blanks between Chinese ones, one paragraph a line.

    A line goes on in the next one unless it ends with a mark such as 。 or ：, or the next is empty or
    indented: lines wrapped by a page or a mail program would cut words.

    >>> clean("建设跨境电子商\\n务平台。\\n\\n　　附 件")
    '建设跨境电子商务平台。\\n附件'
    """
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n"))
    text = _LOOK_ALIKE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    paragraphs: list[str] = []
    goes_on = False
    for line in text.split("\n"):
        words = line.strip()
        if goes_on and words and not line.startswith(("\u3000", "  ", "\t")):
            paragraphs[-1] += f" {words}"
        elif words:
            paragraphs.append(words)
        goes_on = bool(words) and words[-1] not in _ENDS
    return "\n".join(_GAP.sub("", _BLANK.sub(" ", paragraph)) for paragraph in paragraphs)


def _text(path: Path) -> tuple[str, list[Note]]:
    content = path.read_bytes()
    marked = [encoding for mark, encoding in _MARKS.items() if content.startswith(mark)]
    for encoding in marked or ["utf-8", "gb18030"]:
        try:
            return content.decode(encoding), []
        except UnicodeDecodeError:
            continue
    raise InputError("the text is neither UTF-8 nor GB18030", where=str(path), remedy="save it as UTF-8")


MOST_CHARACTERS = 2_000_000
"""Characters of one document: a book of more than a thousand pages."""
_MOST_BYTES = {".txt": 50_000_000, ".docx": 200_000_000, ".pdf": 200_000_000}
_READERS = {".txt": _text, ".docx": read_docx, ".pdf": read_pdf}
_REMEDIES = {
    ".txt": "save it as UTF-8 text",
    ".docx": "open it in a word processor and save it again as .docx",
    ".pdf": "open it and print it to a new .pdf, or save its text as .txt",
}
