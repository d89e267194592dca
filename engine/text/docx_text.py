"""The text of a .docx file, read as a stream: no tree of elements is built, however large or deep the XML is."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from engine.errors import InputError
from engine.notes import Note

_BODY = "word/document.xml"
_OLE = b"\xd0\xcf\x11\xe0"  # how files of the old Office, and encrypted ones of the new, begin
_MOST_XML = 100_000_000  # bytes; compression can hide gigabytes in a small file
_MOST_ELEMENTS = 3_000_000
_CHUNK = 1 << 16


def read_docx(path: Path) -> tuple[str, list[Note]]:
    """Text of the body in reading order, and no notes; a paragraph and a table cell end with an empty line.

    Raises
    ------
    InputError
        For a file of the old Office, an encrypted one, and XML of more than 100 MB or three million elements.
    """
    with path.open("rb") as stream:
        if stream.read(4) == _OLE:
            raise InputError(
                "the file is encrypted, or an old .doc",
                where=str(path),
                remedy="open it and save it as .docx without a password",
            )
    collector = _Collector()
    with zipfile.ZipFile(path) as archive, archive.open(_BODY) as body:
        _feed(body, collector, path)
    return "".join(collector.parts), []


def _feed(body: IO[bytes], collector: _Collector, path: Path) -> None:
    parser, size = ElementTree.XMLParser(target=collector), 0
    while chunk := body.read(_CHUNK):
        size += len(chunk)
        if size > _MOST_XML or collector.n_elements > _MOST_ELEMENTS:
            raise InputError(
                f"its text takes more than {_MOST_XML:,} bytes or {_MOST_ELEMENTS:,} elements when unpacked",
                where=str(path),
                remedy="save its text alone as .txt, or divide it",
            )
        parser.feed(chunk)
    parser.close()


class _Collector:
    """Target of the parser: keeps text, and of the open elements only whether each is a run of text."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.n_elements = 0
        self._open: list[bool] = []
        self._left_out = 0

    def start(self, tag: str, _: object) -> None:
        name = tag.rpartition("}")[2]
        self.n_elements += 1
        self._open.append(name == "t")
        if name in ("Fallback", "moveFrom", "del"):  # the second copy of a text box; what changes took away
            self._left_out += 1
        if name in ("tab", "br", "cr") and not self._left_out:
            self.parts.append("\t" if name == "tab" else "\n")

    def data(self, text: str) -> None:
        if self._open and self._open[-1] and not self._left_out:
            self.parts.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        self._open.pop()
        if name in ("p", "txbxContent") and not self._left_out:
            self.parts.append("\n\n")
        if name in ("Fallback", "moveFrom", "del"):
            self._left_out -= 1

    def close(self) -> None:
        """Called by the parser at the end."""
