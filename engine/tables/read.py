"""Tables from disk: Parquet, CSV and Excel as people have them, with Chinese headers and encodings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from engine.errors import InputError, readable
from engine.notes import Note, and_more
from engine.tables.delimited import SEPARATORS, read_delimited
from engine.tables.excel import ExcelTable, read_excel
from engine.tables.file_bytes import FileBytes, read_bytes, shown
from engine.tables.headers import FileLayout, without_blank_rows
from engine.tables.parquet import read_parquet
from engine.tables.stata import read_stata

_EXCEL = (".xlsx", ".xlsm", ".xls")
_SHOWN = 40  # names of sheets or columns
_READABLE = ".parquet, .csv, .tsv, .txt (also with .gz), .xlsx, .xls and .dta"
_NAMED_FORMS = {".parquet": "Parquet", ".dta": "Stata"}
_REMEDIES = {
    ".parquet": "write the file again; it is damaged or not Parquet",
    ".dta": "save it again from Stata",
    **dict.fromkeys(_EXCEL, "open it in Excel and save it again as .xlsx"),
    **dict.fromkeys(SEPARATORS, "check that the file is whole and may be read"),
}


_MEND_CELL = (
    "open the workbook in Excel, mend the cell, let it compute and save; or leave the cell empty where the value is "
    "missing"
)


@dataclass(frozen=True)
class FileTable:
    """A table as it was read.

    Attributes
    ----------
    frame : DataFrame
        Without blank rows; ``index + FIRST_ROW`` is the number of a row in the file.
    sha256 : str
        Of the very bytes that were parsed.
    label : str
        File, and sheet where there are several, for messages.
    sheet : str or None
        The sheet that was read, where there are several and none was named.
    notes : tuple of Note
        What a reader of the results must know, e.g. which of several sheets was read.
    merged : tuple of Note
        Cells of units and years that took the value of the merged range they lie in, counted by column.
    broken : mapping of str to str
        Columns with cells that hold an error or a formula without a value: the first such cell, in words.
    broken_remedy : str
        How such cells are mended.
    labels : mapping of str to str
        Labels of variables, where the file has any.
    storage : {'text', 'sheet', 'typed'}
        Rows of text; rows of a sheet, whose cells have types; or named columns with types.
    """

    frame: pd.DataFrame
    sha256: str
    label: str
    sheet: str | None = None
    notes: tuple[Note, ...] = ()
    merged: tuple[Note, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    broken_remedy: str = _MEND_CELL
    labels: Mapping[str, str] = field(default_factory=dict)
    storage: Literal["text", "sheet", "typed"] = "typed"


def read_file(path: Path, layout: FileLayout | None = None) -> FileTable:
    """Read a table as it stands: headers stripped, blank rows left out, nothing but empty cells made missing.

    Cells like ``NA`` or ``-`` stay text, because they are missing in a number column only
    (``engine.tables.cell_values``); in a column of names, ``NA`` may be Namibia.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``), ``.xlsx``, ``.xls`` or ``.dta``.
    layout : FileLayout, optional
        Sheet, encoding, header row and rows to skip, where the user states them.

    Raises
    ------
    InputError
        For whatever is wrong with the file: no exception of a library leaves this function.
    """
    layout = layout or FileLayout()
    ending = _ending(path)
    _refuse_misplaced(path, ending, layout)
    file = read_bytes(path)
    with readable(file.label, remedy=_REMEDIES[ending]):
        try:
            table = _parse(file, ending, layout)
        except MemoryError as error:
            raise InputError(
                "there is not enough memory to read it",
                where=file.label,
                remedy="save the columns that the job reads as Parquet",
            ) from error
    if table.frame.empty:
        raise layout.no_rows(table.label)
    return table


def read_table(path: Path, *, sheet: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    """The frame of `read_file`."""
    return read_file(path, FileLayout(sheet=sheet, encoding=encoding)).frame


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a table, their texts as they are, without rows that are blank in them.

    Raises InputError where one is not there.
    """
    table = read_file(path, FileLayout(names=frozenset(columns)))
    absent = [name for name in columns if name not in table.frame]
    if absent:
        raise InputError(
            f"there is no column '{absent[0]}'",
            where=table.label,
            remedy=f"its columns are {_shortened(table.frame.columns)}; needed are {', '.join(columns)}",
        )
    refuse_broken(table, columns, source=table.label)
    return table.frame[list(columns)].dropna(how="all")


def refuse_broken(table: FileTable, columns: Iterable[str], *, source: str) -> None:
    """Raises InputError where one of these columns has a cell in error or a formula without a value."""
    for name in columns:
        if name in table.broken:
            raise InputError(
                table.broken[name],
                where=f"{source}: column '{name}'",
                remedy=table.broken_remedy,
            )


def file_hash(path: Path) -> str:
    """sha256 of the bytes of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse(file: FileBytes, ending: str, layout: FileLayout) -> FileTable:
    notes, merged = tuple[Note, ...](), tuple[Note, ...]()
    label, sheet, broken = file.label, None, {}
    labels: dict[str, str] = {}
    storage: Literal["text", "sheet", "typed"]
    if ending == ".parquet":
        frame, notes = read_parquet(file)
    elif ending == ".dta":
        frame, labels = read_stata(file, layout)
    elif ending in _EXCEL:
        excel = read_excel(file, layout)
        frame, broken, notes, merged = excel.frame, excel.broken, excel.notes, excel.merged
        if excel.further_sheets:
            label, sheet = f"{label} (sheet '{excel.sheet}')", excel.sheet
            notes += (_sheet_note(file.path.name, excel, layout),)
    else:
        frame, notes = read_delimited(file, ending, layout, compressed=file.path.suffix.lower() == ".gz")
    storage = "text" if ending in SEPARATORS else "sheet" if ending in _EXCEL else "typed"
    return FileTable(
        without_blank_rows(frame),
        file.sha256,
        label,
        sheet,
        notes,
        merged,
        broken,
        labels=labels,
        storage=storage,
    )


def _sheet_note(name: str, excel: ExcelTable, layout: FileLayout) -> Note:
    others = [str(sheet) for sheet in excel.further_sheets]
    more, key = and_more(len(others) - _SHOWN), layout.named("sheet")
    return Note.of("sheet_chosen", file=name, sheet=excel.sheet, others=others[:_SHOWN], more=more, key=key)


def _shortened(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def _ending(path: Path) -> str:
    """The ending that says how to read a file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    ending = suffixes[-1] if suffixes else ""
    if ending not in _REMEDIES:
        read_bytes(path)  # that it is not there, or no file, is said first
    if ending not in _REMEDIES or (path.suffix.lower() == ".gz" and ending not in SEPARATORS):
        raise InputError(
            f"unknown ending '{path.suffix[:20]}'", where=shown(path), remedy=f"readable are {_READABLE}"
        )
    return ending


def _refuse_misplaced(path: Path, ending: str, layout: FileLayout) -> None:
    """Raises InputError for a statement about the file that files of its kind have no place for."""
    if layout.sheet is not None and ending not in _EXCEL:
        raise InputError(
            f"sheet '{layout.sheet}' is requested, but only Excel files have sheets",
            where=shown(path),
            remedy="remove it",
        )
    if layout.encoding is not None and ending not in (*SEPARATORS, ".dta"):
        raise InputError(
            f"encoding '{layout.encoding}' is given, but only text files have one",
            where=shown(path),
            remedy="remove it",
        )
    rows = layout.header is not None or layout.skip_rows is not None
    if rows and ending in _NAMED_FORMS:
        raise InputError(
            f"header or skip_rows is given, but the columns of {_NAMED_FORMS[ending]} have names of their own",
            where=shown(path),
            remedy="remove it",
        )
    layout.check(shown(path))
