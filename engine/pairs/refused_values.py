"""Values of a pair table that no regression takes, each with the row of the file."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, LongIntegers
from engine.errors import InputError
from engine.pairs.table_rows import TableRequest, TableRows
from engine.pairs.table_values import TableValues
from engine.tables.problems import TableProblem


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


def refuse_infinite_outcome(values: Array, sample_rows: LongIntegers, text: str, rows: TableRows) -> None:
    """Where the job says ``outcome.infinite: error``."""
    bad = np.isinf(values)
    if bad.any():
        row, count = int(sample_rows[np.argmax(bad)]), int(bad.sum())
        raise InputError(
            f"the outcome is infinite ({rows.owner(row)}; {count:,} row{'s' * (count > 1)} in all)",
            where=rows.place(row, text),
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
