"""The result of a job in a sentence: the coefficient in question, with the preferred of its intervals."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import isfinite

import pandas as pd

from engine.report.error_types import error_label, error_phrase, in_order, preferred
from engine.report.few_adopters import has_few_adopters
from engine.report.interval_picture import IntervalRow, interval_picture
from engine.report.language.wording import columns_phrase
from engine.report.number_format import number, percent
from engine.report.outputs.output import JobReport, Output, term_in_doubt
from engine.report.outputs.regression_table import EVENT_TERM, Record, ordered_terms
from engine.report.phrases import in_columns
from engine.report.table_entries import coefficient_styles
from engine.report.table_style import TableStyle


def main_rows(report: JobReport) -> pd.DataFrame:
    """Rows of ``estimates``, one a standard-error type: the treatment in the last column that has it.

    Of an event study it is the year of adoption, of other terms the first; of terms and types those that the job's
    tables print.
    """
    estimates, style = report.frames["estimates"], report.table_style
    terms = style.terms(ordered_terms(estimates["term"], main=report.treatment))
    term = report.treatment if report.treatment in terms else term_in_doubt(pd.Series(terms))
    rows = estimates[estimates["term"] == term]
    rows = rows[rows["cell"] == rows["cell"].iloc[-1]]
    shown = rows[rows["errors"].isin(style.error_codes(estimates["errors"].unique()))]
    return shown if len(shown) else rows


def main_result(report: JobReport) -> Iterator[str]:
    """The coefficient, its interval and p-value; of several columns with its outcome, the last, and the span of all."""
    words, rows = report.words, main_rows(report)
    record = _preferred(rows, report)
    style = _styles(report, record["term"])[record["cell"]]
    term, estimate = style.label(record["term"]), style.number(record["estimate"])
    sentence = words("{term}: {estimate}", term=term, estimate=estimate)
    if _is_tested(record) and not has_few_adopters(rows).any():
        sentence = words(
            "{term}: {estimate}, {level} interval {low} to {high}, p = {p}, under {kind}",
            term=term,
            estimate=estimate,
            level=percent(report.confidence_of(record["cell"])),
            low=style.number(record["conf_low"]),
            high=style.number(record["conf_high"]),
            p=number(record["p_value"]),
            kind=error_phrase(str(record["errors"]), words),
        )
    yield words("{sentence}.", sentence=in_columns(sentence, report.column_phrase(record["cell"]), words))
    yield from _span(report, record)


def _span(report: JobReport, record: Record) -> Iterator[str]:
    """Least and largest estimate over the columns with the same outcome and estimator, event years aside."""
    words, styles, estimates = report.words, _styles(report, record["term"]), report.frames["estimates"]
    comparable = estimates["term"] == record["term"]
    for name in ("outcome", "estimator"):
        comparable &= estimates[name] == record[name]
    rows = estimates[comparable].drop_duplicates("cell").set_index("cell")["estimate"]
    if len(rows) < 2 or EVENT_TERM.fullmatch(record["term"]):
        return
    columns = columns_phrase([report.columns[cell] for cell in rows.index], words)
    low, high = (styles[cell].number(rows[cell]) for cell in (rows.idxmin(), rows.idxmax()))
    term = report.table_style.label(record["term"])
    sentence = words("The coefficient of {term} is between {low} and {high}", term=term, low=low, high=high)
    yield words("{sentence}.", sentence=in_columns(sentence, columns, words))


def _styles(report: JobReport, term: str) -> dict[Hashable, TableStyle]:
    """Style of a coefficient by cell, as it stands in the table."""
    estimates, style = report.frames["estimates"], report.table_style
    of_term = estimates[estimates["term"] == term]
    is_printed = of_term["errors"].isin(style.error_codes(estimates["errors"].unique()))
    records: dict[Hashable, list[Record]] = {cell: [] for cell in of_term["cell"]}
    for record in of_term[is_printed].to_dict("records"):
        records[record["cell"]].append(record)
    return dict(zip(records, coefficient_styles(records.values(), style), strict=True))


def error_picture(report: JobReport) -> str:
    """The interval of `main_rows` under every standard-error type, as SVG; empty for a single one."""
    words, rows = report.words, main_rows(report)
    style = _styles(report, rows["term"].iloc[0])[rows["cell"].iloc[0]]
    intervals = {
        str(row["errors"]): IntervalRow(
            error_label(str(row["errors"]), words),
            row["estimate"],
            row["conf_low"],
            row["conf_high"],
            style.number,
        )
        for row in _tested(rows)
    }
    if len(intervals) < 2:
        return ""
    cell, term = rows["cell"].iloc[0], report.table_style.label(rows["term"].iloc[0])
    level = percent(report.confidence_of(cell))
    title = words("{level} intervals of {term} by kind of standard error", level=level, term=term)
    title = in_columns(title, report.column_phrase(cell), words)
    return interval_picture([intervals[code] for code in in_order(intervals)], title=title, words=words)


def _tested(rows: pd.DataFrame) -> list[Record]:
    """Rows with an interval and a test that mean something."""
    return [row for row in rows[~has_few_adopters(rows)].to_dict("records") if _is_tested(row)]


def _is_tested(row: Record) -> bool:
    return all(isfinite(row[name]) for name in ("conf_low", "conf_high", "p_value"))


def _preferred(rows: pd.DataFrame, report: JobReport) -> Record:
    """The row of the type that the table's stars are of, else of the preferred one."""
    codes = list(rows["errors"])
    starred = report.table_style.stars
    code = starred if starred in codes else preferred(codes)
    return dict(rows[rows["errors"] == code].iloc[0].items())


MAIN_RESULT = Output(reads=("estimates",), headlines=main_result)
