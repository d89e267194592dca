"""The main coefficient over the cells of a job as a figure, every confidence interval side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.report.error_types import ErrorLook, error_label, in_order, look_of
from engine.report.figure_style import canvas, figure_style, legend
from engine.report.language.wording import ENGLISH, Words
from engine.report.outputs.output import FigureOutput, JobReport, Output
from engine.report.outputs.regression_table import check_estimates
from engine.report.outputs.specification_curve import curve_term
from engine.report.outputs.spoken_estimates import spoken_estimates
from engine.report.palette import GREY, INK
from engine.report.phrases import level_of

_LONGEST = 20.0
"""Intervals longer than so many times the median are cut."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def coefficient_figure(
    estimates: pd.DataFrame,
    term: str,
    *,
    title: str,
    subtitle: str = "",
    confidence: float = 0.95,
    words: Words = ENGLISH,
    columns: Mapping[Hashable, int] | None = None,
) -> Figure:
    """One coefficient over the cells of a sweep, the confidence intervals of all standard-error types side by side.

    Parameters
    ----------
    estimates : DataFrame
        Rows of one job of ``estimates.parquet``.
    term : str
        The coefficient shown; the column of a cell without it stays empty.
    columns : mapping of cell to int, optional
        Column of each cell in the table; default: in the order of the estimates.

    Raises
    ------
    InputError
        The estimates are not those of one job, or none is of ``term``.
    """
    rows = _rows_of(estimates, term)
    cells = list(dict.fromkeys(estimates["cell"]))
    numbers = columns or {cell: column for column, cell in enumerate(cells, start=1)}
    codes = in_order(rows["errors"])
    with figure_style():
        width = float(np.clip(0.72 * len(cells) + 1.6, 5.2, 12.0))
        figure, axes = canvas((width, 3.9), title=title, subtitle=subtitle)
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        offsets = (np.arange(len(codes)) - (len(codes) - 1) / 2) * 0.6 / max(len(codes), 2)
        offset_of = dict(zip(codes, offsets, strict=True))
        place_of = {cell: place for place, cell in enumerate(cells, start=1)}
        rows = rows.assign(x=rows["cell"].map(place_of) + rows["errors"].map(offset_of))
        for code in codes:
            look = look_of(code)
            if look is not None:
                _draw_markers(axes, rows[rows["errors"] == code], look=look, label=error_label(code, words))
        step = -(-len(cells) // 40)
        ticks = range(1, len(cells) + 1)[::step]
        axes.set_xticks(ticks, [f"({numbers[cell]})" for cell in cells[::step]])
        axes.set_xlim(0.4, len(cells) + 0.6)
        _cut_long_intervals(axes, rows)
        ylabel = words(
            "Coefficient of {term}, {level} interval", term=term, level=level_of(confidence, words)
        )
        axes.set(xlabel=words("Column of the table"), ylabel=ylabel)
        legend(figure, axes)
    return figure


def _draw_markers(axes: Axes, rows: pd.DataFrame, *, look: ErrorLook, label: str) -> None:
    columns = ("x", "estimate", "conf_low", "conf_high")
    x, estimate, low, high = (rows[name].to_numpy(float) for name in columns)
    axes.vlines(x, low, high, color=look.color, linewidth=look.linewidth, linestyle=look.linestyle, zorder=2)
    point: dict[str, Any] = {"marker": look.marker, "markersize": look.markersize, "color": look.color}
    point |= {"markeredgecolor": look.edge, "markeredgewidth": 0.8}
    point |= {"linestyle": "none", "zorder": 4}
    defined = np.isfinite(low) & np.isfinite(high)
    axes.plot(x[defined], estimate[defined], label=label, **point)
    # Hollow: there is an estimate, but no interval to go with it.
    axes.plot(x[~defined], estimate[~defined], markerfacecolor="white", **point)


def _cut_long_intervals(axes: Axes, rows: pd.DataFrame) -> None:
    """Leave the ends of intervals far longer than most outside: else no other would be seen. Triangles show where."""
    x, low, high = (rows[name].to_numpy(float) for name in ("x", "conf_low", "conf_high"))
    length = high - low
    known = length[np.isfinite(length)]
    most = _LONGEST * float(np.quantile(known, 0.5, method="lower")) if len(known) else np.inf
    if not (length > most).any():
        return
    usual = length <= most
    ends = np.concatenate([low[usual], high[usual], [0.0]])
    bottom, top = np.nanmin(ends), np.nanmax(ends)
    margin = 0.06 * (top - bottom)
    axes.set_ylim(bottom - margin, top + margin)
    at_edge = axes.get_xaxis_transform()
    for marker, y, is_cut in (("v", 0.0, low < bottom - margin), ("^", 1.0, high > top + margin)):
        (triangles,) = axes.plot(x[is_cut], np.full(is_cut.sum(), y), marker, color=INK, markersize=4)
        triangles.set(transform=at_edge, clip_on=False)


def coefficient_text(estimates: pd.DataFrame, term: str, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it: every column with the interval of its preferred type."""
    rows = _rows_of(estimates, term)
    cells = dict.fromkeys(estimates["cell"])
    columns = {cell: words("column {names}", names=column) for column, cell in enumerate(cells, start=1)}
    spoken = spoken_estimates(rows, [columns[cell] for cell in rows["cell"]], words)
    return words("Coefficient of {term}; {estimates}", term=term, estimates=spoken)


def _rows_of(estimates: pd.DataFrame, term: str) -> pd.DataFrame:
    check_estimates(estimates)
    rows = estimates[estimates["term"] == term]
    if rows.empty:
        terms = ", ".join(dict.fromkeys(estimates["term"]))
        raise InputError(f"there is no term '{term}'", where="estimates", remedy=f"name one of: {terms}")
    return rows


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """None for a single cell, and where the specification curve shows the same."""
    estimates, term = report.frames["estimates"], report.main_term
    if term is None or curve_term(report) is not None:
        return
    figure = coefficient_figure(
        estimates,
        term,
        title=report.title,
        subtitle=report.subtitle,
        confidence=report.confidence,
        words=report.words,
    )
    text = coefficient_text(estimates, term, report.words)
    yield FigureOutput("coefficients", f"{report.title}: {term}", text, figure)


COEFFICIENT_PLOT = Output(reads=("estimates",), figures=_figures)
