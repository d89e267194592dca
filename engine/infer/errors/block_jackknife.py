"""Jackknife errors by groups of cities: leave out all cities of a group, with every pair that one of them is in.

    V = (M-1)/M sum_m (b_(-m) - b)(b_(-m) - b)',   M - 1 degrees of freedom

with M the groups that have a city in a pair of the sample. Dependence is free within a group, and between the pairs
of a group's cities and any others; pairs without a group in common are independent. With each city a group of its own
it is the jackknife of `engine.infer.errors.jackknife`. Source: MacKinnon, Nielsen and Webb (2023); that a group leaves
as rows and columns of the array of pairs at once is this project's.

A code is ``block_jackknife:COLUMN``, the column of the panel with the group of each city.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import ErrorFamily, ErrorType, marked_names
from engine.infer.errors.jackknife import leave_out_covariance
from engine.notes import Note

NAME = "block_jackknife"
_FORM = "{block_jackknife: {by: column}}"


def is_block_jackknife(code: str) -> bool:
    """Whether a code is one of this type."""
    return code.partition(":")[0] == NAME


def column_of(code: str) -> str:
    """The column with the group of each city, from a code of this type."""
    return code.partition(":")[2]


def _code_of(options: Mapping[object, object]) -> str:
    unknown = sorted(set(options) - {"by"}, key=str)
    if unknown or "by" not in options:
        problem = f"unknown key '{unknown[0]}'" if unknown else "by is missing"
        raise ValueError(f"{NAME}: {problem}; it is {_FORM}")
    column = options["by"]
    if not isinstance(column, str) or not column.strip():
        raise ValueError(f"{NAME}.by must be the name of a column (got {column!r})")
    return f"{NAME}:{column.strip()}"


def _error_of(code: str) -> ErrorType:
    return ErrorType(partial(_covariance, code), partial(_degrees_of_freedom, code), robust=True)


def _covariance(code: str, estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    steps = estimate.without_group[code] - estimate.values
    undefined = np.isnan(steps)
    notes: tuple[Note, ...] = ()
    if undefined.any():
        n_samples, terms = (
            int(undefined.any(axis=1).sum()),
            marked_names(estimate, np.asarray(undefined.any(axis=0))),
        )
        notes = (
            Note.of("group_left_out_unidentified", count=n_samples, column=column_of(code), terms=terms),
        )
    return leave_out_covariance(steps, len(steps)), notes


def _degrees_of_freedom(code: str, estimate: Estimate) -> int:
    return len(estimate.without_group[code]) - 1


FAMILY = ErrorFamily(
    NAME,
    _FORM,
    schema={
        "type": "object",
        "properties": {"by": {"type": "string", "minLength": 1}},
        "required": ["by"],
        "additionalProperties": False,
    },
    code_of=_code_of,
    options_of=lambda code: {"by": column_of(code)},
    error_of=_error_of,
)
