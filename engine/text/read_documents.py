"""A folder of policy documents, and ``documents.csv``, which gives the city and year of each."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from engine.notes import Note
from engine.tables import cell_values as cells
from engine.tables.read import read_columns
from engine.text.extract import extract

LIST = "documents.csv"
DEMO = Path(__file__).parent / "data" / "demo_documents"

MOST_CHARACTERS = 20_000_000
"""Characters of all documents of a folder; the segmentation of so many takes some minutes."""

_COLUMNS = ("file", "city", "year", "title", "source")
_LEFT_ALONE = (".", "~$")  # files of the system, and locks of open ones, begin so
_SHOWN = 5


@dataclass(frozen=True)
class Document:
    """One document of one city.

    Attributes
    ----------
    file : str
        Path in the folder, with ``/``.
    city : str
        As in the panel.
    year : int
        From which on the document counts.
    title, source : str
        For the reader; may be empty.
    text : str
        Cleaned, one paragraph a line.
    """

    file: str
    city: str
    year: int
    title: str
    source: str
    text: str


def read_documents(folder: Path) -> tuple[tuple[Document, ...], tuple[Note, ...]]:
    """Documents of a folder, in the order of its ``documents.csv``, and notes on what could not be read.

    ``documents.csv`` has the columns file, city, year, title and source, and a row a document; a document of
    several cities has a row a city. Every file of the folder, but those beginning with ``.`` or ``~$``, is
    listed, and every file listed is there.

    Raises
    ------
    InputError
        For a list that does not fit the folder, a cell of it that is wrong, a file that cannot be read
        (`engine.text.extract.extract`), and the same text twice for a city.
    """
    table = _list(folder)
    texts, notes, size = {}, list[Note](), 0
    for file in dict.fromkeys(table["file"]):
        texts[file], file_notes = extract(folder / file)
        notes += file_notes
        size += len(texts[file])
        if size > MOST_CHARACTERS:
            raise InputError(
                f"the documents up to {file} have {size:,} characters; {MOST_CHARACTERS:,} is the most at once",
                where=str(folder),
                remedy="count them in several folders",
            )
    documents = tuple(
        Document(file=row[0], city=row[1], year=row[2], title=row[3], source=row[4], text=texts[row[0]])
        for row in table.itertuples(index=False, name=None)
    )
    _refuse_copies(documents, folder / LIST)
    return documents, tuple(notes)


def _list(folder: Path) -> pd.DataFrame:
    """``documents.csv``, checked: text columns and a whole year."""
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="name the folder of documents")
    path = folder / LIST
    if not path.exists():
        raise InputError(
            f"the folder has no {LIST}",
            where=str(folder),
            remedy=f"write one with the columns {', '.join(_COLUMNS)}, a row a document",
        )
    table = read_columns(path, _COLUMNS)
    if table.empty:
        raise InputError("no document is listed", where=str(path))
    for name in ("file", "city", "year"):
        blank = table[name].isna()
        if blank.any():
            row = table.index[blank][0] + cells.FIRST_ROW
            raise InputError(f"'{name}' is empty", where=f"{path}: row {row}", remedy="fill the cell")
    checked = pd.DataFrame({name: _texts(table[name]) for name in _COLUMNS}, index=table.index)
    checked["file"] = checked["file"].str.replace("\\", "/")
    checked["year"] = cells.years(table["year"], source=str(path))
    _refuse_rows_twice(checked, path)
    _refuse_misfit(set(checked["file"]), folder)
    return checked


def _texts(column: pd.Series) -> list[str]:
    codes, names = cells.names(column)
    return [names[code] if code >= 0 else "" for code in codes]


def _refuse_rows_twice(table: pd.DataFrame, path: Path) -> None:
    duplicated = table.duplicated(["file", "city"])
    if duplicated.any():
        row = table.index[duplicated][0]
        file, city = table.loc[row, ["file", "city"]].tolist()
        raise InputError(
            f"'{file}' of {city} is listed twice",
            where=f"{path}: row {row + cells.FIRST_ROW}",
            remedy="keep one row a document and city",
        )


def _refuse_misfit(files: set[str], folder: Path) -> None:
    """Raises InputError unless the list, which names these files, and the folder have the same."""
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(_LEFT_ALONE)
    } - {LIST}
    missing, unlisted = sorted(files - present), sorted(present - files)
    if missing:
        near = difflib.get_close_matches(missing[0], unlisted, n=1)
        raise InputError(
            f"listed, but not in the folder: {_some(missing)}",
            where=str(folder / LIST),
            remedy=f"did you mean '{near[0]}'?" if near else "add the files or take them off the list",
        )
    if unlisted:
        raise InputError(
            f"in the folder, but not listed: {_some(unlisted)}",
            where=str(folder / LIST),
            remedy="list each with its city and year, or move it elsewhere",
        )


def _refuse_copies(documents: tuple[Document, ...], path: Path) -> None:
    first: dict[tuple[str, str], str] = {}
    for document in documents:
        file = first.setdefault((document.city, document.text), document.file)
        if file != document.file:
            raise InputError(
                f"'{file}' and '{document.file}' of {document.city} have the same text",
                where=str(path),
                remedy="keep one: a document counts once a city",
            )


def _some(names: list[str]) -> str:
    tail = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + tail
