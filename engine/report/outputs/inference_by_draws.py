"""Inference by draws as a table: permutation, bootstrap and leave-out jackknife."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.report.number_format import number
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput, last_cell_in_doubt
from engine.report.printed_table import Entry, PrintedTable, Row, interval_entry, number_entry

_FRAME = StoredFrame(
    "inference",
    text=("cell", "term", "method"),
    numbers=("reps", "statistic", "p_value", "conf_low", "conf_high", "mc_error"),
)


def inference_table(report: JobReport) -> PrintedTable:
    """One row a cell, term and method."""
    words = report.words
    rows = []
    for record in report.frames[_FRAME.name].to_dict("records"):
        low, high = record["conf_low"], record["conf_high"]
        interval = "" if np.isnan(low) or np.isnan(high) else f"[{number(low)}, {number(high)}]"
        entries = (
            Entry(f"{record['reps']:,}", record["reps"]),
            number_entry(record["statistic"]),
            number_entry(record["p_value"]),
            interval_entry(low, high, interval),
            number_entry(record["mc_error"]),
        )
        name = str(record["method"]).replace("_", " ")
        name = name.replace("target se", "analytic SE:").replace("bootstrap se", "bootstrap SE")  # no tests
        method = words.known(name)
        label = f"({report.columns[record['cell']]}) {record['term']}: {method}"
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return PrintedTable(
        title=words("Inference by draws"),
        header=(
            words("Draws"),
            words("Statistic"),
            words("p"),
            words("Interval"),
            words("Monte Carlo error of p"),
        ),
        rows=tuple(rows),
        notes=(),
        stub=words("Column, term, method"),
        words=words,
    )


def permutation_result(report: JobReport) -> Iterator[str]:
    """The permutation test of the coefficient in question, which holds for any number of adopters."""
    words, frame = report.words, report.frames[_FRAME.name]
    rows, _ = last_cell_in_doubt(frame)
    for record in rows[rows["method"] == "permutation"].to_dict("records"):
        yield words(
            "Adoption permuted across cities: {term} has p = {p} ({reps} permutations).",
            term=record["term"],
            p=number(record["p_value"]),
            reps=f"{record['reps']:,}",
        )


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_inference", inference_table(report))


INFERENCE_BY_DRAWS = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables, headlines=permutation_result)
