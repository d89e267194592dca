"""Content of a pair table, and what became of its rows: the report before any work."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.arrays import Array


@dataclass(frozen=True)
class TableColumn:
    """One column, or arithmetic, over the rows of the sample.

    Attributes
    ----------
    column : str
    minimum, maximum, mean : float
        Over its finite values; NaN where there are none.
    n_missing, n_infinite : int
        Rows whose value is missing, and infinite or undefined.
    """

    column: str
    minimum: float
    maximum: float
    mean: float
    n_missing: int
    n_infinite: int


@dataclass(frozen=True)
class TableReport:
    """The validation report of a pair table.

    Attributes
    ----------
    source : str
        File.
    years : tuple of int
        First and last year of the sample.
    n_years, n_units, n_pairs, n_rows : int
        Of the sample; pairs are those with a row, directed ones where the table is.
    n_used : int
        Rows that lack nothing: these can be in the regression.
    directed : bool
    lag : int
        Years by which the regressors are lagged.
    columns : tuple of TableColumn
        Regressors as they stand before any lag, the outcome, the weight.
    warnings, notes : tuple of str
        What should be looked at, and what is worth knowing.
    """

    source: str
    years: tuple[int, int]
    n_years: int
    n_units: int
    n_pairs: int
    n_rows: int
    n_used: int
    directed: bool
    lag: int
    columns: tuple[TableColumn, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, ready for JSON; undefined numbers become None."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        plain["columns"] = [
            {key: _plain(value) for key, value in asdict(column).items()} for column in self.columns
        ]
        return plain

    def lines(self) -> list[str]:
        """The report for a terminal, one string a line."""
        first, last = self.years
        pairs = "directed pairs" if self.directed else "pairs"
        lines = [
            f"{self.source}: {self.n_units:,} units, {self.n_pairs:,} {pairs}, {first} to {last} "
            f"({self.n_years:,} years), {self.n_rows:,} rows, {self.n_used:,} of them complete"
            + (f", regressors lagged by {self.lag}" if self.lag else ""),
            "",
        ]
        width = max([len(column.column) for column in self.columns] + [6])
        heads = ("min", "max", "mean", "missing", "infinite")
        lines.append(f"{'column':<{width}}" + "".join(f"{head:>12}" for head in heads))
        for column in self.columns:
            values = (column.minimum, column.maximum, column.mean)
            lines.append(
                f"{column.column:<{width}}"
                + "".join(f"{value:>12.5g}" for value in values)
                + f"{column.n_missing:>12,}{column.n_infinite:>12,}"
            )
        lines += [f"warning: {text}" for text in self.warnings]
        return lines + [f"note: {text}" for text in self.notes]


def table_column(name: str, values: Array) -> TableColumn:
    """The report of one column from its values ``[n_rows]``."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        mean = float(finite.mean()) if finite.size else math.nan
    return TableColumn(
        column=name,
        minimum=float(finite.min()) if finite.size else math.nan,
        maximum=float(finite.max()) if finite.size else math.nan,
        mean=mean,
        n_missing=int(np.isnan(values).sum()),
        n_infinite=int(np.isinf(values).sum()),
    )


def blank_note(count: int) -> str:
    """Of rows with neither units nor year."""
    return f"{count:,} row{'s' * (count > 1)} without units and year passed over"


def infinite_warning(count: int, total: int, *, outcome: str, row: int) -> str:
    """Of rows that leave because their outcome is infinite; ``row`` is the first, as the file numbers it."""
    return (
        f"{count:,} of {total:,} rows have an infinite or undefined outcome '{outcome}' (as the "
        f"logarithm of zero is), the first of them row {row}, and are left out"
    )


def lag_note(count: int, total: int, *, lag: int) -> str:
    """Of rows that leave because their pair has no row ``lag`` years before."""
    return (
        f"{count:,} of {total:,} rows have no row of the same pair {lag} year{'s' * (lag > 1)} before and are "
        f"left out, since model.lag is {lag}"
    )


def lacking_warning(count: int, total: int, *, column: str, key: str) -> str:
    """Of rows that leave because a fixed effect or weight is missing."""
    return f"{count:,} of {total:,} rows have no '{column}', which {key} names, and are left out"


def weightless_note(count: int, total: int) -> str:
    """Of rows whose weight is zero."""
    return f"{count:,} of {total:,} rows have weight zero and are left out"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value
