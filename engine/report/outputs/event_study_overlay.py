"""Event studies of several cells in one figure: estimators, or samples, side by side in every event year."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.report.error_types import error_label, preferred
from engine.report.figure_style import canvas, figure_style, legend
from engine.report.language.wording import ENGLISH, Words
from engine.report.outputs.event_study_plot import (
    EVENT_STUDY,
    axes_of_event_years,
    draw_base,
    event_years_text,
    label_ends_beyond,
    limit_axis,
    mark_ends_beyond,
    signed,
)
from engine.report.outputs.output import FigureOutput, JobReport, Manifest, Output
from engine.report.palette import GREY, INK, NAVY, ORANGE, SILVER, SKY
from engine.report.phrases import level_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = (
    ("o", INK),
    ("s", ORANGE),
    ("D", SKY),
    ("^", NAVY),
    ("v", GREY),
    ("P", SILVER),
    ("X", ORANGE),
    ("*", SKY),
)
"""Marker and colour of each cell, as many as can be told apart."""
_SPREAD = 0.7  # of the distance between two event years


def event_studies_figure(
    event_studies: Mapping[str, pd.DataFrame],
    *,
    title: str,
    subtitle: str = "",
    base: int | None = None,
    outcome: str = "",
    confidence: float = 0.95,
    words: Words = ENGLISH,
) -> Figure:
    """Estimates of several cells by event year, each with interval and band of its preferred standard error.

    Drawn are the event years that two cells have at least; all, where no two have one in common.

    Parameters
    ----------
    event_studies : mapping of str to DataFrame
        Rows of ``event_study.parquet`` of each cell, by the cell's label; two to eight of them.
    base : int or None
        The omitted event year, drawn hollow at zero; None where none is omitted, or not the same by all that omit any.
    outcome : str
        Name of the outcome, as in ``estimates.parquet``, for the label of the effects.
    confidence : float
        The level of the intervals, for the legend.
    """
    shown = {
        label: rows[rows["errors"] == preferred(rows["errors"])] for label, rows in event_studies.items()
    }
    counts = pd.concat(list(shown.values()))["event_time"].astype(int).value_counts()
    common = counts.index[counts >= min(2, counts.max())].tolist()
    years = sorted({*common, *([] if base is None else [base])})
    offsets = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(shown))
    with figure_style():
        width = min(max(6.3, 1.4 + 0.16 * len(shown) * len(years)), 12.0)
        figure, axes = canvas((width, 4.2), title=title, subtitle=subtitle)
        axes_of_event_years(axes, {year: signed(year) for year in years}, outcome, words, base=base)
        drawn = pd.concat([rows[rows["event_time"].isin(years)] for rows in shown.values()])
        limit_axis(axes, drawn, drawn)
        for (label, every_row), offset, (marker, color) in zip(shown.items(), offsets, MARKS, strict=False):
            rows = every_row[every_row["event_time"].isin(years)]
            x = rows["event_time"].to_numpy(float) + offset
            axes.vlines(x, rows["conf_low"], rows["conf_high"], color=color, linewidth=1.8, zorder=2)
            axes.vlines(x, rows["band_low"], rows["band_high"], color=color, linewidth=0.6, zorder=2)
            axes.scatter(x, rows["estimate"], s=20, color=color, marker=marker, label=label, zorder=3)
            mark_ends_beyond(axes, x, rows, color)
        draw_base(axes, base, words)
        _explain_lines(axes, drawn, confidence, words)
        legend(figure, axes)
    return figure


def _explain_lines(axes: Axes, drawn: pd.DataFrame, confidence: float, words: Words) -> None:
    """Entries of the legend for intervals and bands, which all cells have in their own colours."""
    for code in drawn["errors"].unique():
        kind = words(
            "{level} interval, {kind}", level=level_of(confidence, words), kind=error_label(code, words)
        )
        axes.plot([], [], color=GREY, linewidth=1.8, label=kind)
    if np.isfinite(drawn["band_low"]).any():
        band = words("{level} band of all years together", level=level_of(confidence, words))
        axes.plot([], [], color=GREY, linewidth=0.6, label=band)
    label_ends_beyond(axes, drawn, GREY, words)


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """One of all cells that have an event study of one outcome, where their number can be told apart."""
    cells = [cell for cell in report.manifest["cells"] if EVENT_STUDY.name in cell]
    estimates = report.frames["estimates"]
    outcomes = estimates.loc[estimates["cell"].isin([cell["cell"] for cell in cells]), "outcome"].unique()
    if not 2 <= len(cells) <= len(MARKS) or len(outcomes) != 1:
        return
    bases = {cell[EVENT_STUDY.name]["base"] for cell in cells} - {None}
    event_studies = {str(cell["label"]): _without_base(report, cell) for cell in cells}
    title = report.words("{title}: side by side", title=report.title)
    figure = event_studies_figure(
        event_studies,
        title=report.words("{title}: side by side", title=report.title),
        subtitle=report.subtitle,
        base=bases.pop() if len(bases) == 1 else None,
        outcome=str(outcomes[0]),
        confidence=report.confidence,
        words=report.words,
    )
    texts = [f"{label}: {event_years_text(rows, report.words)}" for label, rows in event_studies.items()]
    yield FigureOutput("event_studies", title, " ".join(texts), figure)


def _without_base(report: JobReport, cell: Manifest) -> pd.DataFrame:
    """Rows of a cell's event study but those of the omitted year, which is zero in every cell."""
    rows = report.frames[EVENT_STUDY.name]
    return rows[(rows["cell"] == cell["cell"]) & (rows["event_time"] != cell[EVENT_STUDY.name]["base"])]


EVENT_STUDY_OVERLAY = Output(reads=("estimates", EVENT_STUDY.name), figures=_figures)
