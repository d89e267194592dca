"""Parquet tables: columns of single values, whatever the metadata beside them say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from engine.errors import InputError
from engine.notes import Note
from engine.tables import limits
from engine.tables.file_bytes import FileBytes
from engine.tables.headers import column_names

if TYPE_CHECKING:
    import pyarrow as pa

_UNNAMED_INDEX = "__index_level_"  # pandas stores an index without a name so
_FEW_CELLS = 1_000_000
"""Cells that one thread reads: where a process ends while threads still start, it is aborted, not ended."""


def read_parquet(file: FileBytes) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """The table and what a reader of the results must know of it.

    The metadata of pandas are not trusted with types: those of the columns hold.

    Raises
    ------
    InputError
        For lists, structures and other nested columns, and for text that is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, metadata = (
        pq.read_schema(pa.BufferReader(file.content)),
        pq.read_metadata(pa.BufferReader(file.content)),
    )
    backed = limits.PARQUET_CELLS_PER_BYTE * len(file.content)
    limits.check_shape(file.path, rows=metadata.num_rows, columns=metadata.num_columns, backed=backed)
    texts = [name for name, kind in zip(schema.names, schema.types, strict=True) if _is_text(kind)]
    use_threads = metadata.num_rows * metadata.num_columns > _FEW_CELLS
    table = pq.ParquetFile(
        pa.BufferReader(file.content), read_dictionary=texts, page_checksum_verification=True
    ).read(use_threads=use_threads)
    places = [place for place, name in enumerate(table.column_names) if not name.startswith(_UNNAMED_INDEX)]
    names = column_names([table.column_names[place] for place in places], source=file.label)
    index = _named_index(table)
    columns, notes = {}, []
    for place, name in zip(places, names, strict=True):
        values = single_values(table.column(place), name, source=file.label)
        if values is not None and _is_text(schema.types[place]):
            values = _expanded(values, name, source=file.label)
        if values is None:
            notes.append(Note.of("bytes_column", file=file.path.name, column=name))
        else:
            columns[name] = values
    ordered = [*(name for name in index if name in columns), *(name for name in columns if name not in index)]
    frame = pa.table({name: columns[name] for name in ordered}).to_pandas(use_threads=use_threads)
    return frame, tuple(notes)


def single_values(column: pa.ChunkedArray, name: str, *, source: str) -> pa.ChunkedArray | None:
    """A column of single values; None for bytes that are no text; raises InputError for anything else."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        raise InputError(
            f"column '{name}' holds values of type {_short(kind)}, not one number or text a cell",
            where=source,
            remedy="write the file without it, or with one value a cell",
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.large_binary()) if pa.types.is_dictionary(column.type) else column
        try:
            return column.cast(pa.large_string())
        except pa.ArrowInvalid:
            return None
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"column '{name}' is damaged ({str(error).splitlines()[0]})",
            where=source,
            remedy="write the file again; text in Parquet is UTF-8",
        ) from error
    return column


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _expanded(column: pa.ChunkedArray, name: str, *, source: str) -> pa.ChunkedArray:
    """A column of texts, each written out; it is read as codes, since few bytes can hold a long text many times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return column
    n_bytes = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
        n_bytes += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if n_bytes > limits.FILE_BYTES:
        raise InputError(
            f"the texts of column '{name}' have {n_bytes:,} bytes; at most {limits.FILE_BYTES:,} are read",
            where=source,
            remedy="leave the column out, or shorten its texts",
        )
    return column.cast(pa.large_string())


def _short(kind: object) -> str:
    text = str(kind)
    return text if len(text) < 60 else f"{text[:57]}..."


def _named_index(table: pa.Table) -> list[str]:
    """Columns that pandas would make the index; they stand first, as ``reset_index`` has them."""
    try:
        stated = json.loads((table.schema.metadata or {})[b"pandas"])["index_columns"]
        return [name.strip() for name in stated if isinstance(name, str)]
    except (KeyError, ValueError, TypeError):
        return []
