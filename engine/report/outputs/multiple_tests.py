"""Tests of many coefficients together: p-values that allow for the number of them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from engine.report.few_adopters import has_few_adopters
from engine.report.number_format import number
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import LEVEL, in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_FRAME = StoredFrame(
    "multiple",
    text=("job", "cell", "term", "method"),
    numbers=("tests", "reps", "statistic", "p_value", "step_down_p", "holm_p"),
)
MULTIPLE_COLUMNS = (*_FRAME.text, *_FRAME.numbers)
_LISTED = 6  # coefficients that a sentence names


def multiple_table(report: JobReport) -> PrintedTable:
    """One row a kind of draws, cell and term."""
    words, rows = report.words, []
    for record in report.frames[_FRAME.name].to_dict("records"):
        method = words.known(str(record["method"]))
        label = f"({report.columns[record['cell']]}) {record['term']}: {method}"
        entries = (
            number_entry(record["statistic"]),
            number_entry(record["p_value"]),
            number_entry(record["step_down_p"]),
            number_entry(record["holm_p"]),
            Entry(f"{int(record['tests'])}", int(record["tests"])),
        )
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return PrintedTable(
        title=words("Many tests together"),
        header=(words("Statistic"), words("p"), words("Step-down p"), words("Holm p"), words("Tests")),
        rows=tuple(rows),
        notes=(
            words(
                "Step-down p-values bound the chance of any false rejection among the tests, and use what draws tell "
                "of the dependence between them (Westfall and Young; Romano and Wolf), which supposes that effects of "
                "some do not change the draws of others; Holm's suppose and use nothing."
            ),
        ),
        stub=words("Column, term, method"),
        words=words,
    )


def multiple_sentences(report: JobReport) -> Iterator[str]:
    """Which coefficients stand, by the first kind of draws that there is."""
    words, frame, estimates = report.words, report.frames[_FRAME.name], report.frames["estimates"]
    few = set(estimates.loc[has_few_adopters(estimates), "cell"])
    for family in _families(frame[frame["method"] == frame["method"].iloc[0]]):
        enough_adopters = family[~family["cell"].isin(few) & family["step_down_p"].notna()]
        if enough_adopters.empty:
            continue
        significant = enough_adopters[enough_adopters["step_down_p"] < LEVEL]
        names = [
            in_columns(str(term), report.column_phrase(cell), words)
            for cell, term in zip(significant["cell"], significant["term"], strict=True)
        ]
        form = (
            "Of {tests} coefficients tested together, {count} differ from zero at 5%: {names} (step-down p from {p})."
            if names
            else "Of {tests} coefficients tested together, none differs from zero at 5% (smallest step-down p = {p})."
        )
        yield words(
            form,
            tests=str(int(family["tests"].iloc[0])),
            count=str(len(significant)),
            names=words.listed([*names[:_LISTED], *(["…"] if len(names) > _LISTED else [])]) if names else "",
            p=number(float(enough_adopters["step_down_p"].min())),
        )


def _families(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Rows tested together: they follow one another, and each has their number."""
    start = 0
    while start < len(frame):
        stop = start + int(frame["tests"].iloc[start])
        yield frame.iloc[start:stop]
        start = stop


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_multiple", multiple_table(report))


MULTIPLE_TESTS = Output(
    reads=("estimates", _FRAME.name), stores=_FRAME, tables=_tables, sentences=multiple_sentences
)
