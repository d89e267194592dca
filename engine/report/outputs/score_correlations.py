"""Correlations of the scores of two pairs, by common city and by distance of their cities, as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from engine.report.figure_choices import letter_points, size_of
from engine.report.figure_style import figure_heading, figure_style
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, last_cell_in_doubt
from engine.report.palette import GREY, NAVY, ORANGE, SILVER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAME = StoredFrame(
    "score_correlations",
    text=("cell", "term"),
    numbers=("common_cities", "distance_low", "distance_high", "correlation", "band_low", "band_high"),
)


def correlations_figure(
    rows: pd.DataFrame, *, term: str, title: str, subtitle: str = "", words: Words = ENGLISH
) -> Figure:
    """Correlations by distance with the band of permuted places, and that of pairs with a common city.

    Parameters
    ----------
    rows : DataFrame
        Of one cell and term of ``score_correlations.parquet``.
    """
    from matplotlib.figure import Figure

    common, apart = rows[rows["common_cities"] == 1], rows[rows["common_cities"] == 0]
    middle = (apart["distance_low"] + apart["distance_high"]) / 2
    with figure_style():
        figure = Figure(figsize=size_of((5.6, 3.4)), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(
            middle, apart["band_low"], apart["band_high"], color=SILVER, alpha=0.4, linewidth=0,
            label=words("95% of permutations of the places"),
        )  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.plot(
            middle, apart["correlation"], color=NAVY, marker="o", markersize=4, label=words("no common city")
        )
        axes.plot(
            [0.0], common["correlation"], color=ORANGE, marker="D", markersize=6, linestyle="",
            label=words("a common city"),
        )  # fmt: skip
        axes.set_xlabel(words("Distance of a city of one pair to a city of the other, km"))
        axes.set_ylabel(words("Correlation of the scores of {term}", term=term))
        axes.legend(frameon=False, fontsize=letter_points(8))
        figure_heading(figure, title=title, subtitle=subtitle)
    return figure


def correlations_text(rows: pd.DataFrame, term: str, words: Words = ENGLISH) -> str:
    """The figure in words."""
    common, nearest = number(float(rows["correlation"].iloc[0])), _nearest(rows)
    if nearest is None:
        return words(
            "Scores of {term} of two pairs with a common city correlate by {common}; no two pairs without one have "
            "cities within {km} km.",
            term=term,
            common=common,
            km=f"{rows['distance_high'].max():g}",
        )
    return words(
        "Scores of {term} of two pairs with a common city correlate by {common}, of pairs without one whose cities are "
        "{least} to {most} km apart by {near} (95% of permutations of the places: {low} to {high}).",
        term=term,
        common=common,
        least=f"{nearest['distance_low']:g}",
        most=f"{nearest['distance_high']:g}",
        near=number(float(nearest["correlation"])),
        low=number(float(nearest["band_low"])),
        high=number(float(nearest["band_high"])),
    )


def correlations_sentences(report: JobReport) -> Iterator[str]:
    """Which standard error the last cell's correlations speak for; nothing where near cities are as far ones."""
    rows, term = _last_rows(report)
    nearest = _nearest(rows)
    if nearest is not None and nearest["correlation"] > nearest["band_high"]:
        yield report.words(
            "Scores of {term} of pairs without a common city correlate where their cities are near: spatial errors "
            "allow for that.",
            term=term,
        )


def _nearest(rows: pd.DataFrame) -> pd.Series | None:
    """The nearest distances at which there are pairs without a common city; None where there are none."""
    apart = rows[(rows["common_cities"] == 0) & rows["correlation"].notna()]
    return None if apart.empty else apart.iloc[0]


def _last_rows(report: JobReport) -> tuple[pd.DataFrame, str]:
    """Couples with a common city, then by distance."""
    rows, term = last_cell_in_doubt(report.frames[_FRAME.name])
    return rows.sort_values(["common_cities", "distance_low"], ascending=[False, True]), term


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """Of the last cell that has them."""
    rows, term = _last_rows(report)
    form, title = "{title}: dependence between pairs", report.cell_title(rows["cell"].iloc[0])
    figure = correlations_figure(
        rows,
        term=term,
        title=report.words(form, title=title),
        subtitle=report.subtitle,
        words=report.words,
    )
    text = correlations_text(rows, term, report.words)
    yield FigureOutput("score_correlations", report.words(form, title=title), text, figure)


SCORE_CORRELATIONS = Output(
    reads=(_FRAME.name,), stores=_FRAME, figures=_figures, sentences=correlations_sentences
)
