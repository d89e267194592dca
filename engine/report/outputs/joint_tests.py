"""Tests of event years together: did the outcome of later adopters move before, and does it after?"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from engine.report.error_types import error_label, error_phrase, preferred
from engine.report.few_adopters import has_few_adopters
from engine.report.number_format import number
from engine.report.outputs.main_result import main_rows
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import LEVEL, in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_FRAME = StoredFrame(
    "joint", text=("job", "cell", "test", "errors"), numbers=("terms", "statistic", "dof", "p_value")
)
JOINT_COLUMNS = (*_FRAME.text, *_FRAME.numbers)
BEFORE, AFTER = "before adoption", "from adoption on"


def joint_table(report: JobReport) -> PrintedTable:
    """F statistics of every group of event years, a row a standard-error type."""
    words, rows = report.words, []
    for record in _tests(report).to_dict("records"):
        label = words(
            "{test}, {kind}", test=words(record["test"]), kind=error_label(str(record["errors"]), words)
        )
        place = report.column_phrase(record["cell"])
        entries = (
            number_entry(record["statistic"]),
            Entry(f"{int(record['terms'])}", int(record["terms"])),
            Entry(f"{record['dof']:,.1f}".removesuffix(".0"), record["dof"]),
            number_entry(record["p_value"]),
        )
        rows.append(Row("fit", f"{place}: {label}" if place else label, entries))
    return PrintedTable(
        title=words("Event years together"),
        header=(words("F"), words("Terms"), words("Degrees of freedom"), words("p")),
        rows=tuple(rows),
        notes=(
            words("Wald tests that all are zero; the reference period, which is zero, is no term."),
            words(
                "No F where fewer cities adopt than there are terms, or where a variance had to be replaced."
            ),
        ),
        words=words,
    )


def joint_sentences(report: JobReport, cell: Hashable | None = None) -> Iterator[str]:
    """The tests in words, under the preferred standard-error type: those of all cells, or of one."""
    tests = _tests(report)
    if cell is not None:
        tests = tests[tests["cell"] == cell]
    code = preferred(dict.fromkeys(tests["errors"]))
    for record in tests[tests["errors"] == code].to_dict("records"):
        if pd.isna(record["p_value"]):
            continue
        yield _sentence(record, str(code), report)


def _sentence(record: Any, code: str, report: JobReport) -> str:
    words = report.words
    form = (
        "The effects {test} differ from zero together at 5% under {kind} (F({terms}, {dof}) = {f}, p = {p})"
        if record["p_value"] < LEVEL
        else "The effects {test} do not differ from zero together at 5% under {kind} "
        "(F({terms}, {dof}) = {f}, p = {p})"
    )
    sentence = words(
        form,
        test=words(record["test"]),
        kind=error_phrase(code, words),
        terms=str(int(record["terms"])),
        dof=f"{record['dof']:,.1f}".removesuffix(".0"),
        f=number(record["statistic"]),
        p=number(record["p_value"]),
    )
    return words("{sentence}.", sentence=in_columns(sentence, report.column_phrase(record["cell"]), words))


def _tests(report: JobReport) -> pd.DataFrame:
    """Those of cells whose treatment enough cities adopt."""
    tests, estimates = report.frames[_FRAME.name], report.frames["estimates"]
    few = set(estimates.loc[has_few_adopters(estimates), "cell"])
    return tests[~tests["cell"].isin(few)]


def _tables(report: JobReport) -> Iterator[TableOutput]:
    if len(_tests(report)):
        yield TableOutput("table_joint", joint_table(report))


def _headlines(report: JobReport) -> Iterator[str]:
    """Those of the cell whose coefficient is the result of the job."""
    return joint_sentences(report, main_rows(report)["cell"].iloc[0])


JOINT_TESTS = Output(
    reads=("estimates", _FRAME.name),
    stores=_FRAME,
    tables=_tables,
    sentences=joint_sentences,
    headlines=_headlines,
)
