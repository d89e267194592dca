"""Values of a pair table that no regression takes, each with the row of the file; and tables too large to hold."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, LongIntegers
from engine.errors import InputError
from engine.pairs.moments import Layout
from engine.pairs.table_rows import TableRequest, TableRows
from engine.pairs.table_values import TableValues
from engine.tables.problems import TableProblem

_COPIES = 2  # of the columns by pair and year that are held at once
_CHUNK, _CHUNK_COPIES = 4096, 3  # pairs whose statistics are made at once, and arrays of their size


def refuse_infinite(
    values: Array,
    origin: LongIntegers,
    text: str,
    rows: TableRows,
    table: TableValues,
    *,
    noun: str = "regressor",
) -> None:
    """An outcome may be infinite (``outcome.infinite`` says what becomes of it), a regressor may not."""
    bad = np.isinf(values)
    if bad.any():
        row, count = int(origin[np.argmax(bad)]), int(bad.sum())
        size = f"{values[bad][0]:g}" if table.is_column(text) else "infinite or undefined"
        raise InputError(
            f"the {noun} is {size} ({rows.owner(row)}; {count:,} row{'s' * (count > 1)} in all)",
            where=rows.place(row, text),
            remedy="mend the cell, or leave it empty where it is missing; ln 0 is -inf"
            if table.is_column(text)
            else "the logarithm of zero, a division by zero or the like: mend the cells, leave them empty where they "
            "are missing, or use another formula, e.g. log(1 + x)",
        )


def refuse_infinite_outcome(
    values: Array, sample_rows: LongIntegers, request: TableRequest, rows: TableRows
) -> None:
    """Where the job says ``outcome.infinite: error``."""
    bad = np.isinf(values)
    if request.infinite == "error" and bad.any():
        row, count = int(sample_rows[np.argmax(bad)]), int(bad.sum())
        raise InputError(
            f"the outcome is infinite ({rows.owner(row)}; {count:,} row{'s' * (count > 1)} in all)",
            where=rows.place(row, request.outcome),
            remedy="mend the cells, or leave such rows out with outcome.infinite: drop",
        )


def refuse_negative(values: Array, sample_rows: LongIntegers, text: str, rows: TableRows) -> None:
    """Of an outcome that is a count or a flow."""
    bad = np.isfinite(values) & (values < 0)
    if bad.any():
        row, count = int(np.argmax(bad)), int(bad.sum())
        raise InputError(
            f"the outcome is {values[row]:g} ({count:,} row{'s' * (count > 1)} in all)",
            where=rows.place(int(sample_rows[row]), text),
            remedy="estimator poisson takes outcomes from zero up: levels, not logarithms",
        )


def refuse_weights(weight: Array, sample_rows: LongIntegers, request: TableRequest, rows: TableRows) -> None:
    """Below zero, or infinite."""
    bad = np.isinf(weight) | (weight < 0)
    if bad.any():
        row = int(np.argmax(bad))
        text, negative = request.weight or "", np.unique(weight[bad & np.isfinite(weight)]).tolist()
        line = ""
        if text in rows.frame.columns and negative:
            line = request.rules.missing_line(text, [*request.missing.get(text, ()), *negative])
        raise TableProblem(
            f"the weight is {weight[row]:g}",
            where=rows.place(int(sample_rows[row]), text),
            remedy="weights are numbers from zero up; zero leaves a row out",
            job_line=line and f"{line}  # if that means missing",
        )


def refuse_large(shape: tuple[int, int], n_rows: int, n_columns: int, request: TableRequest) -> None:
    """Refuse a table whose arrays, by pair and year, are larger than what may be held."""
    n_pairs, n_years = shape
    columns = n_columns + (request.weight is not None) + len(request.effects) / 2
    statistics = Layout(n_years, n_columns, balanced=False).size
    n_bytes = 8.0 * (
        _COPIES * n_pairs * n_years * columns + _CHUNK_COPIES * min(_CHUNK, n_pairs) * statistics
    )
    if n_bytes > request.memory:
        raise InputError(
            f"{n_pairs:,} pairs in {n_years:,} years, with {n_columns} columns, take {n_bytes / 1e9:.1f} GB laid out "
            f"by pair and year ({n_rows:,} rows fill {n_rows / n_pairs / n_years:.1%} of it), more than "
            f"runtime.memory allows ({request.memory / 1e9:g}GB)",
            where="runtime.memory",
            remedy=f"allow at least {n_bytes / 1e9 * 1.2:.1f}GB, or take fewer years (years: [first, last]), pairs or "
            "regressors",
        )
