"""A table from disk as a data frame, read as jobs read it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from engine.api.arguments import checked_arguments, checked_path
from engine.report.language.wording import ENGLISH
from engine.spec.data import TableFile
from engine.spec.data_frames import plain
from engine.spec.validate import validate
from engine.tables.headers import FileLayout
from engine.tables.read import read_file
from engine.tables.written_numbers import DecimalSign


@checked_arguments("sheet", "encoding", "header", "skip_rows", "decimal")
def read(
    path: str | Path,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    header: int | None = None,
    skip_rows: int | Sequence[int] | None = None,
    decimal: DecimalSign | None = None,
) -> pd.DataFrame:
    """A table of Parquet, CSV, Excel or Stata as a data frame, by the rules of jobs.

    Parameters
    ----------
    path : path
        Names of digits in a text file are numbers in the frame: 01 is 1. A job that names the file itself keeps them.
    sheet, encoding, header, skip_rows : optional
        As under ``panel`` in a job file.
    decimal : {'point', 'comma'}, optional
        Decimal sign of numbers in text. With ``comma`` they stay text here, since 1.234 is no number with decimals;
        the job that reads the frame states ``decimal="comma"`` too.

    Returns
    -------
    DataFrame
        Headers stripped, rows of blanks left out; ``attrs["labels"]`` has the labels of variables where the file
        has any. What a reader should know of the file is a UserWarning.

    Raises
    ------
    InputError
        For whatever is wrong with the file, or with an argument, which the block of a job refuses too.
    """
    file = checked_path(path, where="read: path")
    options = {
        "sheet": sheet, "encoding": encoding, "header": header, "skip_rows": skip_rows, "decimal": decimal
    }  # fmt: skip
    block = {
        "source": str(file),
        **{key: plain(value) for key, value in options.items() if value is not None},
    }
    stated = validate(TableFile, block, file="")
    rows = stated.skip_rows
    layout = FileLayout(
        sheet=stated.sheet,
        encoding=stated.encoding,
        header=stated.header,
        skip_rows=tuple(rows) if isinstance(rows, list) else rows,
        decimal=stated.decimal,
    )
    table = read_file(file, layout)
    for note in table.notes:
        warnings.warn(ENGLISH.note(note), stacklevel=2)
    frame = table.frame.reset_index(drop=True)
    frame.attrs["labels"] = dict(table.labels)
    return frame
