"""Strength of the instrument of ``iv`` cells: first-stage F and Anderson-Rubin interval by standard-error type."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from engine.report.error_types import error_adjective, error_label, robust_and_conventional
from engine.report.language.wording import Words
from engine.report.number_format import number
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_FRAME = StoredFrame(
    "instrument",
    text=("cell", "errors", "ar_shape"),
    numbers=("first_stage", "reduced_form", "f_statistic", "ar_p_value", "ar_low", "ar_high"),
)
# Staiger and Stock (1997): a first-stage F below ten makes 2SLS with one instrument unreliable.
STRONG = 10.0


def instrument_table(report: JobReport) -> PrintedTable:
    """First-stage F and Anderson-Rubin interval, a row a cell and standard-error type."""
    frame, words = report.frames[_FRAME.name], report.words
    rows = []
    for record in frame.to_dict("records"):
        label = error_label(record["errors"], words)
        interval = _interval(record["ar_shape"], record["ar_low"], record["ar_high"], words)
        entries = (
            number_entry(record["f_statistic"]),
            number_entry(record["ar_p_value"]),
            Entry(interval, interval),
        )
        rows.append(Row("fit", f"({report.columns[record['cell']]}) {label}", entries))
    notes = [
        words(
            "Column ({place}): instrument in the first stage {first}, in the reduced form {reduced}.",
            place=report.columns[record["cell"]],
            first=number(record["first_stage"]),
            reduced=number(record["reduced_form"]),
        )
        for record in frame.drop_duplicates("cell").to_dict("records")
    ]
    return PrintedTable(
        title=words("Strength of the instrument"),
        header=(words("First-stage F"), words("Anderson-Rubin p"), words("Anderson-Rubin interval")),
        rows=tuple(rows),
        notes=(
            words(
                "F: Kleibergen-Paap statistic of one instrument. The Anderson-Rubin interval holds however weak it is."
            ),
            *notes,
        ),
        stub=words("Kind of error"),
        words=words,
    )


def _interval(shape: str, low: float, high: float, words: Words) -> str:
    if shape == "interval":
        return f"[{number(low)}, {number(high)}]"
    if shape == "outside":
        return words("outside ({low}, {high})", low=number(low), high=number(high))
    if shape == "unknown":
        return ""
    if shape == "pieces":
        return words("in pieces from {low} to {high}", low=number(low), high=number(high))
    return words("the whole line") if shape == "line" else words("empty")


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_instrument", instrument_table(report))


def instrument_sentences(report: JobReport) -> Iterator[str]:
    """Strength under the conventional and the robust errors, and the Anderson-Rubin interval of each cell."""
    for cell, rows in report.frames[_FRAME.name].groupby("cell", sort=False):
        by_errors = rows.set_index("errors")
        robust, conventional = robust_and_conventional(by_errors.index)
        preferred = [code for code in (conventional, robust) if code is not None]
        compared = by_errors.loc[preferred or by_errors.index[:1]]
        yield _strength(compared["f_statistic"], report.column_phrase(cell), report.words)
        if compared["ar_shape"].iloc[-1] != "unknown":
            yield _anderson_rubin(compared.iloc[-1], str(compared.index[-1]), report.words)


def _strength(f_statistics: pd.Series, columns: str, words: Words) -> str:
    """Sentence on F under one standard-error type, or under the conventional and the robust one."""
    values = words.listed(
        [
            words("{value} with {kind} errors", value=f"{f:.1f}", kind=error_adjective(str(code), words))
            for code, f in f_statistics.items()
        ]
    )
    strong = (f_statistics >= STRONG).to_numpy()
    if strong.all():
        verdict = words("strong by the rule of thumb of 10")
    elif not strong.any():
        verdict = words("weak by the rule of thumb of 10")
    elif strong[0]:
        verdict = words("strong only if pairs that share a city are independent")
    else:
        verdict = words("weak if pairs that share a city are independent, strong otherwise")
    sentence = words("The first-stage F is {values}", values=values)
    return words(
        "{said}: the instrument is {verdict}.", said=in_columns(sentence, columns, words), verdict=verdict
    )


def _anderson_rubin(row: pd.Series, code: str, words: Words) -> str:
    kind = error_adjective(code, words)
    if row["ar_shape"] == "line":
        return words(
            "Its Anderson-Rubin interval with {kind} errors is the whole line: no effect is excluded.",
            kind=kind,
        )
    interval = _interval(str(row["ar_shape"]), float(row["ar_low"]), float(row["ar_high"]), words)
    return words("Its Anderson-Rubin interval with {kind} errors: {interval}.", kind=kind, interval=interval)


INSTRUMENT_STRENGTH = Output(
    reads=(_FRAME.name,), stores=_FRAME, tables=_tables, sentences=instrument_sentences
)
