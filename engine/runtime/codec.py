"""Results of tasks as Parquet and back: numbers, text, arrays, and tuples and dataclasses of these.

One row an array, its bytes as they are, so that what is read equals what was written to the bit; how they are
nested stands in the schema's metadata. Reading makes only the types that the caller names: no code is loaded.
"""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.arrays import AnyArray

_NESTING = b"dyadid.nesting"
_SCHEMA = pa.schema([("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", pa.large_binary())])


def encode(value: object) -> bytes:
    """A Parquet file; `TypeError` for what it cannot hold."""
    arrays: list[AnyArray] = []
    nesting = json.dumps(_flat(value, arrays))
    rows = [
        {"dtype": array.dtype.str, "shape": list(array.shape), "data": np.ascontiguousarray(array).tobytes()}
        for array in arrays
    ]
    stream = io.BytesIO()
    schema = _SCHEMA.with_metadata({_NESTING: nesting.encode()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def decode(content: bytes, kind: object) -> object:
    """Inverse of `encode` for a value of type ``kind``; raises ``ValueError`` for any other content."""
    try:
        table = pq.read_table(pa.BufferReader(content))
        arrays = [
            np.frombuffer(row["data"], dtype=np.dtype(row["dtype"])).reshape(row["shape"]).copy()
            for row in table.to_pylist()
        ]
        return _nested(json.loads(table.schema.metadata[_NESTING]), arrays, kind)
    except (pa.ArrowException, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a stored result ({type(error).__name__}: {error})") from None


def nbytes(value: object) -> int:
    """Bytes of the arrays in a result."""
    arrays: list[AnyArray] = []
    _flat(value, arrays)
    return sum(array.nbytes for array in arrays)


def _flat(value: object, arrays: list[AnyArray]) -> object:
    """Nesting as JSON: ``{"array": row}``, ``{"tuple": [...]}``, ``{"fields": {...}}``, or a plain value."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if is_dataclass(value):
        return {"fields": {f.name: _flat(getattr(value, f.name), arrays) for f in fields(value)}}
    if isinstance(value, tuple):
        return {"tuple": [_flat(element, arrays) for element in value]}
    if hasattr(value, "__array__") and not np.asarray(value).dtype.hasobject:
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    raise TypeError(f"results cannot hold {type(value).__qualname__}")


def _nested(node: object, arrays: list[AnyArray], kind: Any) -> object:
    if not isinstance(node, dict):
        return node
    if "float" in node:
        return float.fromhex(node["float"])
    if "array" in node:
        array = arrays[node["array"]]
        return array[()] if array.shape == () else array
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    if "tuple" in node:
        inner = get_args(kind)
        kinds = [inner[0]] * len(node["tuple"]) if inner[1:] in ((), (...,)) else inner
        return tuple(_nested(element, arrays, one) for element, one in zip(node["tuple"], kinds, strict=True))
    hints = get_type_hints(kind)
    return kind(**{name: _nested(element, arrays, hints[name]) for name, element in node["fields"].items()})
