"""Linear trends that tests of the years before adoption find half, or four fifths, of the time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import isnan

from engine.report.error_types import error_phrase
from engine.report.number_format import number, percent
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_FRAME = StoredFrame(
    "pretrends",
    text=("job", "cell", "errors", "test"),
    numbers=("power", "slope", "bias", "bias_if_passed"),
)
PRETREND_COLUMNS = (*_FRAME.text, *_FRAME.numbers)
_TESTS = {"single": "each year before adoption", "joint": "all years before adoption together"}


def pretrend_table(report: JobReport, cell: Hashable) -> PrintedTable:
    """One row a test and power: the slope that is found, and what it does to the effect."""
    words, trends = report.words, report.rows_of(_FRAME.name, cell)
    rows = [
        Row(
            "fit",
            words("{test}, {share}", test=words(_TESTS[record["test"]]), share=percent(record["power"])),
            (
                number_entry(record["slope"]),
                number_entry(record["bias"]),
                Entry() if isnan(record["bias_if_passed"]) else number_entry(record["bias_if_passed"]),
            ),
        )
        for record in trends.to_dict("records")
    ]
    return PrintedTable(
        title=words("{title}: trends that tests before adoption find", title=report.cell_title(cell)),
        header=(words("Slope a year"), words("Bias"), words("Bias if nothing was found")),
        rows=tuple(rows),
        notes=(
            words(
                "The least linear difference in trends that a test finds with this probability; bias of the effect."
            ),
            words("Under {kind}; Roth (2022).", kind=error_phrase(str(trends["errors"].iloc[0]), words)),
        ),
        stub=words("Test, probability"),
        words=words,
    )


def pretrend_sentences(report: JobReport) -> Iterator[str]:
    """The single tests of every cell, with a probability of one half."""
    words = report.words
    for cell, _ in report.cells_of(_FRAME.name):
        record = report.rows_of(_FRAME.name, cell).iloc[0]
        sentence = words(
            "A linear difference in trends of {slope} a year would have gone unnoticed half of the time, and moves the "
            "effect by {bias}",
            slope=number(float(record["slope"])),
            bias=number(float(record["bias"])),
        )
        yield words("{sentence}.", sentence=in_columns(sentence, report.column_phrase(cell), words))


def _tables(report: JobReport) -> Iterator[TableOutput]:
    for cell, ending in report.cells_of(_FRAME.name):
        yield TableOutput(f"table_pretrends{ending}", pretrend_table(report, cell))


PRETREND_POWER = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables, sentences=pretrend_sentences)
