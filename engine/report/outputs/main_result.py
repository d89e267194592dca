"""The result of a job in a sentence: the coefficient in question, with the preferred of its intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from engine.report.error_types import error_label, error_phrase, in_order, preferred
from engine.report.few_adopters import has_few_adopters
from engine.report.interval_picture import IntervalRow, interval_picture
from engine.report.number_format import number, percent
from engine.report.outputs.output import JobReport, Output, term_in_doubt
from engine.report.outputs.regression_table import Record, ordered_terms
from engine.report.phrases import in_columns


def main_rows(report: JobReport) -> pd.DataFrame:
    """Rows of ``estimates``, one a standard-error type: the treatment in the last column that has it.

    Of an event study it is the year of adoption, of other terms the first.
    """
    estimates = report.frames["estimates"]
    terms = ordered_terms(estimates["term"], main=report.treatment)
    term = report.treatment if report.treatment in terms else term_in_doubt(pd.Series(terms))
    rows = estimates[estimates["term"] == term]
    return rows[rows["cell"] == rows["cell"].iloc[-1]]


def main_result(report: JobReport) -> Iterator[str]:
    """The coefficient, its interval and p-value; of several columns, the last, and the span of all."""
    words, rows = report.words, main_rows(report)
    record = _preferred(rows)
    values: dict[str, object] = {"term": record["term"], "estimate": number(record["estimate"])}
    tested = np.isfinite([record["conf_low"], record["conf_high"], record["p_value"]]).all()
    if has_few_adopters(rows).any() or not tested:
        sentence = words("{term}: {estimate}", **values)
    else:
        sentence = words(
            "{term}: {estimate}, {level} interval {low} to {high}, p = {p}, under {kind}",
            **values,
            level=percent(report.confidence),
            low=number(record["conf_low"]),
            high=number(record["conf_high"]),
            p=number(record["p_value"]),
            kind=error_phrase(str(record["errors"]), words),
        )
    yield words("{sentence}.", sentence=in_columns(sentence, report.column_phrase(record["cell"]), words))
    estimates = report.frames["estimates"]
    same = estimates[estimates["term"] == record["term"]].drop_duplicates("cell")["estimate"]
    if len(same) > 1:
        yield words(
            "Over {count} columns the coefficient of {term} is between {low} and {high}.",
            count=len(same),
            term=record["term"],
            low=number(same.min()),
            high=number(same.max()),
        )


def error_picture(report: JobReport) -> str:
    """The interval of `main_rows` under every standard-error type, as SVG; empty for a single one."""
    words, rows = report.words, main_rows(report)
    intervals = {
        str(row["errors"]): IntervalRow(
            error_label(str(row["errors"]), words), row["estimate"], row["conf_low"], row["conf_high"]
        )
        for row in rows[~has_few_adopters(rows)].to_dict("records")
        if np.isfinite([row["conf_low"], row["conf_high"]]).all()
    }
    if len(intervals) < 2:
        return ""
    term, column = rows["term"].iloc[0], report.column_phrase(rows["cell"].iloc[0])
    title = words(
        "{level} intervals of {term} by kind of standard error", level=percent(report.confidence), term=term
    )
    title = in_columns(title, column, words)
    return interval_picture([intervals[code] for code in in_order(intervals)], title=title, words=words)


def _preferred(rows: pd.DataFrame) -> Record:
    code = preferred(rows["errors"])
    return dict(rows[rows["errors"] == code].iloc[0].items())


MAIN_RESULT = Output(reads=("estimates",), headlines=main_result)
