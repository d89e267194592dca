"""The parts of an Excel workbook that say where its cells are: sheets, shared texts, formats of dates.

The reader is our own because the libraries at hand lose what matters here: openpyxl (read-only) and calamine give a
formula without a stored value as an empty cell, which nobody could tell from a missing one, and they lay every row out
to its last cell, so that one far cell fills the memory. Here no part is held as a tree, and every size has its limit
while it is read.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from engine.tables import limits
from engine.tables.file_bytes import FileBytes

Attributes = Mapping[str, str]
_PART = 2**16
_DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_NO_DATE_PART = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits of a run above or below the line as such: ``12.5`` with a raised 1 is not 12.51."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Damaged(ValueError):
    """A workbook breaks the rules of its format; the message says where."""


@dataclass(frozen=True)
class Sheet:
    """A sheet by its name, its part in the package, and whether it has cells and is shown."""

    name: str
    part: str
    has_cells: bool
    hidden: bool


@dataclass
class Package:
    """An opened workbook.

    Attributes
    ----------
    path : Path
    archive : ZipFile
    sheets : tuple of Sheet
        In the order of the tabs, charts and macros among them.
    from_1904 : bool
        Dates count from 1904.
    recalculate : bool
        The file asks to be computed when it is opened: it comes from a program that does not compute.
    """

    path: Path
    archive: zipfile.ZipFile
    main: str = ""
    sheets: tuple[Sheet, ...] = ()
    from_1904: bool = False
    recalculate: bool = False
    n_cells: int = 0
    n_characters: int = 0
    _parts: dict[str, zipfile.ZipInfo] = field(default_factory=dict)

    def has(self, part: str) -> bool:
        return part.lower() in self._parts

    def parse(self, part: str, parser: expat.XMLParserType) -> None:
        """A part through an XML parser, piece by piece; raises InputError where it is too large."""
        parser.StartDoctypeDeclHandler = _refuse_doctype
        for piece in self._pieces(part):
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    def estimate_cells(self, part: str) -> None:
        """Raises InputError for a sheet of far too many cells, before the seconds that reading them takes."""
        n_cells = self.n_cells
        for piece in self._pieces(part):
            n_cells += piece.count(b"<c ") + piece.count(b"<c>")
            self._refuse_many(n_cells)

    def _pieces(self, part: str) -> Iterator[bytes]:
        try:
            member = self._parts[part.lower()]
        except KeyError:
            raise Damaged(f"the part {part} is missing") from None
        size = tags = 0
        with self.archive.open(member) as stream:
            while piece := stream.read(_PART):
                size, tags = size + len(piece), tags + piece.count(b"<")
                if tags > limits.SHEET_TAGS:
                    raise limits.too_many_cells(self.path, f"{part} has more than {limits.SHEET_TAGS:,} tags")
                if size > limits.SHEET_BYTES:
                    raise limits.too_many_cells(
                        self.path, f"{part} has more than {limits.SHEET_BYTES:,} bytes"
                    )
                yield piece

    def visit_elements(self, part: str, visit: Callable[[tuple[str, ...], Attributes], None]) -> None:
        """Calls ``visit`` with the names of an element and those around it, and its attributes."""
        parser, names, count = expat.ParserCreate(), [], itertools.count(1)

        def start(name: str, attributes: dict[str, str]) -> None:
            if next(count) > limits.SMALL_PART:
                raise Damaged(f"the part {part} has more than {limits.SMALL_PART:,} elements")
            names.append(local(name))
            visit(tuple(names[-3:]), {local(key): value for key, value in attributes.items()})

        parser.StartElementHandler = start
        parser.EndElementHandler = lambda name: names.pop()
        self.parse(part, parser)

    def count_cells(self, n_cells: int) -> None:
        """Adds to the cells read so far; raises InputError beyond the limit."""
        self.n_cells += n_cells
        self._refuse_many(self.n_cells)

    def count_characters(self, n_characters: int) -> None:
        """Adds to the characters of texts that cells share; raises InputError beyond the limit."""
        self.n_characters += n_characters
        if self.n_characters > limits.SHEET_BYTES:
            raise limits.too_many_cells(
                self.path, f"its cells have more than {limits.SHEET_BYTES:,} characters"
            )

    def _refuse_many(self, n_cells: int) -> None:
        if n_cells > limits.SHEET_CELLS:
            raise limits.too_many_cells(self.path, f"the workbook has more than {limits.SHEET_CELLS:,} cells")

    @cached_property
    def texts(self) -> list[str]:
        """The shared texts, without their readings (furigana)."""
        part = self._related("/sharedStrings")
        return _shared_texts(self, part) if part else []

    @cached_property
    def date_styles(self) -> frozenset[int]:
        """Numbers of the cell styles that show a number as a date or time."""
        part = self._related("/styles")
        codes: dict[int, str] = {}
        formats: list[int] = []

        def visit(names: tuple[str, ...], attributes: Attributes) -> None:
            if names[-1] == "numFmt":
                codes[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
            elif names[-2:] == ("cellXfs", "xf"):
                formats.append(int(attributes.get("numFmtId", 0)))

        if part:
            self.visit_elements(part, visit)
        return frozenset(
            style
            for style, number in enumerate(formats)
            if (is_date_format(codes[number]) if number in codes else number in _DATE_FORMATS)
        )

    def _related(self, kind: str) -> str | None:
        for target, relation in _relations(self, self.main).values():
            if relation.endswith(kind):
                return target
        return None


def open_package(file: FileBytes) -> Package:
    """The workbook of a file; raises InputError or Damaged where it is none."""
    archive = zipfile.ZipFile(io.BytesIO(file.content))
    package = Package(file.path, archive)
    for member in archive.infolist():
        package._parts[member.filename.replace("\\", "/").lstrip("/").lower()] = member
    package.main = next(
        (part for part, kind in _relations(package, "").values() if kind.endswith("/officeDocument")),
        "xl/workbook.xml",
    )
    _read_main(package)
    return package


def _read_main(package: Package) -> None:
    """Sheets and settings of the workbook part."""
    relations, sheets = _relations(package, package.main), []

    def visit(names: tuple[str, ...], attributes: Attributes) -> None:
        if names[-2:] == ("sheets", "sheet"):
            part, kind = relations.get(attributes.get("id", ""), ("", ""))
            hidden = attributes.get("state", "visible") != "visible"
            sheets.append(Sheet(attributes.get("name", ""), part, kind.endswith("/worksheet"), hidden))
        elif names[-1] == "workbookPr":
            package.from_1904 = attributes.get("date1904") in ("1", "true")
        elif names[-1] == "calcPr":
            package.recalculate = attributes.get("fullCalcOnLoad") in ("1", "true")

    package.visit_elements(package.main, visit)
    package.sheets = tuple(sheets)


def _relations(package: Package, part: str) -> dict[str, tuple[str, str]]:
    """Parts that a part refers to, and what they are, by the name it has for them."""
    folder = PurePosixPath(part).parent if part else PurePosixPath("")
    relations: dict[str, tuple[str, str]] = {}

    def visit(names: tuple[str, ...], attributes: Attributes) -> None:
        if names[-1] == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "").replace("\\", "/")
            steps: list[str] = []
            for step in (target if target.startswith("/") else f"{folder}/{target}").split("/"):
                steps = steps[:-1] if step == ".." else [*steps, step] if step not in ("", ".") else steps
            relations[attributes.get("Id", "")] = ("/".join(steps), attributes.get("Type", ""))

    stated_in = str(folder / "_rels" / f"{PurePosixPath(part).name}.rels")
    if package.has(stated_in):
        package.visit_elements(stated_in, visit)
    return relations


def _shared_texts(package: Package, part: str) -> list[str]:
    parser, texts = expat.ParserCreate(), []
    pieces: list[str] = []
    depth = {"rPh": 0, "t": 0}
    raised = False  # a run above or below the line, such as the number of a footnote

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal raised
        name = local(name)
        if name in ("si", "r"):
            raised = False
        if name == "si":
            pieces.clear()
        elif name == "vertAlign":
            raised = is_raised(attributes)
        elif name in depth:
            depth[name] += 1

    def end(name: str) -> None:
        name = local(name)
        if name == "si":
            texts.append(unescaped("".join(pieces)))
            if len(texts) > limits.SHEET_CELLS:
                raise limits.too_many_cells(
                    package.path, f"{part} has more than {limits.SHEET_CELLS:,} texts"
                )
        elif name in depth:
            depth[name] -= 1

    def data(text: str) -> None:
        if depth["t"] and not depth["rPh"]:
            pieces.append(text.translate(RAISED) if raised else text)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.buffer_text = data, True
    package.parse(part, parser)
    return texts


def is_raised(attributes: Mapping[str, str]) -> bool:
    """Whether ``vertAlign`` puts a run of text above or below the line, as the number of a footnote is."""
    return attributes.get("val") in ("superscript", "subscript")


def local(name: str) -> str:
    """An XML name without its prefix."""
    return name.rpartition(":")[2] if ":" in name else name


def unescaped(text: str) -> str:
    """A text of a cell, with the signs that XML cannot hold; raises Damaged where it is longer than a cell."""
    if len(text) > limits.CELL_TEXT * 8:
        raise Damaged(f"a cell has {len(text):,} characters, more than Excel allows")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def is_date_format(code: str) -> bool:
    """True for a number format that shows a date or time."""
    section = _NO_DATE_PART.sub("", code.partition(";")[0]).lower()
    return any(sign in section for sign in "ymdhs") and "general" not in section


def _refuse_doctype(*declaration: object) -> None:
    raise Damaged("it declares entities, which no workbook does")
