"""How large a table may be: every size that a file can set has a limit here, checked before memory is taken."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError

FILE_BYTES = 4 * 2**30  # of a file, which is held in memory while it is read, and of a text once decompressed
EXPANSION = (
    200  # bytes of text from one compressed byte; tables compress 3 to 50 times, and 1,000 is the most
)
COLUMNS = 16_384  # as many as a sheet has
FREE_CELLS = 20_000_000  # cells that a file of any size may hold; beyond them it must have the bytes for it
PARQUET_CELLS_PER_BYTE = 100  # columns of one value take next to nothing in Parquet
SHEET_BYTES = 256 * 2**20  # of one part of a workbook, decompressed
SHEET_CELLS = 2_000_000  # of all sheets that are read of a workbook; seven seconds
SHEET_TAGS = 20 * SHEET_CELLS  # of XML; a plain cell has four to six
SMALL_PART = 500_000  # elements of a part that lists sheets, styles or relations
CELL_TEXT = 32_767  # characters in a cell, Excel's own limit

_SMALLER = "save the columns that the job reads as Parquet, or as CSV"


def check_file_bytes(path: Path, size: int) -> None:
    """Raises InputError for a file that is too large to be held in memory."""
    if size > FILE_BYTES:
        raise InputError(
            f"the file has {size:,} bytes; at most {FILE_BYTES:,} are read", where=str(path), remedy=_SMALLER
        )


def expanded_bytes(compressed: int) -> int:
    """Bytes that a compressed text of this many bytes may have."""
    return min(FILE_BYTES, 64 * 2**20 + EXPANSION * compressed)


def check_shape(path: Path, *, rows: int, columns: int, backed: int) -> None:
    """Raises InputError for more columns than are read, or cells that the bytes of a file do not account for.

    Parameters
    ----------
    path : Path
        For the message.
    rows, columns : int
    backed : int
        Cells that the size of the file accounts for.
    """
    if columns > COLUMNS:
        raise InputError(
            f"the table has {columns:,} columns; at most {COLUMNS:,} are read",
            where=str(path),
            remedy=_SMALLER,
        )
    if rows * columns > FREE_CELLS + backed:
        raise InputError(
            f"{rows:,} rows of {columns:,} columns are {rows * columns:,} cells, nearly all empty or equal; "
            f"a file of its size may have {FREE_CELLS + backed:,}",
            where=str(path),
            remedy="leave out blank rows and columns that nothing reads",
        )


def too_many_cells(path: Path, excess: str) -> InputError:
    """The message for a workbook of too many cells or bytes."""
    return InputError(
        f"{excess}; of a workbook at most {SHEET_CELLS:,} cells and {SHEET_BYTES:,} bytes a sheet are read",
        where=str(path),
        remedy="clear formats below and beside the table, or save the sheet as CSV or Parquet",
    )
