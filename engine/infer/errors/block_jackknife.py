"""Jackknife errors by blocks of cities: leave out all cities of a block, with every pair that one of them is in.

    V = (M-1)/M sum_m (b_(-m) - b)(b_(-m) - b)',   M - 1 degrees of freedom

with M the blocks that have a city in a pair of the sample. Dependence is free within a block, and between the pairs
of a block's cities and any others; pairs without a block in common are independent. With each city a block of its own
it is the jackknife of `engine.infer.errors.jackknife`. Blocks are the groups of a column, or groups of cities no two
of which are farther apart than a distance.

Along an order of the n cities, blocks move: each city and the next l - 1, the first after the last, so that every city
is in l of n blocks, and

    V = (n-l)/(n l) sum_m (b_(-m) - b)(b_(-m) - b)',   n/l - 1 degrees of freedom

which is the above where blocks do not overlap. Two cities that are d apart in the order are in (l-d)/l as many blocks
together as one alone: a Bartlett kernel along the order. Sources: Kunsch (1989) for moving blocks, MacKinnon, Nielsen
and Webb (2023); that a block leaves as rows and columns of the array of pairs at once is this project's.

A code is ``block_jackknife:COLUMN``, the column of the panel with the group of each city,
``block_jackknife:distance=KILOMETRES`` or ``block_jackknife:order=COLUMN:LENGTH``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import Degrees, ErrorFamily, ErrorType, marked_names
from engine.infer.errors.jackknife import leave_out_covariance
from engine.infer.errors.spatial import FARTHEST_KM
from engine.notes import Note

NAME = "block_jackknife"
_FORM = "{block_jackknife: {by: column}, {distance: km} or {order: column, length: cities}}"
_DISTANCE, _ORDER = "distance=", "order="


@dataclass(frozen=True)
class JackknifeBlocks:
    """How cities form blocks: by a column, by distance, or moving along the order of a column; the others are empty.

    Attributes
    ----------
    by : str
    distance : float
        In km, the most between two cities of a block.
    order : str
    length : int
        Cities of a block along the order.
    """

    by: str = ""
    distance: float = 0.0
    order: str = ""
    length: int = 1


def is_block_jackknife(code: str) -> bool:
    """Whether a code is one of this type."""
    return code.partition(":")[0] == NAME


def blocks_of(code: str) -> JackknifeBlocks:
    """The blocks of a code; of another type's, none."""
    name, _, values = code.partition(":")
    if name != NAME:
        return JackknifeBlocks()
    if values.startswith(_DISTANCE):
        return JackknifeBlocks(distance=float(values.removeprefix(_DISTANCE)))
    if values.startswith(_ORDER):
        column, _, length = values.removeprefix(_ORDER).rpartition(":")
        return JackknifeBlocks(order=column, length=int(length))
    return JackknifeBlocks(by=values)


def _code_of(options: Mapping[object, object]) -> str:
    allowed = {"order", "length"} if "order" in options else {"distance"} if "distance" in options else {"by"}
    unknown = sorted(set(options) - allowed, key=str)
    missing = sorted(allowed - set(options))
    if unknown or missing:
        problem = f"unknown key '{unknown[0]}'" if unknown else f"{missing[0]} is missing"
        raise ValueError(f"{NAME}: {problem}; it is {_FORM}")
    if "distance" in options:
        distance = options["distance"]
        if (
            isinstance(distance, bool)
            or not isinstance(distance, int | float)
            or not 0 < distance <= FARTHEST_KM
        ):
            raise ValueError(f"{NAME}.distance must be km above 0, up to {FARTHEST_KM:,} (got {distance!r})")
        return f"{NAME}:{_DISTANCE}{distance:.12g}"
    if "order" in options:
        length = options["length"]
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(f"{NAME}.length must be a number of cities, 1 or more (got {length!r})")
        return f"{NAME}:{_ORDER}{_column(options, 'order')}:{length}"
    column = _column(options, "by")
    if column.startswith((_DISTANCE, _ORDER)):
        raise ValueError(f"{NAME}.by: rename the column '{column}', which reads like another form")
    return f"{NAME}:{column}"


def _column(options: Mapping[object, object], key: str) -> str:
    column = options[key]
    if not isinstance(column, str) or not column.strip():
        raise ValueError(f"{NAME}.{key} must be the name of a column (got {column!r})")
    return column.strip()


def _options_of(code: str) -> Mapping[object, object] | None:
    try:
        blocks = blocks_of(code)
    except ValueError:
        return None
    if blocks.distance:
        return {"distance": blocks.distance}
    return {"order": blocks.order, "length": blocks.length} if blocks.order else {"by": blocks.by}


def _error_of(code: str) -> ErrorType:
    return ErrorType(partial(_covariance, code), partial(_degrees_of_freedom, code), robust=True)


def _covariance(code: str, estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    steps, blocks = estimate.without_group[code] - estimate.values, blocks_of(code)
    undefined = np.isnan(steps)
    notes: tuple[Note, ...] = ()
    if undefined.any():
        n_samples = int(undefined.any(axis=1).sum())
        terms = marked_names(estimate, np.asarray(undefined.any(axis=0)))
        if blocks.by:
            note = Note.of("group_left_out_unidentified", count=n_samples, column=blocks.by, terms=terms)
        else:
            note = Note.of("block_left_out_unidentified", count=n_samples, terms=terms)
        notes = (note,)
    n_blocks, length = len(steps), blocks.length
    overlap = (n_blocks - length) / (n_blocks - 1) / length
    return overlap * leave_out_covariance(steps, n_blocks), notes


def _degrees_of_freedom(code: str, estimate: Estimate) -> Degrees:
    n_blocks, length = len(estimate.without_group[code]), blocks_of(code).length
    return n_blocks - 1 if length == 1 else np.full(len(estimate.values), n_blocks / length - 1)


FAMILY = ErrorFamily(
    NAME,
    _FORM,
    schema={
        "type": "object",
        "properties": {
            "by": {"type": "string", "minLength": 1},
            "distance": {"type": "number", "exclusiveMinimum": 0, "maximum": FARTHEST_KM},
            "order": {"type": "string", "minLength": 1},
            "length": {"type": "integer", "minimum": 1},
        },
        "oneOf": [{"required": ["by"]}, {"required": ["distance"]}, {"required": ["order", "length"]}],
        "dependentRequired": {"length": ["order"], "order": ["length"]},
        "additionalProperties": False,
    },
    code_of=_code_of,
    options_of=_options_of,
    error_of=_error_of,
)
