"""Two-way fixed effects taken apart: a table by kind of comparison, and a figure of every one with its weight."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import pandas as pd

from engine.report.figure_style import canvas, figure_style, in_lines, legend
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, TableOutput
from engine.report.palette import GREY, INK, NAVY, ORANGE, SILVER, SKY
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAME = StoredFrame(
    "goodman_bacon",
    text=("job", "cell", "comparison", "treated", "control"),
    numbers=("weight", "effect"),
)
BACON_COLUMNS = (*_FRAME.text, *_FRAME.numbers)
_MARKERS = (("o", NAVY), ("s", SKY), ("^", ORANGE), ("D", SILVER))
"""Of the kinds, in the order in which a cell has them."""


def bacon_table(report: JobReport, cell: Hashable) -> PrintedTable:
    """One row a kind of comparison: its weight, average effect and number; the weighted sum below."""
    words, rows = report.words, []
    comparisons = report.rows_of(_FRAME.name, cell)
    for kind, of_kind in comparisons.groupby("comparison", sort=False):
        weight = float(of_kind["weight"].sum())
        effect = float((of_kind["weight"] * of_kind["effect"]).sum() / weight)
        entries = (number_entry(weight), number_entry(effect), Entry(str(len(of_kind)), len(of_kind)))
        rows.append(Row("fit", words(str(kind)), entries))
    total = (number_entry(float(comparisons["weight"].sum())), number_entry(_sum(comparisons)))
    count = Entry(str(len(comparisons)), len(comparisons))
    rows.append(Row("count", words("Sum: the coefficient of two-way fixed effects"), (*total, count)))
    return PrintedTable(
        title=_title(report, cell, words),
        header=(words("Weight"), words("Effect"), words("Comparisons")),
        rows=tuple(rows),
        notes=(
            words(
                "Comparisons of two groups of pairs over two periods; those of later with earlier treated pairs have "
                "treated pairs as controls, whose own effects are subtracted where they change."
            ),
        ),
        stub=words("Treated, and control"),
        words=words,
    )


def bacon_figure(
    comparisons: pd.DataFrame, *, title: str, subtitle: str = "", words: Words = ENGLISH
) -> Figure:
    """Every comparison as a point by weight and effect, and their sum as a line."""
    with figure_style():
        figure, axes = canvas((6.3, 3.9), title=title, subtitle=subtitle)
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        total = _sum(comparisons)
        label = words("two-way fixed effects ({estimate})", estimate=number(total))
        axes.axhline(total, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=label)
        kinds = comparisons.groupby("comparison", sort=False)
        for (marker, color), (kind, of_kind) in zip(_MARKERS, kinds, strict=False):
            axes.plot(
                of_kind["weight"],
                of_kind["effect"],
                marker=marker,
                color=color,
                linestyle="none",
                markersize=6,
                label=words(str(kind)),
                zorder=4,
            )
        axes.set_xlim(left=0)
        axes.set(xlabel=words("Weight"), ylabel=in_lines(words("Effect"), 0.92 * figure.get_figheight()))
        legend(figure, axes)
    return figure


def bacon_text(comparisons: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it."""
    heaviest = comparisons.iloc[int(comparisons["weight"].to_numpy().argmax())]
    return words(
        "{count} comparisons whose weighted sum is {estimate}; the heaviest, {kind}, has weight {weight} and effect "
        "{effect}.",
        count=len(comparisons),
        estimate=number(_sum(comparisons)),
        kind=words(str(heaviest["comparison"])),
        weight=number(float(heaviest["weight"])),
        effect=number(float(heaviest["effect"])),
    )


def _sum(comparisons: pd.DataFrame) -> float:
    return float((comparisons["weight"] * comparisons["effect"]).sum())


def _title(report: JobReport, cell: Hashable, words: Words) -> str:
    return words("{title}: comparisons behind the coefficient", title=report.cell_title(cell))


def _tables(report: JobReport) -> Iterator[TableOutput]:
    for cell, ending in report.cells_of(_FRAME.name):
        yield TableOutput(f"table_goodman_bacon{ending}", bacon_table(report, cell))


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    for cell, ending in report.cells_of(_FRAME.name):
        comparisons = report.rows_of(_FRAME.name, cell)
        title = _title(report, cell, report.words)
        figure = bacon_figure(comparisons, title=title, subtitle=report.subtitle, words=report.words)
        text = bacon_text(comparisons, report.words)
        yield FigureOutput(f"goodman_bacon{ending}", _title(report, cell, report.words), text, figure)


GOODMAN_BACON = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables, figures=_figures)
