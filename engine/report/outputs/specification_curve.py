"""The specification curve: jobs of many cells are summed up in one column, where others have a table of columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from engine.report.error_types import error_label
from engine.report.language.wording import Words
from engine.report.number_format import number
from engine.report.outputs.curve_figure import Curve, curve_figure, curve_of, curve_text
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, TableOutput
from engine.report.outputs.regression_table import table_of
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

_FRAME = StoredFrame("curve", text=("term", "statistic"), numbers=("observed", "p_value", "reps"))
_TESTS = {
    "median_t": "median t ratio",
    "mean_t": "mean t ratio",
    "significant": "share significant with the predominant sign, dyadic-robust errors",
    "max_t": "largest |t|",
    "median": "median estimate",
}
"""By the names of the frame; the last is that of earlier versions."""
_QUANTILES = {0: "smallest estimate", 5: "", 50: "median estimate", 95: "", 100: "largest estimate"}
"""Percentages, and the names of those that have one."""


def curve_term(report: JobReport) -> str | None:
    """The main term of a job whose cells make a specification curve: many of them, and all have it."""
    term = report.main_term
    if term is None or not report.manifest.get("choices"):
        return None
    estimates = report.frames["estimates"]
    n_cells = estimates.loc[estimates["term"] == term, "cell"].nunique()
    return term if n_cells == len(report.columns) else None


def curve_table(report: JobReport) -> PrintedTable:
    """The curve in one column: quantiles of the estimates, shares significant, joint tests with their p-values."""
    words, curve, tests = report.words, _curve(report), report.frames.get(_FRAME.name)
    rows = [*_estimate_rows(curve, words), *_significance_rows(curve, words)]
    header: tuple[str, ...] = (words("value"),)
    notes = [
        words(
            "Coefficient of {term} over all specifications; every one is in estimates.parquet.",
            term=curve.term,
        )
    ]
    if tests is not None:
        rows = [*(replace(row, entries=(*row.entries, Entry())) for row in rows), *_test_rows(tests, words)]
        header = (*header, words("p"))
        notes.append(
            words(
                "Joint tests: the whole curve under {reps} relabellings of the cities; p in the second column.",
                reps=f"{int(tests['reps'].iloc[0]):,}",
            )
        )
    if report.synthetic:
        notes.append(words("Synthetic data: generated, not observed."))
    return PrintedTable(title=report.title, header=header, rows=tuple(rows), notes=tuple(notes), words=words)


def _estimate_rows(curve: Curve, words: Words) -> Iterator[Row]:
    count = len(curve.order)
    yield Row("setting", words("specifications"), (Entry(f"{count:,}", count),))
    quantiles = np.quantile(curve.estimate, np.array(list(_QUANTILES)) / 100)
    for (percent, name), value in zip(_QUANTILES.items(), quantiles, strict=True):
        label = words(name) if name else words("{percent}% quantile", percent=percent)
        yield Row("setting", label, (number_entry(float(value)),))
    positive = number_entry(float((curve.estimate > 0).mean()))
    yield Row("setting", words("share of positive estimates"), (positive,))


def _significance_rows(curve: Curve, words: Words) -> Iterator[Row]:
    for code, significant in curve.significant.items():
        label = words("share significant at 5%, {kind}", kind=error_label(code, words))
        yield Row("setting", label, (number_entry(float(significant.mean())),))


def _test_rows(tests: pd.DataFrame, words: Words) -> Iterator[Row]:
    for record in tests.to_dict("records"):
        label = words("joint test: {statistic}", statistic=words(_TESTS[record["statistic"]]))
        p = float(record["p_value"])
        yield Row("setting", label, (number_entry(float(record["observed"])), Entry(f"{p:.3f}", p)))


def curve_sentences(report: JobReport) -> Iterator[str]:
    """Span of the curve, shares significant by standard-error type, and the joint tests."""
    words, curve, tests = report.words, _curve(report), report.frames.get(_FRAME.name)
    yield words(
        "Over {count} specifications the coefficient of {term} runs from {low} to {high}, with median {median}; "
        "{share} are positive.",
        count=f"{len(curve.order):,}",
        term=curve.term,
        low=number(curve.estimate[0]),
        high=number(curve.estimate[-1]),
        median=number(float(np.median(curve.estimate))),
        share=f"{(curve.estimate > 0).mean():.0%}",
    )
    shares = [
        words("{share} with {kind} errors", share=f"{significant.mean():.0%}", kind=error_label(code, words))
        for code, significant in curve.significant.items()
    ]
    yield words("Significant at 5%: {parts}.", parts=words(", ").join(shares))
    if tests is not None:
        p_values = [
            words(
                "{statistic} p = {p}",
                statistic=words(_TESTS[record["statistic"]]),
                p=f"{record['p_value']:.3f}",
            )
            for record in tests.to_dict("records")
        ]
        yield words(
            "With cities relabelled, jointly over all of them: {parts}.", parts=words(", ").join(p_values)
        )


def _curve(report: JobReport) -> Curve:
    return curve_of(report.frames["estimates"], curve_term(report) or "")


def _tables(report: JobReport) -> Iterator[TableOutput]:
    """Its CSV file has the column of every cell."""
    if _has_curve(report):
        yield TableOutput("table", curve_table(report), csv=lambda: table_of(report).to_csv())


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    term = curve_term(report)
    if term is None:
        return
    estimates, choices = report.frames["estimates"], report.manifest["choices"]
    figure = curve_figure(
        estimates,
        term,
        choices,
        title=report.title,
        subtitle=report.subtitle,
        confidence=report.confidence,
        words=report.words,
    )
    yield FigureOutput("curve", report.title, curve_text(estimates, term, choices, report.words), figure)


def _sentences(report: JobReport) -> Iterator[str]:
    return curve_sentences(report) if _has_curve(report) else iter(())


def _has_curve(report: JobReport) -> bool:
    return curve_term(report) is not None


SPECIFICATION_CURVE = Output(
    reads=("estimates",),
    stores=_FRAME,
    tables=_tables,
    figures=_figures,
    sentences=_sentences,
    headlines=_sentences,
    stands_alone=_has_curve,
)
