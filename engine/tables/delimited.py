"""Text tables (CSV, TSV): separators that do not fit, files that were cut, rows numbered as in the file."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.notes import Note
from engine.tables import limits
from engine.tables.encodings import to_utf8
from engine.tables.file_bytes import FileBytes, decompressed, refuse_other_kind
from engine.tables.headers import FileLayout, column_names, row_index

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_DECIMAL_COMMA = re.compile(rb"(?:^|[;\t|])\s*-?\d+,\d+\s*(?=[;\t|\r\n]|$)", re.MULTILINE)
_QUOTED = re.compile(rb'(?:[^"]++|"")*+"')  # what follows the mark that opens a cell
_LINE_END = re.compile(rb"\r\n|\r|\n")
# What pandas says of a row that is too long.
_CELLS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_PLAIN_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_EXACT = 2.0**53  # from here on a float stands for several whole numbers
_HEAD = 2**20  # bytes in which the separator is looked for
_OPTIONS: dict[str, Any] = {
    "encoding": "utf-8",
    "skip_blank_lines": False,  # so that the row numbers of messages are those of the file
    "keep_default_na": False,
    "na_values": [""],
    "index_col": False,
}
if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
    # pandas 3.1 reads every float to its nearest double and deprecates the option; before, it is off by default
    _OPTIONS["float_precision"] = "round_trip"


def read_delimited(
    file: FileBytes, ending: str, layout: FileLayout, *, compressed: bool
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """The table of a text file, and notes on it; ``index + FIRST_ROW`` numbers the rows of the file."""
    content = decompressed(file) if compressed else file.content
    refuse_other_kind(content, source=file.label)
    text = to_utf8(content, layout, source=file.label).rstrip(b"\x1a")  # DOS ends texts so
    if not text.strip():
        raise InputError("the file is empty", where=file.label)
    separator = _separator(text, SEPARATORS[ending], layout, source=file.label)
    names = column_names(_header(text, separator, layout, source=file.label), source=file.label)
    lines = max(text.count(b"\n"), text.count(b"\r"))
    limits.check_shape(file.path, rows=lines, columns=len(names), backed=len(text))
    _refuse_cut(text, separator, len(names), source=file.label)
    frame = _body(text, separator, layout, source=file.label)
    if layout.decimal == "comma":
        frame = frame.apply(_whole_numbers)
    frame = _with_names(frame, names, text, separator, layout)
    frame.index = row_index(layout, len(frame))
    notes = short_rows(text, separator, len(names), layout, name=file.path.name)
    if max(layout.skipped, default=0) > layout.header_row + len(frame):
        notes += layout.rows_beyond(_last_row(text), file=file.path.name)
    return frame.set_axis(names, axis=1), notes


def _separator(text: bytes, separator: str | None, layout: FileLayout, *, source: str) -> str:
    """Separator of the columns: commas in a .csv, tabs in a .tsv, either or semicolons in a .txt.

    Semicolons in a .csv where decimal commas are stated: so Excel saves it where decimals have commas.
    """
    lines = _rows(text[:_HEAD])
    row = layout.header_row
    if row > len(lines) or not lines[row - 1].strip():
        raise InputError(
            f"row {row}, which should be the header, is blank",
            where=source,
            remedy=f"state {layout.named('header')}: the number of the row that has the headers",
        )
    header = lines[row - 1].decode("utf-8", "replace")
    if separator is None:
        separator = max("\t,;", key=header.count)
        if separator not in header and len(header.split()) > 1 and "|" not in header and '"' not in header:
            raise InputError(
                "the headers are separated by blanks or not at all",
                where=source,
                remedy="separate columns by tabs, commas or semicolons",
            )
        return separator
    for candidate in sorted(set(_NAMES) - {separator}, key=header.count, reverse=True):
        if header.count(candidate) > header.count(separator) and _fits(
            lines[row - 1 :], candidate, separator
        ):
            if candidate == ";" and separator == "," and layout.decimal == "comma":
                return candidate
            raise _misplaced(text, candidate, separator, layout, source=source)
    return separator


def _misplaced(text: bytes, candidate: str, separator: str, layout: FileLayout, *, source: str) -> InputError:
    """Columns that a candidate separates instead of the separator of the ending."""
    problem, remedy = (
        f"the columns are separated by {_NAMES[candidate]}",
        "save it with commas between columns",
    )
    if candidate != "," and _DECIMAL_COMMA.search(text[:_HEAD]):
        problem += " and decimals are written with commas"
        remedy += " and points as decimals (1234.5)"
        if layout.decimal != "comma":
            key = layout.named("decimal")
            as_it_is = (candidate, separator) == (";", ",")
            remedy = (
                f"{remedy}, or state {key}: comma"
                if as_it_is
                else f"{remedy}, or as .txt and state {key}: comma"
            )
            return InputError(problem, where=source, remedy=remedy)
    return InputError(problem, where=source, remedy=f"{remedy}, or as .txt")


def _rows(head: bytes) -> list[bytes]:
    """Rows of the beginning of a text; a quoted cell may have several lines."""
    rows: list[list[bytes]] = []
    quoted = False
    for line in head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if quoted:
            rows[-1].append(line)
        else:
            rows.append([line])
        quoted ^= line.count(b'"') % 2 == 1
    return [b"\n".join(lines) for lines in rows]


def _last_row(text: bytes) -> int:
    """Number of the last row of a text."""
    return len(_rows(text.removesuffix(b"\n").removesuffix(b"\r")))


def _fits(lines: list[bytes], candidate: str, separator: str) -> bool:
    """True where the next row has as many candidates as the header, and the stated separator does worse."""
    counts = [(line.count(candidate.encode()), line.count(separator.encode())) for line in lines[:2]]
    return len({count for count, _ in counts}) == 1 and (counts[0][1] == 0 or len({c for _, c in counts}) > 1)


def _header(text: bytes, separator: str, layout: FileLayout, *, source: str) -> list[object]:
    # the header is read by itself because pandas would rename the second of two equal names
    skipped = layout.header_row - 1
    try:
        frame = pd.read_csv(
            io.BytesIO(text), sep=separator, header=None, nrows=1, dtype=str, skiprows=skipped, **_OPTIONS
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"there is no row {layout.header_row} with headers", where=source) from None
    except pd.errors.ParserError:
        _refuse_unclosed(text, separator, source=source)
        raise
    return list(frame.iloc[0])


def _body(text: bytes, separator: str, layout: FileLayout, *, source: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return _parsed(text, separator, layout, as_text=layout.decimal == "comma")  # 1.234 is 1234 then
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        if "EOF inside string" in str(error):
            _refuse_unclosed(text, separator, source=source)
        reason = str(error).strip().splitlines()[0]
        counts = _CELLS.search(reason)
        problem = "row {1} has {2} cells, the header has {0}".format(*counts.groups()) if counts else ""
        if reason.startswith("Length of header"):
            problem = f"row {layout.header_row + 1} has more cells than the header"
        raise InputError(
            problem or f"cannot be read ({reason})",
            where=source,
            remedy="give every row as many cells as the header has"
            + (
                ""
                if layout.header
                else f"; if the headers stand further down, state {layout.named('header')}"
            ),
        ) from error
    except pd.errors.EmptyDataError:
        raise InputError("the file is empty", where=source) from None


def _parsed(
    text: bytes, separator: str, layout: FileLayout, *, as_text: bool, columns: list[int] | None = None
) -> pd.DataFrame:
    """The body of a table, or some of its columns, by position."""
    rows_above = range(layout.header_row - 1)
    frame: pd.DataFrame = pd.read_csv(
        io.BytesIO(text),
        sep=separator,
        low_memory=False,
        skiprows=[*rows_above, *(number - 1 for number in sorted(layout.skipped))],
        usecols=columns,
        dtype=str if as_text else None,
        **_OPTIONS,
    )
    return frame


def _whole_numbers(column: pd.Series) -> pd.Series:
    """A column of text as numbers where every cell is a whole number: codes and years are then what they always are."""
    return pd.to_numeric(column) if column.dropna().str.fullmatch(r"-?[0-9]{1,15}").all() else column


def _with_names(
    frame: pd.DataFrame, headers: Sequence[str], text: bytes, separator: str, layout: FileLayout
) -> pd.DataFrame:
    """The frame with columns of names as the file writes them, where values do not keep that: 01, 1.10, 1e1, TRUE."""
    places = [
        place
        for place, header in enumerate(headers)
        if not layout.names.isdisjoint((header, place)) and _is_typed(frame.iloc[:, place])
    ]
    if not places:
        return frame
    columns = [column for _, column in frame.items()]
    texts = _parsed(text, separator, layout, as_text=True, columns=places)
    for place, (_, written) in zip(places, texts.items(), strict=True):
        distinct = pd.unique(written.dropna())
        if _is_inexact(columns[place]) or not all(_PLAIN_WHOLE.fullmatch(cell.strip()) for cell in distinct):
            columns[place] = written
    return pd.concat(columns, axis=1)


def _is_typed(column: pd.Series) -> bool:
    """Numbers, also those of more digits than any type has, and truth values."""
    is_object = pd.api.types.is_object_dtype(column.dtype)
    return pd.api.types.is_numeric_dtype(column.dtype) or (
        is_object and pd.api.types.infer_dtype(column) in ("integer", "boolean")
    )


def _is_inexact(column: pd.Series) -> bool:
    """Whole numbers beside empty cells, of more digits than such a column keeps."""
    return pd.api.types.is_float_dtype(column.dtype) and bool((column.abs() >= _EXACT).any())


def short_rows(
    text: bytes, separator: str, n_columns: int, layout: FileLayout, *, name: str
) -> tuple[Note, ...]:
    """A note of rows that end before the last column: their other cells are read as missing."""
    whole = text.rstrip(b"\r\n")
    n_lines = max(whole.count(b"\n"), whole.count(b"\r")) + 1
    if text.count(separator.encode()) >= n_lines * (n_columns - 1):
        return ()  # as many as full rows need; to look at each row takes long
    rows = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), delimiter=separator)
    short = [
        (number, len(cells))
        for number, cells in enumerate(rows, start=1)
        if number > layout.header_row and number not in layout.skipped and 0 < len(cells) < n_columns
    ]
    if not short:
        return ()
    row, n_cells = short[0]
    return (Note.of("short_rows", file=name, count=len(short), row=row, cells=n_cells, columns=n_columns),)


def _refuse_unclosed(text: bytes, separator: str, *, source: str) -> None:
    """Raises InputError where a cell begins with a quotation mark that nothing closes."""
    opens = re.compile(rb"(?:\A|[\r\n]|%b)\"" % re.escape(separator.encode()))
    position = 0
    while opening := opens.search(text, position):
        closing = _QUOTED.match(text, opening.end())
        if closing is None:
            line = len(_LINE_END.findall(text, 0, opening.end())) + 1
            raise InputError(
                f"the quotation mark that opens a cell in line {line} is not closed",
                where=source,
                remedy="close it, or get the whole file again if it was cut; where the mark belongs to the text, put "
                'the cell in quotation marks and write it twice: ""',
            )
        position = closing.end()


def _refuse_cut(text: bytes, separator: str, n_columns: int, *, source: str) -> None:
    """Raises InputError where the last row lacks cells and the file stops there, without a line end."""
    if text.endswith((b"\n", b"\r")):
        return
    end = len(text)
    for _ in range(1000):  # lines of one quoted cell
        end = max(text.rfind(b"\n", 0, end), text.rfind(b"\r", 0, end))
        last_row = text[end + 1 :]
        if last_row.count(b'"') % 2 == 0 or end < 0:
            break
    if last_row.count(b'"') % 2:
        _refuse_unclosed(text, separator, source=source)
    n_cells = len(
        next(csv.reader(io.StringIO(last_row.decode("utf-8"), newline=""), delimiter=separator), [])
    )
    if 0 < n_cells < n_columns:
        raise InputError(
            f"the last row has {n_cells} of {n_columns} cells, and the file stops within it: it was cut",
            where=source,
            remedy="get the whole file again; if it is whole, end the last row with a line break",
        )
