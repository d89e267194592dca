"""Balance of the covariates before and after matching: table, figure, and the figure in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.estimate.covariate_balance import MEASURES
from engine.report.figure_choices import size_of
from engine.report.figure_style import figure_heading, figure_style
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, TableOutput
from engine.report.palette import GREY, GRID, NAVY, ORANGE, RULE
from engine.report.phrases import in_columns
from engine.report.printed_table import PrintedTable, Row, number_entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRAME = StoredFrame("balance", text=("cell", "column"), numbers=("smd_before", "smd_after"))
_COLUMNS = ("column", *(f"{measure}_{sample}" for sample in ("before", "after") for measure in MEASURES))


def balance_table(frame: pd.DataFrame, *, title: str, words: Words = ENGLISH) -> PrintedTable:
    """The frame as a printed table: one row a column and sample, numbers of `balance`."""
    _check(frame)
    rows = []
    for record in frame.to_dict("records"):
        for sample in ("before", "after"):
            entries = tuple(number_entry(float(record[f"{measure}_{sample}"])) for measure in MEASURES)
            label = words("{column}, {when}", column=record["column"], when=words.known(sample))
            rows.append(Row("fit", label, entries, term=str(record["column"])))
    note = words(
        "SMD: difference of means over the root of the mean variance of treated and controls before matching. "
        "Variance ratio: treated over controls. t treats rows as independent and is no test."
    )
    header = (words("Treated"), words("Controls"), words("SMD"), words("Variance ratio"), "t")
    return PrintedTable(title=title, header=header, rows=tuple(rows), notes=(note,), words=words)


def balance_figure(
    frame: pd.DataFrame,
    *,
    title: str,
    subtitle: str = "",
    limit: float = 0.1,
    words: Words = ENGLISH,
) -> Figure:
    """Standardised mean differences before (hollow) and after matching (filled), the largest on top.

    Parameters
    ----------
    frame : DataFrame
        As `balance` gives it; differences that are not defined are left out.
    limit : float
        Where the dashed lines are drawn; 0.1 is customary (Austin 2009, Statistics in Medicine 28).

    Raises
    ------
    InputError
        A column is missing, or no difference is defined.
    """
    from matplotlib.figure import Figure

    rows = _sorted(frame).iloc[::-1]
    with figure_style():
        figure = Figure(figsize=size_of((6.3, 1.5 + 0.3 * len(rows))), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        for bound in (-limit, limit):
            axes.axvline(bound, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        _draw_differences(axes, rows, words)
        axes.set_yticks(np.arange(len(rows)), rows["column"].astype(str).tolist())
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        form = "Standardised mean difference, treated less controls; dashed at ±{limit}"
        axes.set_xlabel(words(form, limit=f"{limit:g}"))
        figure_heading(figure, title=title, subtitle=subtitle)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _draw_differences(axes: Axes, rows: pd.DataFrame, words: Words) -> None:
    """Two marks a column, and a line from one to the other."""
    unmatched, matched = rows["smd_before"].to_numpy(float), rows["smd_after"].to_numpy(float)
    heights = np.arange(len(rows))
    axes.hlines(heights, unmatched, matched, color=RULE, linewidth=1.2, zorder=2)
    point: dict[str, Any] = {"linestyle": "none", "zorder": 4}
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": ORANGE, "markeredgewidth": 1.3}
    label = words("before matching")
    axes.plot(unmatched, heights, marker="s", markersize=5.5, label=label, **hollow, **point)
    label = words("after matching")
    axes.plot(matched, heights, marker="o", markersize=5.5, color=NAVY, label=label, **point)


def balance_text(frame: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it."""
    parts = [
        words(
            "{column}: {before} before, {after} after",
            column=row.column,
            before=_value(row.smd_before, words),
            after=_value(row.smd_after, words),
        )
        for row in _sorted(frame).itertuples()
    ]
    return words(
        "Standardised mean differences of treated and controls, before and after matching. {parts}.",
        parts=words("; ").join(parts),
    )


def _value(value: Any, words: Words) -> str:
    return number(float(value)) if np.isfinite(value) else words("not defined")


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with a difference, by its size before matching; equal ones in the order given."""
    _check(frame)
    rows = frame[np.isfinite(frame["smd_before"])]
    if rows.empty:
        raise InputError(
            "no standardised difference is defined",
            where="balance",
            remedy="match on columns that vary among treated rows or controls",
        )
    return rows.loc[rows["smd_before"].abs().sort_values(ascending=False, kind="stable").index]


def _check(frame: pd.DataFrame) -> None:
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(
            f"the column '{missing[0]}' is missing",
            where="balance",
            remedy="run the job again with this version: dyadid run JOB",
        )


def _tables(report: JobReport) -> Iterator[TableOutput]:
    """One a matched cell."""
    words = report.words
    for cell, rows in report.frames[_FRAME.name].groupby("cell", sort=False):
        name = "table_balance" if len(report.columns) == 1 else f"table_balance_{report.columns[cell]}"
        title = in_columns(words("Balance of the matched sample"), report.column_phrase(cell), words)
        yield TableOutput(name, balance_table(rows, title=title, words=words))


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """One a matched cell."""
    groups = list(report.frames[_FRAME.name].groupby("cell", sort=False))
    for cell, rows in groups:
        only = len(groups) == 1
        title = report.title if only else report.cell_title(cell)
        figure = balance_figure(rows, title=title, subtitle=report.subtitle, words=report.words)
        name = "balance" if only else f"balance_{report.columns[cell]}"
        yield FigureOutput(name, title, balance_text(rows, report.words), figure)


COVARIATE_BALANCE = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables, figures=_figures)
