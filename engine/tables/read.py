"""Tables from disk: Parquet, CSV and Excel as people have them, with Chinese headers and encodings."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import InputError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
_EXCEL = (".xlsx", ".xlsm")
# pandas 3.1 reads every float to its nearest double and deprecates saying so; before, it must be asked to
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)
_READABLE = ".parquet, .csv, .tsv, .txt (also with .gz) and .xlsx"


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a table, without its blank rows; raises InputError where one is not there."""
    table = read_table(path)
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise InputError(
            f"there is no column '{lacking[0]}'",
            where=str(path),
            remedy=f"its columns are {', '.join(columns)}",
        )
    return table[list(columns)].dropna(how="all")


def read_table(path: Path, *, sheet: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    """Read a table as it stands: one row a line, headers stripped, nothing but empty cells made missing.

    Cells like ``NA`` or ``-`` stay text, because they are missing in a number column only
    (``engine.tables.cells``); in a column of names, ``NA`` may be Namibia.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``) or ``.xlsx``. The first row is the header.
    sheet : str, optional
        Excel sheet; default the first.
    encoding : str, optional
        Of a text file; default UTF-8 (with or without byte-order mark), then GB18030.

    Raises
    ------
    InputError
        Missing, empty or unreadable file, unknown ending, sheet or encoding, a header twice.
    """
    ending = _ending(path)
    if sheet is not None and ending not in _EXCEL:
        raise InputError(f"sheet '{sheet}' is asked for, but only Excel files have sheets", where=str(path))
    if encoding is not None and ending not in _SEPARATORS:
        raise InputError(f"encoding '{encoding}' is given, but only text files have one", where=str(path))
    if ending == ".parquet":
        frame = _read_parquet(path)
    elif ending in _EXCEL:
        frame = _read_excel(path, sheet)
    else:
        frame = _read_text(path, _SEPARATORS[ending], encoding)
    if frame.empty:
        raise InputError("the table has a header but no rows", where=str(path))
    return frame


def file_hash(path: Path) -> str:
    """sha256 of the bytes of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ending(path: Path) -> str:
    """The ending that says how to read a file, once it is known to be there and not empty."""
    if not path.exists():
        raise InputError(
            "there is no such file", where=str(path), remedy="check the path; it is relative to the job file"
        )
    if path.is_dir():
        raise InputError("this is a folder, not a table", where=str(path), remedy="name the file")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    ending = suffixes[-1] if suffixes else ""
    if ending == ".xls":
        raise InputError("the old .xls format is not read", where=str(path), remedy="save it as .xlsx")
    if ending not in (".parquet", *_EXCEL, *_SEPARATORS):
        raise InputError(f"unknown ending '{ending}'", where=str(path), remedy=f"readable are {_READABLE}")
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=str(path))
    return ending


def _unreadable(path: Path, why: object, remedy: str) -> InputError:
    return InputError(f"cannot be read ({str(why).strip().splitlines()[0]})", where=str(path), remedy=remedy)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, "write the file again; it is damaged or not Parquet") from None
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return frame.set_axis(_headers(path, list(frame.columns)), axis=1)


def _read_excel(path: Path, sheet: str | None) -> pd.DataFrame:
    try:
        book = pd.ExcelFile(path, engine="openpyxl")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error, "open it in Excel and save it again as .xlsx") from None
    with book:
        if sheet is not None and sheet not in book.sheet_names:
            sheets = ", ".join(map(str, book.sheet_names))
            raise InputError(f"there is no sheet '{sheet}'", where=str(path), remedy=f"the file has {sheets}")
        cells = pd.read_excel(
            book, sheet_name=0 if sheet is None else sheet, header=None, keep_default_na=False, na_values=[""]
        )
    if cells.empty:
        raise InputError(f"the sheet '{sheet or book.sheet_names[0]}' is empty", where=str(path))
    body = cells.iloc[1:].reset_index(drop=True).infer_objects()
    return body.set_axis(_headers(path, list(cells.iloc[0])), axis=1)


def _read_text(path: Path, separator: str | None, encoding: str | None) -> pd.DataFrame:
    candidates = [encoding] if encoding else ["utf-8-sig", "gb18030"]
    for candidate in candidates:
        try:
            return _decode(path, separator, candidate)
        except UnicodeError:
            continue
        except LookupError:
            raise InputError(
                f"unknown encoding '{candidate}'", where=str(path), remedy="use e.g. utf-8 or gb18030"
            ) from None
    raise InputError(
        f"the text is not {' or '.join(candidates)}",
        where=str(path),
        remedy="state panel.encoding (Excel's 'Unicode text' is utf-16), or save the file as UTF-8",
    )


def _decode(path: Path, separator: str | None, encoding: str) -> pd.DataFrame:
    options: dict[str, Any] = {
        "encoding": encoding,
        "skip_blank_lines": False,  # so that the row numbers of messages are those of the file
        "keep_default_na": False,
        "na_values": [""],
        "index_col": False,
    }
    try:
        if separator is None:
            line = pd.read_csv(path, sep="\0", header=None, nrows=1, dtype=str, **options).iloc[0, 0]
            separator = max("\t,;", key=str(line).count)
        options["sep"] = separator
        # the header is read by itself because pandas would rename the second of two equal names
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, low_memory=False, **_EXACT, **options)
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise _unreadable(path, error, "give every row as many cells as the header has") from None
    except pd.errors.EmptyDataError:
        raise InputError("the file is empty", where=str(path)) from None
    except (OSError, EOFError) as error:
        raise _unreadable(path, error, "check that the file is whole and may be read") from None
    names = _headers(path, list(header.iloc[0]))
    if len(names) == 1 and separator == "," and ";" in names[0]:
        raise InputError(
            "the columns are separated by semicolons",
            where=str(path),
            remedy="save it with commas, or as .txt",
        )
    return frame.set_axis(names, axis=1)


def _headers(path: Path, raw: Sequence[object]) -> list[str]:
    """Stripped header texts; a header without text gets a number."""
    names = ["" if pd.isna(header) else str(header).strip() for header in raw]  # type: ignore[call-overload]
    names = [name or f"Unnamed: {number}" for number, name in enumerate(names)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        columns = ", ".join(str(number + 1) for number, name in enumerate(names) if name == twice[0])
        raise InputError(
            f"the header '{twice[0]}' stands over columns {columns}",
            where=str(path),
            remedy="rename all but one",
        )
    return names
