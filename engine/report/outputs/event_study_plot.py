"""The event study as a figure: effects by year since adoption, with a robust and a conventional interval."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.arrays import Array
from engine.errors import InputError
from engine.report.error_types import error_label, robust_and_conventional
from engine.report.figure_style import canvas, figure_style, in_lines, legend
from engine.report.language.wording import ENGLISH, Words
from engine.report.outputs.output import FigureOutput, JobReport, Manifest, Output, StoredFrame
from engine.report.outputs.spoken_estimates import spoken_estimates
from engine.report.palette import GREY, INK, NAVY, SKY
from engine.report.phrases import level_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


EVENT_STUDY = StoredFrame(
    "event_study",
    text=("cell", "term", "errors"),
    numbers=("event_time", "estimate", "std_error", "conf_low", "conf_high", "band_low", "band_high"),
)
"""Of every cell that has event years."""
EVENT_COLUMNS = (
    "job", "cell", "term", "event_time", "errors", "estimate", "std_error", "conf_low", "conf_high",
    "band_low", "band_high",
)  # fmt: skip
"""Of an event study; of a sweep it has one more a key."""
_DOT: dict[str, Any] = {"color": INK, "linestyle": "none", "marker": "o", "zorder": 5}
_TRIANGLE: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 5,
    "clip_on": False,
    "in_layout": False,
    "zorder": 4,
}
_HIGHEST_BAND, _BESIDE = (
    2.0,
    0.08,
)  # of the height of all intervals: a band within the figure, and the space beside them
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # between years that have a label
_CHARACTER = 0.09  # inches of width: a digit takes 0.08, a sign 0.1
_MARGINS = 1.4  # inches beside the axes


@dataclass(frozen=True)
class EventYears:
    """Meaning of the event years of a cell.

    Attributes
    ----------
    base : int or None
        The omitted event year, drawn hollow at zero; None where none is omitted.
    binned : bool
        Whether the first and last event year hold all earlier and later ones; they are then labelled so.
    window : (int, int) or None
        First and last event year of the job; None where those that are drawn are these.
    """

    base: int | None = -1
    binned: bool = True
    window: tuple[int, int] | None = None


def event_study_figure(
    event_study: pd.DataFrame,
    *,
    title: str,
    subtitle: str = "",
    event_years: EventYears = EventYears(),
    outcome: str = "",
    confidence: float = 0.95,
    words: Words = ENGLISH,
) -> Figure:
    """Event-study estimates with a wide bar of the preferred robust type and a thin pair-clustered line on it.

    Ticks on a thin line are the ends of the robust type's band, which covers all event years together; triangles stand
    for ends beyond the figure (`limit_axis`). Where pair-clustered errors are absent another conventional type, the
    two-way city errors, stands in for them.

    Parameters
    ----------
    event_study : DataFrame
        Rows of one cell of ``event_study.parquet``, the base period included or not.
    event_years : EventYears
    outcome : str
        Name of the outcome, as in ``estimates.parquet``, for the label of the effects.
    confidence : float
        The level of the intervals, for the legend.

    Raises
    ------
    InputError
        A column is missing, there are no rows, or the rows are of several cells.
    """
    _check_event_study(event_study)
    base = event_years.base
    years = sorted({*([] if base is None else [base]), *map(int, event_study["event_time"])})
    effects = event_study if base is None else event_study[event_study["event_time"] != base]
    with figure_style():
        width = min(max(6.3, 1.4 + 0.41 * len(years)), 12.0)  # a label of each year beside the next
        figure, axes = canvas((width, 3.9), title=title, subtitle=subtitle)
        labels = {year: event_label(year, years, event_years) for year in years}
        axes_of_event_years(axes, labels, outcome, words, base=base)
        _draw_intervals(axes, effects, confidence, words)
        points = effects.drop_duplicates("event_time")
        axes.plot(points["event_time"], points["estimate"], markersize=5, label=words("estimate"), **_DOT)
        draw_base(axes, base, words)
        legend(figure, axes)
    return figure


def axes_of_event_years(
    axes: Axes, labels: Mapping[int, str], outcome: str, words: Words, *, base: int | None
) -> None:
    """Lines at zero and at adoption, a tick for every event year, labels that fit, and what the axes show."""
    years, figure = list(labels), axes.figure
    inches = (figure.bbox.width / figure.dpi - _MARGINS) / (years[-1] - years[0] + 1.2)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(-0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    shown = _years_with_label(labels, inches, base or 0)
    axes.set_xticks(years, [labels[year] if year in shown else "" for year in years])
    axes.set_xlim(years[0] - 0.6, years[-1] + 0.6)
    effect = words("Effect on {outcome}", outcome=words.outcome(outcome)) if outcome else words("Effect")
    axes.set(
        xlabel=words("Years relative to adoption"),
        ylabel=in_lines(effect, 0.92 * figure.bbox.height / figure.dpi),
    )


def _years_with_label(labels: Mapping[int, str], inches: float, start: int) -> set[int]:
    """The first and last year, and from ``start`` on both sides as many as fit, in steps of equal length.

    Parameters
    ----------
    labels : mapping of int to str
        Of all years, in their order.
    inches : float
        From a year to the next.
    """
    first, last = min(labels), max(labels)
    half = {year: _CHARACTER * (len(label) + 1) / 2 for year, label in labels.items()}

    def apart(earlier: int, later: int) -> bool:
        return (later - earlier) * inches >= half[earlier] + half[later]

    inner = [year for year in labels if apart(first, year) and apart(year, last)]
    for step in _STEPS:
        shown = [year for year in inner if (year - start) % step == 0]
        if all(map(apart, shown, shown[1:])):
            return {first, *shown, last}
    return {first, last}


def _draw_intervals(axes: Axes, effects: pd.DataFrame, confidence: float, words: Words) -> None:
    """The robust interval as a wide bar with the ends of its band, and the conventional one as a thin line on it."""
    codes = robust_and_conventional(effects["errors"])
    if codes[0]:
        limit_axis(axes, effects[effects["errors"].isin(codes)], effects[effects["errors"] == codes[0]])
        draw_band(axes, effects[effects["errors"] == codes[0]], SKY, confidence, words)
    for code, width, color in zip(codes, (9.0, 1.6), (SKY, NAVY), strict=True):
        if code:
            label = words(
                "{level} interval, {kind}", level=level_of(confidence, words), kind=error_label(code, words)
            )
            _intervals(axes, effects[effects["errors"] == code], width=width, color=color, label=label)


def _intervals(axes: Axes, rows: pd.DataFrame, *, width: float, color: str, label: str) -> None:
    defined = rows[np.isfinite(rows["conf_low"]) & np.isfinite(rows["conf_high"])]
    x, low, high = (defined[name].to_numpy(float) for name in ("event_time", "conf_low", "conf_high"))
    axes.vlines(x, low, high, linewidth=width, color=color, label=label, zorder=3 - width / 10)
    for year, estimate in rows.drop(defined.index)[["event_time", "estimate"]].to_numpy(float):
        # A point without an interval would read as a very precise one.
        axes.annotate("n/a", (year, estimate), xytext=(6, 4), textcoords="offset points", color=GREY)


def draw_band(axes: Axes, rows: pd.DataFrame, color: str, confidence: float, words: Words) -> None:
    """The band of all event years together, where there are several and it is defined."""
    defined = rows[np.isfinite(rows["band_low"]) & np.isfinite(rows["band_high"])]
    if len(defined) < 2:
        return
    x, low, high = (defined[name].to_numpy(float) for name in ("event_time", "band_low", "band_high"))
    axes.vlines(x, low, high, linewidth=0.9, color=color, zorder=1.5)
    label = words("{level} band of all years together", level=level_of(confidence, words))
    bottom, top = axes.get_ylim() if not axes.get_autoscaley_on() else (-np.inf, np.inf)
    ends = np.concatenate([low, high])
    ends[(ends < bottom) | (ends > top)] = np.nan
    axes.plot(
        np.tile(x, 2), ends, color=color, linestyle="none", marker="_",
        markersize=9, markeredgewidth=1.2, label=label, zorder=1.5,
    )  # fmt: skip
    mark_ends_beyond(axes, x, defined, color)
    label_ends_beyond(axes, rows, color, words)


def limit_axis(axes: Axes, intervals: pd.DataFrame, bands: pd.DataFrame) -> None:
    """Let bands leave the figure that are more than twice as high as all intervals, which they would press together."""
    ends = intervals[["conf_low", "conf_high", "estimate"]].to_numpy(float)
    of_bands = bands[["band_low", "band_high"]].to_numpy(float)
    shown, of_bands = np.append(ends[np.isfinite(ends)], 0.0), of_bands[np.isfinite(of_bands)]
    height = np.ptp(shown)
    if len(of_bands) and height > 0 and np.ptp(np.append(of_bands, 0.0)) > _HIGHEST_BAND * height:
        axes.set_ylim(shown.min() - _BESIDE * height, shown.max() + _BESIDE * height)


def mark_ends_beyond(axes: Axes, x: Array, bands: pd.DataFrame, color: str) -> None:
    """A triangle at the edge for each end of a band that is beyond the axis."""
    if axes.get_autoscaley_on():
        return
    bottom, top = axes.get_ylim()
    below, above = (bands["band_low"] < bottom).to_numpy(), (bands["band_high"] > top).to_numpy()
    for marker, edge, beyond in (("v", bottom, below), ("^", top, above)):
        axes.plot(x[beyond], np.full(beyond.sum(), edge), color=color, marker=marker, **_TRIANGLE)


def label_ends_beyond(axes: Axes, bands: pd.DataFrame, color: str, words: Words) -> None:
    """An entry of the legend for the triangles, where there are any."""
    bottom, top = axes.get_ylim()
    if not axes.get_autoscaley_on() and ((bands["band_low"] < bottom) | (bands["band_high"] > top)).any():
        axes.plot([], [], color=color, marker="^", label=words("band beyond the figure"), **_TRIANGLE)


def draw_base(axes: Axes, base: int | None, words: Words) -> None:
    """Any reference period hollow at zero."""
    if base is not None:
        label = words("reference period ({year})", year=signed(base))
        axes.plot([base], [0.0], **_DOT, markerfacecolor="white", markersize=6, label=label)


def event_label(year: int, years: Sequence[int], event_years: EventYears) -> str:
    """Years at the ends hold all earlier and later ones where they are binned; the first only where one is omitted."""
    first, last = event_years.window or (years[0], years[-1])
    if event_years.binned and year == years[-1] == last:
        return f"≥ {signed(year)}"
    if event_years.binned and year == years[0] == first and event_years.base is not None:
        return f"≤ {signed(year)}"
    return signed(year)


def signed(year: int) -> str:
    """An event year with a true minus sign."""
    return str(year).replace("-", "\N{MINUS SIGN}")


def event_years_text(event_study: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it: every event year with the interval of its preferred type."""
    _check_event_study(event_study)
    rows = event_study.sort_values("event_time", kind="stable")
    names = [words("year {year}", year=year) for year in rows["event_time"]]
    return words("Event study; {estimates}", estimates=spoken_estimates(rows, names, words))


def _check_event_study(event_study: pd.DataFrame) -> None:
    columns = ("cell", "event_time", "errors", "estimate", "conf_low", "conf_high", "band_low", "band_high")
    missing = [name for name in columns if name not in event_study.columns]
    remedy = "run the job again with this version: dyadid run JOB"
    if missing:
        raise InputError(f"the column '{missing[0]}' is missing", where="event_study", remedy=remedy)
    if event_study.empty:
        raise InputError("there are no rows", where="event_study", remedy=remedy)
    if event_study.duplicated(["event_time", "errors"]).any() or event_study["cell"].nunique() > 1:
        raise InputError(
            "the rows are of several cells", where="event_study", remedy="draw one figure for each cell"
        )


def _window(design: Manifest) -> tuple[int, int] | None:
    """Of a manifest; None of one that an earlier version wrote."""
    window = design.get("window")
    return (window[0], window[1]) if window else None


def event_years_of(report: JobReport, cell: Hashable) -> EventYears:
    """Meaning of the event years of a cell, as its manifest has it."""
    designs = {entry["cell"]: entry.get(EVENT_STUDY.name) for entry in report.manifest["cells"]}
    design = designs[cell]
    return EventYears(design["base"], design["ends"] == "bin", _window(design))


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    """One a cell that has an event study."""
    estimates, event_study = report.frames["estimates"], report.frames[EVENT_STUDY.name]
    cells = [cell for cell in report.manifest["cells"] if EVENT_STUDY.name in cell]
    for cell in cells:
        rows = event_study[event_study["cell"] == cell["cell"]]
        only = len(cells) == 1
        title = report.title if only else f"{report.title}: {cell['label']}"
        figure = event_study_figure(
            rows,
            title=title,
            subtitle=report.subtitle,
            event_years=event_years_of(report, cell["cell"]),
            outcome=str(estimates.loc[estimates["cell"] == cell["cell"], "outcome"].iloc[0]),
            confidence=report.confidence_of(cell["cell"]),
            words=report.words,
        )
        name = EVENT_STUDY.name if only else f"{EVENT_STUDY.name}_{cell['number']}"
        yield FigureOutput(name, title, event_years_text(rows, report.words), figure)


EVENT_STUDY_PLOT = Output(reads=("estimates", EVENT_STUDY.name), stores=EVENT_STUDY, figures=_figures)
