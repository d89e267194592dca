"""Matching on the propensity score: the logit of being treated, and how many found a partner."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import nan
from typing import Any

import pandas as pd

from engine.report.language.wording import Words
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import in_columns
from engine.report.printed_table import Entry, PrintedTable, Row
from engine.report.table_entries import estimate_entries

_FRAME = StoredFrame("matching", text=("cell", "column"), numbers=("coefficient", "std_error"))
_BALANCE = "balance"
"""The frame that the sentences read too."""
_COUNTS = {
    "treated": "treated",
    "controls": "others",
    "matched": "treated with a partner",
    "off_support": "off the common support",
    "without_partner": "without a partner",
    "controls_used": "others used as partners",
}


def matching_table(report: JobReport) -> PrintedTable:
    """Coefficients of the logit with their standard errors, and the counts of matching, a column a cell."""
    frame, words = report.frames[_FRAME.name], report.words
    cells = list(dict.fromkeys(frame["cell"]))
    records: dict[tuple[Hashable, str], dict[Hashable, Any]] = {
        (record["cell"], record["column"]): record for record in frame.to_dict("records")
    }
    rows = []
    for name in dict.fromkeys(frame["column"]):
        fits = [records.get((cell, name), {}) for cell in cells]
        of_name = ([fit.get(key, nan) for fit in fits] for key in ("coefficient", "std_error"))
        coefficients, std_errors = estimate_entries(*of_name)
        rows.append(Row("coefficient", words.known(name), coefficients, term=name))
        rows.append(Row("error", words("std. error"), std_errors, term=name))
    counts = frame.drop_duplicates("cell")
    for key, label in _COUNTS.items():
        entries = tuple(Entry(f"{int(count):,}", int(count)) for count in counts[key])
        rows.append(Row("count", words.known(label), entries))
    return PrintedTable(
        title=words("Matching: logit of being treated, and counts"),
        header=tuple(f"({report.columns[cell]})" for cell in cells),
        rows=tuple(rows),
        notes=(
            words(
                "Counts are of pairs, or of pair-years where those are matched. The logit's errors take them as "
                "independent."
            ),
        ),
        words=words,
    )


def matching_sentences(report: JobReport) -> Iterator[str]:
    """How many found a partner in each cell, and how far matching brings treated and others together."""
    if _BALANCE not in report.frames:
        return
    matching = report.frames[_FRAME.name]
    for cell, balance in report.frames[_BALANCE].groupby("cell", sort=False):
        counts = matching[matching["cell"] == cell].iloc[0]
        yield _sentence(counts, balance, report.column_phrase(cell), report.words)


def _sentence(counts: pd.Series, balance: pd.DataFrame, columns: str, words: Words) -> str:
    unmatched, matched = (
        balance[["column", measure]].iloc[int(balance[measure].abs().to_numpy().argmax())]
        for measure in ("smd_before", "smd_after")
    )
    sentence = words(
        "Matching finds partners for {matched} of {treated} treated among {used} of {controls} others",
        matched=f"{counts['matched']:,}",
        treated=f"{counts['treated']:,}",
        used=f"{counts['controls_used']:,}",
        controls=f"{counts['controls']:,}",
    )
    return words(
        "{said}; the largest standardised difference of means falls from {before} ({column}) to {after} ({other}).",
        said=in_columns(sentence, columns, words),
        before=f"{abs(unmatched.iloc[1]):.2f}",
        column=unmatched["column"],
        after=f"{abs(matched.iloc[1]):.2f}",
        other=matched["column"],
    )


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_matching", matching_table(report))


PROPENSITY_MATCHING = Output(
    reads=(_FRAME.name,), stores=_FRAME, tables=_tables, sentences=matching_sentences
)
