"""The text of one file: .txt, .docx or .pdf, cleaned, one paragraph a line."""

from __future__ import annotations

import codecs
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from engine.errors import InputError
from engine.text.optional import library

ENDINGS = (".txt", ".docx", ".pdf")

_HAN = "\u4e00-\u9fff"
_ENDS = "。！？；：!?;:"
# Look-alikes of ordinary characters: radicals, which PDFs give for 人 or 金, and full-width letters and digits
_LOOK_ALIKE = re.compile("[\u2e80-\u2fdf\uf900-\ufaff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BLANK = re.compile("[ \t\r\f\v\u00a0\u2000-\u200a]+")
_GAP = re.compile(f"(?<=[{_HAN}，、（《“]) (?=[{_HAN}，、。）》”])")
_PAGE_NUMBER = re.compile(r"[\s—–\-·]*(第?\s*\d{1,4}\s*页?)[\s—–\-·]*")
_OLE = b"\xd0\xcf\x11\xe0"  # how files of the old Office, and encrypted ones of the new, begin
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def extract(path: Path) -> tuple[str, list[str]]:
    """Cleaned text of a file, and notes on what could not be read of it.

    Text files are UTF-8 or GB18030 (UTF-16 where its mark says so). Of .docx, the body with its tables and
    text boxes is read, tracked changes as accepted; headers, footers and notes are not. Of .pdf, the text
    layer; lines that are only a page number are left out.

    Raises
    ------
    InputError
        Unknown ending, a file that is empty, damaged or encrypted, one without a text layer (a scan), and one
        without a Chinese character.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        remedy = (
            "save it as .docx or .pdf" if ending in (".doc", ".wps") else f"readable are {', '.join(ENDINGS)}"
        )
        raise InputError(f"unknown ending '{path.suffix}'", where=str(path), remedy=remedy)
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=str(path), remedy="replace it or take it off the list")
    notes: list[str] = []
    if ending == ".txt":
        raw = _text(path)
    elif ending == ".docx":
        raw = _docx(path)
    else:
        raw, notes = _pdf(path)
    text = clean(raw)
    if not re.search(f"[{_HAN}]", text):
        raise InputError(
            "there is no Chinese character in its text" if text else "there is no text in it",
            where=str(path),
            remedy="save it again, as UTF-8 text or as .docx",
        )
    return text, notes


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


def _text(path: Path) -> str:
    content = path.read_bytes()
    marked = [encoding for mark, encoding in _MARKS.items() if content.startswith(mark)]
    for encoding in marked or ["utf-8", "gb18030"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError("the text is neither UTF-8 nor GB18030", where=str(path), remedy="save it as UTF-8")


def _docx(path: Path) -> str:
    with path.open("rb") as stream:
        if stream.read(4) == _OLE:
            raise InputError(
                "the file is encrypted, or an old .doc",
                where=str(path),
                remedy="open it and save it as .docx without a password",
            )
    try:
        with zipfile.ZipFile(path) as archive:
            body = ElementTree.fromstring(archive.read("word/document.xml"))
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, OSError, RuntimeError) as error:
        raise _damaged(path, error, "open it in a word processor and save it again as .docx") from None
    return "".join(_docx_parts(body))


def _docx_parts(element: ElementTree.Element) -> Iterator[str]:
    """Text in reading order; a paragraph and a table cell end with an empty line."""
    name = element.tag.rpartition("}")[2]
    if name in ("Fallback", "moveFrom", "del"):  # the second copy of a text box; what changes took away
        return
    if name == "t":
        yield element.text or ""
    elif name in ("tab", "br", "cr"):
        yield "\t" if name == "tab" else "\n"
    for child in element:
        yield from _docx_parts(child)
    if name in ("p", "txbxContent"):
        yield "\n\n"


def _pdf(path: Path) -> tuple[str, list[str]]:
    pypdf = library("pypdf")
    try:
        reader = pypdf.PdfReader(path)
        # an empty password opens files that are only protected against changes
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = [] if locked else [page.extract_text() for page in reader.pages]
    except pypdf.errors.DependencyError:
        locked = True  # of the ciphers, pypdf by itself knows only the oldest
    except Exception as error:  # a damaged file raises nearly anything
        raise _damaged(path, error, "open it and print it to a new .pdf, or save its text as .txt") from None
    if locked:
        raise InputError(
            "the file is encrypted",
            where=str(path),
            remedy="save a copy without a password, or its text as .txt",
        )
    silent = [str(number) for number, page in enumerate(pages, start=1) if not page.strip()]
    if len(silent) == len(pages):
        raise InputError(
            f"none of its {len(pages)} pages has text: it is a scan",
            where=str(path),
            remedy="run character recognition (OCR) on it, or save its text as .txt",
        )
    notes = [f"{path.name}: no text on page {', '.join(silent)} of {len(pages)}: scanned?"] if silent else []
    lines = [line for page in pages for line in _without_page_number(page)]
    return "\n".join(lines), notes


def _without_page_number(page: str) -> list[str]:
    """Lines of a page between its margins, so that a sentence goes on from one page to the next."""
    lines = [line for line in page.split("\n") if not _PAGE_NUMBER.fullmatch(line)]
    return "\n".join(lines).strip("\n").split("\n")


def _damaged(path: Path, error: Exception, remedy: str) -> InputError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(f"cannot be read ({why})", where=str(path), remedy=remedy)
