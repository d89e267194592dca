"""The influence of single cities: how far the estimate moves when one is left out, as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.report.figure_choices import size_of
from engine.report.figure_style import figure_heading, figure_style
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, last_cell_in_doubt
from engine.report.palette import GREY, SKY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_FRAME = StoredFrame("influence", text=("cell", "term"), numbers=("estimate", "shift"))


def influence_figure(
    influence: pd.DataFrame,
    *,
    term: str,
    title: str,
    subtitle: str = "",
    count: int = 15,
    words: Words = ENGLISH,
) -> Figure:
    """Shifts of the estimate when a city, or a group, is left out: the largest ones, sorted.

    Parameters
    ----------
    influence : DataFrame
        Rows of one cell and term of ``influence.parquet``.
    count : int
        How many of the largest shifts are drawn.
    """
    from matplotlib.figure import Figure

    finite = influence[np.isfinite(influence["shift"])]
    rows = finite.reindex(finite["shift"].abs().sort_values(ascending=False).index).head(count)
    rows = rows.sort_values("shift")
    with figure_style():
        figure = Figure(figsize=size_of((5.6, 1.1 + 0.24 * len(rows))), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(rows)), rows["shift"], color=SKY, height=0.7)
        axes.set_yticks(range(len(rows)), rows["left_out"].astype(str).tolist())
        axes.axvline(0, color=GREY, linewidth=0.8)
        form = "Shift of the coefficient of {term} when left out"
        if len(finite) > len(rows):
            form += ": {shown} largest of {count}"
        axes.set_xlabel(words(form, term=term, shown=len(rows), count=len(finite)))
        figure_heading(figure, title=title, subtitle=subtitle)
    return figure


def influence_text(influence: pd.DataFrame, term: str, words: Words = ENGLISH) -> str:
    """The figure in words: the five largest shifts; and the largest partial leverages."""
    rows = influence.reindex(influence["shift"].abs().sort_values(ascending=False).index).head(5)
    parts = [f"{row.left_out}: {number(float(row.shift))}" for row in rows.itertuples()]  # type: ignore[arg-type]
    shifts = words("; ").join(parts)
    if "partial_leverage" not in influence or influence["partial_leverage"].isna().all():
        # Averages over cohorts have none, nor have folders of earlier versions.
        form = "Largest shifts of the coefficient of {term} when one is left out: {shifts}."
        return words(form, term=term, shifts=shifts)
    largest = influence.nlargest(5, "partial_leverage")
    shares = [f"{row.left_out}: {row.partial_leverage:.0%}" for row in largest.itertuples()]
    return words(
        "Largest shifts of the coefficient of {term} when one is left out: {shifts}. Largest shares of their pairs in "
        "what identifies it (partial leverage): {shares}.",
        term=term,
        shifts=shifts,
        shares=words("; ").join(shares),
    )


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """Of the last cell that has them."""
    rows, term = last_cell_in_doubt(report.frames[_FRAME.name])
    form, title = "{title}: influence", report.cell_title(rows["cell"].iloc[0])
    figure = influence_figure(
        rows,
        term=term,
        title=report.words(form, title=title),
        subtitle=report.subtitle,
        words=report.words,
    )
    text = influence_text(rows, term, report.words)
    yield FigureOutput("influence", report.words(form, title=title), text, figure)


CITY_INFLUENCE = Output(reads=(_FRAME.name,), stores=_FRAME, figures=_figures)
