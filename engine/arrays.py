"""Arrays of the numerics by what they hold: the only place where an array type is spelled out.

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
