"""How far a conclusion holds where trends were not parallel: sets of the effect by size of the violation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import isinf, isnan
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.report.error_types import error_phrase
from engine.report.figure_style import canvas, figure_style, in_lines
from engine.report.language.wording import Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, TableOutput
from engine.report.palette import GREY, INK, NAVY
from engine.report.phrases import in_columns
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAME = StoredFrame(
    "honest",
    text=("job", "cell", "errors", "effect", "kind", "direction", "course"),
    numbers=("size", "estimate", "conf_low", "conf_high", "breakdown"),
)
HONEST_COLUMNS = (*_FRAME.text, *_FRAME.numbers)
_PARALLEL = "parallel_trends"


def honest_table(report: JobReport, cell: Hashable) -> PrintedTable:
    """One row a size: the ends of the set."""
    words, sets = report.words, report.rows_of(_FRAME.name, cell)
    rows = [
        Row(
            "fit",
            words("parallel trends") if record["kind"] == _PARALLEL else f"{record['size']:.4g}",
            (_end(record["conf_low"], words), _end(record["conf_high"], words)),
        )
        for record in sets.to_dict("records")
    ]
    level = f"{100 * report.confidence_of(cell):.10g}%"
    return PrintedTable(
        title=_title(report, cell),
        header=(words("Low"), words("High")),
        rows=tuple(rows),
        notes=(
            words("{effect}: {level} sets; {assumed}.", effect=_effect(sets, words), level=level,
                  assumed=_assumed(sets, words)),
            words("Under {kind}; Rambachan and Roth (2023).", kind=error_phrase(str(sets["errors"].iloc[0]), words)),
        ),
        stub=words("Largest violation"),
        words=words,
    )  # fmt: skip


def honest_figure(report: JobReport, cell: Hashable) -> Figure:
    """The interval with parallel trends, then the set of every size; none where it is empty or has no end."""
    words, sets = report.words, report.rows_of(_FRAME.name, cell)
    parallel = (sets["kind"] == _PARALLEL).to_numpy()
    low, high = sets["conf_low"].to_numpy(float), sets["conf_high"].to_numpy(float)
    shown = np.isfinite(low) & np.isfinite(high)
    places = np.arange(len(sets))
    with figure_style():
        figure, axes = canvas((6.3, 3.6), title=_title(report, cell), subtitle=report.subtitle)
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        for which, color in ((parallel & shown, INK), (~parallel & shown, NAVY)):
            middle = (low[which] + high[which]) / 2
            axes.errorbar(
                places[which], middle, yerr=(high[which] - low[which]) / 2, fmt="none", ecolor=color,
                elinewidth=1.6, capsize=4, zorder=3,
            )  # fmt: skip
        axes.plot(
            places[parallel],
            sets["estimate"][parallel],
            marker="o",
            color=INK,
            linestyle="none",
            markersize=5,
        )
        labels = np.where(parallel, words("parallel trends"), [f"{size:.4g}" for size in sets["size"]])
        axes.set_xticks(places, labels.tolist())
        axes.set_xlim(-0.6, len(sets) - 0.4)
        axes.set(
            xlabel=words(_SIZES[_kind(sets)]),
            ylabel=in_lines(_effect(sets, words), 0.92 * figure.get_figheight()),
        )
    return figure


_SIZES = {
    "relative_magnitudes": "Largest change of the difference in trends, in multiples of the largest before adoption",
    "smoothness": "Largest change of the slope of the difference in trends, a year",
}
_ASSUMED = {
    "relative_magnitudes": "from adoption on trends differ from a year to the next by at most so many times the "
    "largest change before",
    "smoothness": "the slope of the difference in trends changes by at most so much a year",
}
_FURTHER = {
    "positive": "the difference is not negative from adoption on",
    "negative": "the difference is not positive from adoption on",
    "increasing": "it never falls",
    "decreasing": "it never rises",
}


def honest_sentences(report: JobReport) -> Iterator[str]:
    """The breakdown value of every cell in words."""
    for cell, _ in report.cells_of(_FRAME.name):
        yield report.words("{sentence}.", sentence=_sentence(report, cell))


def _sentence(report: JobReport, cell: Hashable) -> str:
    words, sets = report.words, report.rows_of(_FRAME.name, cell)
    breakdown, effect = float(sets["breakdown"].iloc[-1]), _effect(sets, words)
    if sets["conf_low"][sets["kind"] != _PARALLEL].isna().all():
        form = "{effect} has no set: the estimates contradict what is assumed of trends"
    elif breakdown == 0:
        form = "{effect} is not told from zero even without a violation"
    elif isinf(breakdown):
        form = "{effect} differs from zero whatever the size of the violation"
    elif _kind(sets) == "smoothness":
        form = (
            "{effect} differs from zero as long as the slope of the difference in trends changes by at most {size} a "
            "year"
        )
    else:
        form = (
            "{effect} differs from zero as long as trends differ, from a year to the next, by at most {size} times the "
            "largest change before adoption"
        )
    sentence = words(form, effect=effect, size=number(breakdown))
    return in_columns(sentence, report.column_phrase(cell), words)


def _kind(sets: pd.DataFrame) -> str:
    return str(sets["kind"].iloc[-1])


def _effect(sets: pd.DataFrame, words: Words) -> str:
    effect = str(sets["effect"].iloc[0])
    return (
        words("Average effect from adoption on")
        if effect == "average"
        else words("Effect of event year {year}", year=effect)
    )


def _assumed(sets: pd.DataFrame, words: Words) -> str:
    last = sets.iloc[-1]
    parts = [
        _ASSUMED[str(last["kind"])],
        *(_FURTHER[str(last[key])] for key in ("direction", "course") if last[key]),
    ]
    return words("; ").join(words(part) for part in parts)


def _end(value: float, words: Words) -> Entry:
    if isinf(value):
        return Entry("∞" if value > 0 else "-∞")
    return Entry(words("none")) if isnan(value) else number_entry(value)


def _title(report: JobReport, cell: Hashable) -> str:
    return report.words("{title}: trends that were not parallel", title=report.cell_title(cell))


def _tables(report: JobReport) -> Iterator[TableOutput]:
    for cell, ending in report.cells_of(_FRAME.name):
        yield TableOutput(f"table_honest{ending}", honest_table(report, cell))


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    for cell, ending in report.cells_of(_FRAME.name):
        text = report.words("{sentence}.", sentence=_sentence(report, cell))
        yield FigureOutput(f"honest{ending}", _title(report, cell), text, honest_figure(report, cell))


HONEST_TRENDS = Output(
    reads=(_FRAME.name,), stores=_FRAME, tables=_tables, figures=_figures, sentences=honest_sentences
)
