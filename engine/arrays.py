"""Arrays of the numerics by what they hold: the only place where an array type is spelled out, and a shape checked.

Shapes stand in the docstrings of those who take and return them; precision is float64 throughout (`engine.float64`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Integers = np.ndarray[Any, np.dtype[np.int32]]
LongIntegers = np.ndarray[Any, np.dtype[np.int64]]
Words = np.ndarray[Any, np.dtype[np.uint64]]
AnyArray = np.ndarray[Any, Any]
AnyIntegers = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]


def check_shape(name: str, array: AnyArray, expected: tuple[int | None, ...]) -> None:
    """Hold an array that enters a room to its shape; None stands for any length.

    Numpy broadcasts shapes that disagree, and JAX reads the last row for every row that is not there.

    Raises
    ------
    ValueError
        Names the array, the expected shape and its own.
    """
    agrees = len(array.shape) == len(expected) and all(
        length is None or size == length for size, length in zip(array.shape, expected, strict=True)
    )
    if not agrees:
        lengths = ", ".join("any" if length is None else str(length) for length in expected)
        raise ValueError(f"expected {name} [{lengths}], got {list(array.shape)}")
