"""A table that a program holds in memory, taken as a file would be: pandas, or anything that speaks Arrow."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.errors import InputError, readable
from engine.tables.headers import column_names, without_blank_rows
from engine.tables.parquet import single_values
from engine.tables.read import FileTable

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW_STREAM = "__arrow_c_stream__"
_REMEDY = "pass a data frame of pandas or polars, or a table of Arrow, with one value a cell"


def frame_table(data: object, label: str) -> FileTable:
    """A copy of a data frame as a table, with a hash of its columns; later changes of the frame do not reach it.

    Parameters
    ----------
    data : DataFrame of pandas, or an object with ``__arrow_c_stream__`` (polars, Arrow, DuckDB and others)
        A named index of pandas becomes columns, as ``reset_index`` has them; one without a name is left out.
    label : str
        What messages call it.

    Raises
    ------
    InputError
        For anything else, for no rows, headers twice, and cells that are no single values.
    """
    with readable(label, remedy=_REMEDY):
        frame = _as_pandas(data, label)
    names = column_names(list(frame.columns), source=label)
    with readable(label, remedy=_REMEDY):
        columns = {name: _plain(frame.iloc[:, place], name, label) for place, name in enumerate(names)}
    table = without_blank_rows(pd.DataFrame(columns, columns=names))
    if table.empty:
        raise InputError("the table has no rows", where=label, remedy="pass one row a unit and year")
    return FileTable(table, _hash(table), label)


def _as_pandas(data: object, label: str) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        named = [name for name in data.index.names if name is not None]
        frame = data.reset_index(level=named) if named else data
        return frame.reset_index(drop=True)
    if hasattr(data, _ARROW_STREAM):
        import pyarrow as pa

        return _of_arrow(pa.table(data), label)
    raise InputError(f"is of type {type(data).__name__}, no data frame", where=label, remedy=_REMEDY)


def _of_arrow(table: pa.Table, label: str) -> pd.DataFrame:
    names = [str(name) for name in table.column_names]
    series = [_to_pandas(column, name, label) for column, name in zip(table.columns, names, strict=True)]
    return (
        pd.concat(series, axis=1, keys=range(len(series))).set_axis(names, axis=1)
        if series
        else pd.DataFrame()
    )


def _to_pandas(column: pa.ChunkedArray, name: str, label: str) -> pd.Series:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values = single_values(column, name, source=label)
    if values is None:
        raise InputError(f"column '{name}' holds bytes, not text or numbers", where=label, remedy=_REMEDY)
    return values.to_pandas()


def _plain(cells: pd.Series, name: str, label: str) -> pd.Series:
    """The column with values of numpy or text, as those of a file are; objects stay what they are."""
    if cells.dtype != object:
        import pyarrow as pa

        return _to_pandas(pa.chunked_array([pa.Array.from_pandas(cells)]), name, label)
    for row, cell in enumerate(cells):
        if not isinstance(cell, Hashable) or isinstance(cell, tuple | frozenset | bytes):
            raise InputError(
                f"column '{name}' holds a value of type {type(cell).__name__} in row {row}",
                where=label,
                remedy=_REMEDY,
            )
    return cells.copy()


def _hash(frame: pd.DataFrame) -> str:
    """sha256 of headers, types and values, in their order; of values of mixed type with the type of each."""
    digest = hashlib.sha256()
    for name in frame.columns:
        cells = frame[name]
        digest.update(f"{name!r} {cells.dtype}\n".encode("utf-8", "surrogatepass"))
        if cells.dtype == object:
            for cell in cells:
                digest.update(f"{type(cell).__name__} {cell!r}\n".encode("utf-8", "surrogatepass"))
        else:
            hashes = pd.util.hash_pandas_object(cells, index=False)
            digest.update(np.asarray(hashes).tobytes())
    return digest.hexdigest()
