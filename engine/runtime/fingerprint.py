"""Fingerprints of values, 32 hexadecimal digits: equal for equal content in any process, on any machine."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.arrays import AnyArray


def fingerprint(*values: object) -> str:
    """Digest of any nesting of dataclasses, mappings, sequences, arrays, numbers, text and named functions.

    Fields of dataclasses that do not count in comparisons do not count here. Floats count by their bits.

    Raises
    ------
    TypeError
        For an object whose content cannot be seen.
    """
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, values)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Every kind begins with its own letter and tells its length, so that no two values read the same."""
    if value is None or isinstance(value, (bool, np.bool_)):
        digest.update(b"n" if value is None else b"t" if value else b"f")
    elif isinstance(value, str):
        _bytes(digest, b"s", value.encode())
    elif isinstance(value, bytes):
        _bytes(digest, b"b", value)
    elif isinstance(value, int):
        _bytes(digest, b"i", str(value).encode())
    elif isinstance(value, float):
        digest.update(b"d" + struct.pack("<d", value))
    elif isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        _bytes(digest, b"c", f"{value.__module__}.{value.__qualname__}".encode())
    elif isinstance(value, Mapping):
        _bytes(digest, b"m", str(len(value)).encode())
        for key, element in value.items():
            _feed(digest, key)
            _feed(digest, element)
    elif isinstance(value, (range, slice)):
        _bytes(digest, b"r", repr(value).encode())
    elif isinstance(value, Set):
        _feed(digest, sorted(fingerprint(element) for element in value))
    elif isinstance(value, Path):
        _bytes(digest, b"p", str(value).encode())
    elif is_dataclass(value):
        _named(digest, value, {f.name: getattr(value, f.name) for f in fields(value) if f.compare})
    elif isinstance(value, Sequence):
        _bytes(digest, b"l", str(len(value)).encode())
        for element in value:
            _feed(digest, element)
    elif hasattr(value, "__array__"):
        _array(digest, np.asarray(value))
    elif hasattr(value, "__dict__"):
        _named(digest, value, vars(value))
    else:
        raise TypeError(f"no fingerprint of {type(value).__qualname__}")


def _named(digest: Any, value: Any, content: Mapping[str, Any]) -> None:
    _feed(digest, type(value))
    _feed(digest, dict(content))


def _array(digest: Any, value: AnyArray) -> None:
    if value.dtype.hasobject:
        _bytes(digest, b"o", str(value.shape).encode())
        for element in value.ravel().tolist():
            _feed(digest, element)
        return
    _bytes(digest, b"a", f"{value.dtype.str}{value.shape}".encode())
    digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)


def _bytes(digest: Any, kind: bytes, content: bytes) -> None:
    digest.update(kind + struct.pack("<q", len(content)) + content)
