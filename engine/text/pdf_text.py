"""The text layer of a .pdf file, without its page numbers."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.notes import Note
from engine.text.optional import library

if TYPE_CHECKING:
    from pypdf import PdfReader

_PAGE_NUMBER = re.compile(r"[\s—–\-·]*(第?\s*\d{1,4}\s*页?)[\s—–\-·]*")
_LONGEST_PAGE_NUMBER = 40  # characters with its dashes and blanks
_MOST_PAGES = 5_000
_MOST_PAGE_BYTES = 10_000_000  # of one page's instructions, unpacked


def read_pdf(path: Path) -> tuple[str, list[Note]]:
    """Lines of all pages, and a note on pages without text.

    Raises
    ------
    InputError
        For an encrypted file, a scan, and one of more than 5,000 pages or 10 MB of instructions a page.
    """
    pypdf = library("pypdf")
    with _quiet():
        try:
            reader = pypdf.PdfReader(path)
            # an empty password opens files that are only protected against changes
            locked = reader.is_encrypted and not reader.decrypt("")
            pages = [] if locked else list(_pages(reader, path))
        except pypdf.errors.DependencyError:
            locked = True  # of the ciphers, pypdf by itself knows only the oldest
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
    notes = [Note.of("pages_without_text", file=path.name, pages=silent, count=len(pages))] if silent else []
    lines = [line for page in pages for line in _without_page_number(page)]
    return "\n".join(lines), notes


def _pages(reader: PdfReader, path: Path) -> Iterator[str]:
    """Text of every page, as far as the limits allow."""
    for number, page in enumerate(reader.pages, start=1):
        if number > _MOST_PAGES:
            raise InputError(
                f"it has more than {_MOST_PAGES:,} pages", where=str(path), remedy="divide it into documents"
            )
        contents = page.get_contents()
        if contents is not None and len(contents.get_data()) > _MOST_PAGE_BYTES:
            raise InputError(
                f"page {number} takes more than {_MOST_PAGE_BYTES:,} bytes when unpacked",
                where=str(path),
                remedy="save its text alone as .txt",
            )
        yield page.extract_text()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pypdf's complaints about a file: the error, if there is one, names it."""
    logger, null_handler = logging.getLogger("pypdf"), logging.NullHandler()
    propagate = logger.propagate
    logger.addHandler(null_handler)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(null_handler)


def _without_page_number(page: str) -> list[str]:
    """Lines of a page between its margins, so that a sentence goes on from one page to the next."""
    lines = [
        line
        for line in page.split("\n")
        if len(line) > _LONGEST_PAGE_NUMBER or not _PAGE_NUMBER.fullmatch(line)
    ]
    return "\n".join(lines).strip("\n").split("\n")
