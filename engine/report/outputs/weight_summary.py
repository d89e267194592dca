"""Weights of effects in two-way fixed effects: those of all treated cells as a file, what they allow as a table."""

from __future__ import annotations

from collections.abc import Iterator

from engine.report.number_format import number
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_WEIGHTS = StoredFrame(
    "effect_weights", text=("job", "cell", "adopted"), numbers=("year", "treatment", "rows", "weight")
)
_SUMMARY = StoredFrame(
    "effect_weight_summary",
    text=("job", "cell", "term"),
    numbers=("estimate", "cells", "negative_cells", "negative_weight", "sigma_zero", "sigma_reversed"),
)
WEIGHT_COLUMNS = (*_WEIGHTS.text, *_WEIGHTS.numbers)
SUMMARY_COLUMNS = (*_SUMMARY.text, *_SUMMARY.numbers)


def summary_table(report: JobReport) -> PrintedTable:
    """One row a cell of the job."""
    words, rows = report.words, []
    for record in report.frames[_SUMMARY.name].to_dict("records"):
        place = report.column_phrase(record["cell"])
        label = f"{place}: {record['term']}" if place else str(record["term"])
        counts = (int(record["cells"]), int(record["negative_cells"]))
        entries = (
            *(Entry(str(count), count) for count in counts),
            number_entry(record["negative_weight"]),
            number_entry(record["sigma_zero"]),
            number_entry(record["sigma_reversed"]),
        )
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return PrintedTable(
        title=words("Weights of effects in two-way fixed effects"),
        header=(
            words("Treated cells"),
            words("Negative"),
            words("Their sum"),
            words("Least spread, mean zero"),
            words("Least spread, signs reversed"),
        ),
        rows=tuple(rows),
        notes=(
            words(
                "Cells are cohorts by year; weights add up to one. The last columns are the least standard deviations "
                "of effects over cells with which the coefficient is consistent with an average effect of zero, and "
                "with effects that are all of the other sign (de Chaisemartin and D'Haultfoeuille)."
            ),
        ),
        words=words,
    )


def summary_sentences(report: JobReport) -> Iterator[str]:
    """Whether weights are negative, and how much effects would have to differ."""
    words = report.words
    for record in report.frames[_SUMMARY.name].to_dict("records"):
        negative = int(record["negative_cells"])
        form = (
            "Two-way fixed effects weigh {negative} of {cells} treated cells negatively, with {sum} in all; effects "
            "with a standard deviation of {sigma} may average zero"
            if negative
            else "Two-way fixed effects weigh none of {cells} treated cells negatively; effects with a standard "
            "deviation of {sigma} may average zero"
        )
        sentence = words(
            form,
            negative=str(negative),
            cells=str(int(record["cells"])),
            sum=number(float(record["negative_weight"])),
            sigma=number(float(record["sigma_zero"])),
        )
        yield words("{sentence}.", sentence=in_columns(sentence, report.column_phrase(record["cell"]), words))


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_effect_weights", summary_table(report))


EFFECT_WEIGHTS = Output(reads=(_WEIGHTS.name,), stores=_WEIGHTS)
EFFECT_WEIGHT_SUMMARY = Output(
    reads=(_SUMMARY.name,), stores=_SUMMARY, tables=_tables, sentences=summary_sentences
)
