"""Decimal signs that the columns of a table show, for a column whose own cells leave the sign open."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from engine.tables.written_numbers import DecimalSign, plain_text, written_number

_LEAST_CERTAIN = 1000.0  # a number with decimals from here on shows four digits before its point


class TableSigns:
    """Decimal signs that the columns of a table show, looked for once, when a column leaves its own sign open.

    Parameters
    ----------
    frame : DataFrame
    typed : bool
        Whether the cells have types of their own, as those of Excel do: numbers then do not show how they were
        written. In a text file a column of numbers was written with points, or thousands were.
    """

    def __init__(self, frame: pd.DataFrame | None = None, *, typed: bool = True) -> None:
        self._frame, self._typed = pd.DataFrame() if frame is None else frame, typed

    @cached_property
    def points(self) -> str | None:
        """A column that certainly has decimal points."""
        certain = (str(name) for name, values in self._floats() if _certain(values))
        return next(certain, self._showing("point"))

    @cached_property
    def commas(self) -> str | None:
        """A column that certainly has decimal commas."""
        return self._showing("comma")

    @cached_property
    def floats(self) -> str | None:
        """A column of a text file whose numbers have points, for decimals or for thousands."""
        fractional = (str(name) for name, values in self._floats() if (values != np.floor(values)).any())
        return next(fractional, self.points)

    @cached_property
    def whole_floats(self) -> str | None:
        """A column of a text file with whole numbers that a point may have cut: 30.000, or 30 beside an empty cell.

        Thousands that are read as decimals have three digits before their point: they are below 1000, and not 0.
        """
        cut = (str(name) for name, values in self._floats() if values.abs().between(0, 1000, "neither").any())
        return next(cut, None)

    def _floats(self) -> Iterator[tuple[object, pd.Series]]:
        for place, dtype in enumerate(self._frame.dtypes):
            if not self._typed and pd.api.types.is_float_dtype(dtype):
                values = self._frame.iloc[:, place].dropna()
                yield values.name, values[np.isfinite(values)]

    def _showing(self, sign: DecimalSign) -> str | None:
        for place, dtype in enumerate(self._frame.dtypes):
            if pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype):
                column = self._frame.iloc[:, place]
                if any(_shows(cell, sign) for cell in pd.unique(column.dropna())):
                    return str(column.name)
        return None


def _shows(cell: object, sign: DecimalSign) -> bool:
    if not isinstance(cell, str) or not ("," in cell or "." in cell or "\uff0c" in cell):
        return False
    written = written_number(plain_text(cell))
    return written is not None and written.shows == sign


def _certain(values: pd.Series) -> bool:
    """Whether numbers of a text file have decimals that cannot be three digits of thousands; years may be months."""
    size, thousandths = values.abs(), values * 1000
    large = (size >= _LEAST_CERTAIN) & ~size.between(1500, 2500)
    decimals = values != np.floor(values)
    finer = (thousandths - thousandths.round()).abs() > 1e-6 * np.maximum(size, 1)
    return bool((decimals & (large | (size < 1) | finer)).any())
