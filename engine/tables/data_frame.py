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
_REMEDY = "pass a data frame of pandas or polars, or a table of Arrow"
_CELLS_REMEDY = "give each cell one number, text, date or truth value"


def frame_table(data: object, label: str) -> FileTable:
    """A copy of a data frame as a table, with a hash of its columns; later changes of the frame do not reach it.

    Parameters
    ----------
    data : DataFrame of pandas, or an object with ``__arrow_c_stream__`` (polars, Arrow, DuckDB and others)
        A named index of pandas becomes columns, as ``reset_index`` has them; one without a name is left out. A
        table that this function made stays as it is.
    label : str
        How messages call it.

    Raises
    ------
    InputError
        For anything else, for no rows and for headers twice. A column whose cells are no single values is refused
        where a job reads it (`FileTable.broken`).
    """
    import pyarrow as pa

    if isinstance(data, FileTable):
        return data
    with readable(label, remedy=_REMEDY):
        columns = _columns(data, label)
    names = column_names([name for name, _ in columns], source=label)
    broken: dict[str, str] = {}
    values: dict[str, pd.Series] = {}
    for name, (_, cells) in zip(names, columns, strict=True):
        try:
            values[name] = _plain(cells, name, label)
        except (TypeError, ValueError, pa.ArrowException) as error:
            reason = error.problem if isinstance(error, InputError) else str(error)
            broken[name], values[name] = reason, pd.Series([None] * len(cells), dtype=object)
    table = without_blank_rows(pd.DataFrame(values, columns=names))
    if table.empty:
        raise InputError("the table has no rows", where=label, remedy="pass one row a unit and year")
    return FileTable(table, frame_hash(table), label, broken=broken, broken_remedy=_CELLS_REMEDY)


def _columns(data: object, label: str) -> list[tuple[object, pd.Series | pa.ChunkedArray]]:
    """Headers and columns, of pandas or Arrow."""
    if isinstance(data, pd.DataFrame):
        names = [name for name in data.index.names if name is not None and name not in data.columns]
        frame = data.reset_index(level=names) if names else data
        frame = frame.reset_index(drop=True)
        return [(name, frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
    if hasattr(data, _ARROW_STREAM):
        import pyarrow as pa

        table = pa.table(data)
        return list(zip(table.column_names, table.columns, strict=True))
    raise InputError(f"is of type {type(data).__name__}, no data frame", where=label, remedy=_REMEDY)


def _plain(cells: pd.Series | pa.ChunkedArray, name: str, label: str) -> pd.Series:
    """A column with values of numpy or text, as those of a file are; objects stay what they are."""
    import pyarrow as pa

    if not isinstance(cells, pd.Series):
        return _to_pandas(cells, name, label)
    if isinstance(cells.dtype, pd.SparseDtype):
        cells = pd.Series(cells.to_numpy())
    if isinstance(cells.dtype, pd.PeriodDtype):
        cells = cells.astype(object)
    if cells.dtype != object:
        return _to_pandas(pa.chunked_array([pa.Array.from_pandas(cells)]), name, label)
    for cell in cells:
        if not isinstance(cell, Hashable) or isinstance(cell, tuple | frozenset | bytes | complex):
            raise InputError(f"column '{name}' holds values of type {type(cell).__name__}")
    return cells.copy()


def _to_pandas(column: pa.ChunkedArray, name: str, label: str) -> pd.Series:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        kind = column.type.value_type
        column = column.cast(pa.large_string() if pa.types.is_string_view(kind) else kind)
    values = single_values(column, name, source=label)
    if values is None:
        raise InputError(f"column '{name}' holds bytes, not text or numbers")
    return values.to_pandas()


def frame_hash(frame: pd.DataFrame) -> str:
    """sha256 of headers, types and values, in their order; of values of mixed type with the type of each."""
    digest = hashlib.sha256()
    for name in frame.columns:
        cells = frame[name]
        digest.update(f"{name!r} {cells.dtype}\n".encode("utf-8", "surrogatepass"))
        if cells.dtype == object:
            for cell in cells:
                digest.update(f"{type(cell).__name__} {cell!r}\n".encode("utf-8", "surrogatepass"))
        elif isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "biuf":
            digest.update(cells.to_numpy().tobytes())
        else:
            digest.update(np.asarray(pd.util.hash_pandas_object(cells, index=False)).tobytes())
    return digest.hexdigest()


def storable(table: FileTable) -> pd.DataFrame:
    """A table of `frame_table` such that Parquet holds it: truth values as 0 and 1, other mixed cells as text."""
    frame = table.frame.copy()
    for name in frame.columns:
        if frame[name].dtype != object:
            continue
        kinds = {type(cell) for cell in frame[name].dropna()}
        if kinds <= {bool, int, float}:
            frame[name] = frame[name].astype(float)
        else:
            frame[name] = frame[name].map(str, na_action="ignore").astype("str")
    return frame
