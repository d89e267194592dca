"""Figures for the paper: event studies, and coefficients with every kind of interval side by side.

Matplotlib is imported inside the functions, since most runs draw nothing; the object-oriented interface
keeps its global state alone, and metadata carry no time, so equal numbers give equal bytes.
"""

from __future__ import annotations

import io
import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.report.error_types import ERROR_LOOKS, error_label, preferred, robust_and_conventional
from engine.report.language.wording import ENGLISH, Words
from engine.report.palette import GREY, GRID, INK, NAVY, SKY
from engine.report.tables import check_estimates, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
    "Arial Unicode MS",
)
_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.unicode_minus": True,
    "text.parse_math": False,
}


def event_study_figure(
    event_study: pd.DataFrame,
    *,
    title: str,
    subtitle: str = "",
    base: int = -1,
    binned: bool = True,
    xlabel: str = "Years since the pair's adoption",
    outcome: str = "",
    confidence: float = 0.95,
    words: Words = ENGLISH,
) -> Figure:
    """Event-study estimates with a wide dyadic-robust bar and a thin pair-clustered line on it.

    Where one of the two kinds is absent the jackknife stands in for the dyadic errors, the two-way city
    errors for the pair-clustered ones.

    Parameters
    ----------
    event_study : DataFrame
        Rows of one cell of ``event_study.parquet``, the base period included or not.
    base : int
        The omitted event year, drawn hollow at zero.
    outcome : str
        Name of the outcome, as in ``estimates.parquet``, for the label of the effects.
    binned : bool
        Whether the first and last event year hold all earlier and later ones; they are then labelled so.
    confidence : float
        The level of the intervals, for the legend.

    Raises
    ------
    InputError
        A column is missing, there are no rows, or the rows are of several cells.
    """
    _check_event_study(event_study)
    with figure_style():
        figure, axes = _canvas((6.3, 3.9), title=title, subtitle=subtitle)
        years = sorted({base, *map(int, event_study["event_time"])})
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        axes.axvline(-0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        shown = event_study[event_study["event_time"] != base]
        for kind, width, color in zip(
            robust_and_conventional(shown["errors"]), (9.0, 1.6), (SKY, NAVY), strict=True
        ):
            if kind:
                label = words(
                    "{level} interval, {kind}", level=f"{confidence:.0%}", kind=error_label(kind, words)
                )
                _intervals(axes, shown[shown["errors"] == kind], width=width, color=color, label=label)
        points = shown.drop_duplicates("event_time")
        dot: dict[str, Any] = {"color": INK, "linestyle": "none", "marker": "o", "zorder": 5}
        axes.plot(points["event_time"], points["estimate"], markersize=5, label=words("estimate"), **dot)
        hollow: dict[str, Any] = {
            "markerfacecolor": "white",
            "markersize": 6,
            "label": words("base year ({year})", year=_signed(base)),
        }
        axes.plot([base], [0.0], **dot, **hollow)
        axes.set_xticks(years, _event_labels(years, binned=binned))
        axes.set_xlim(years[0] - 0.6, years[-1] + 0.6)
        effect = words("Effect on {outcome}", outcome=words.outcome(outcome)) if outcome else words("Effect")
        axes.set(xlabel=words.known(xlabel), ylabel=in_lines(effect, 3.6))
        _legend(figure, axes)
    return figure


def coefficient_figure(
    estimates: pd.DataFrame,
    term: str,
    *,
    title: str,
    subtitle: str = "",
    labels: Sequence[str] | None = None,
    xlabel: str = "Column of the table",
    confidence: float = 0.95,
    words: Words = ENGLISH,
) -> Figure:
    """One coefficient over the cells of a sweep, every kind of confidence interval side by side.

    Parameters
    ----------
    estimates : DataFrame
        Rows of one job of ``estimates.parquet``.
    term : str
        The coefficient shown; cells without it keep their place empty.
    labels : sequence of str, optional
        Tick labels, one a cell; default the numbers of the table's columns.

    Raises
    ------
    InputError
        The estimates are not those of one job, or none is of ``term``.
    """
    rows = _rows_of(estimates, term)
    cells = list(dict.fromkeys(estimates["cell"]))
    places = {cell: place for place, cell in enumerate(cells, start=1)}
    kinds = [kind for kind in ERROR_LOOKS if (rows["errors"] == kind).any()]
    with figure_style():
        width = float(np.clip(0.72 * len(cells) + 1.6, 5.2, 12.0))
        figure, axes = _canvas((width, 3.9), title=title, subtitle=subtitle)
        axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        for rank, kind in enumerate(kinds):
            found = rows[rows["errors"] == kind]
            offset = (rank - (len(kinds) - 1) / 2) * 0.6 / max(len(kinds), 2)
            x = found["cell"].map(places).to_numpy(float) + offset
            _markers(axes, found, x, kind=kind, label=error_label(kind, words))
        texts = list(labels) if labels else [f"({place})" for place in places.values()]
        step = -(-len(cells) // 40)
        axes.set_xticks(list(places.values())[::step], texts[::step])
        axes.set_xlim(0.4, len(cells) + 0.6)
        ylabel = words("Coefficient of {term}, {level} interval", term=term, level=f"{confidence:.0%}")
        axes.set(xlabel=words.known(xlabel), ylabel=ylabel)
        _legend(figure, axes)
    return figure


def event_study_text(event_study: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it: every event year with its dyadic-robust interval."""
    _check_event_study(event_study)
    rows = event_study.sort_values("event_time", kind="stable")
    names = [words("year {year}", year=year) for year in rows["event_time"]]
    return words("Event study; {estimates}", estimates=_spoken(rows, names, words))


def coefficient_text(estimates: pd.DataFrame, term: str, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it: every column with its dyadic-robust interval."""
    rows = _rows_of(estimates, term)
    cells = dict.fromkeys(estimates["cell"])
    places = {cell: words("column {names}", names=place) for place, cell in enumerate(cells, start=1)}
    spoken = _spoken(rows, [places[cell] for cell in rows["cell"]], words)
    return words("Coefficient of {term}; {estimates}", term=term, estimates=spoken)


def _spoken(rows: pd.DataFrame, names: Sequence[str], words: Words) -> str:
    kind = preferred(rows["errors"]) or ""
    values = rows[["estimate", "conf_low", "conf_high"]].to_numpy(float)
    parts = [
        f"{name}: {number(estimate)} [{number(low)}, {number(high)}]"
        for name, errors, (estimate, low, high) in zip(names, rows["errors"], values, strict=True)
        if errors == kind
    ]
    label = error_label(kind, words)
    return words("estimates with {kind} intervals. {parts}.", kind=label, parts=words("; ").join(parts))


def figure_bytes(figure: Figure, form: Literal["pdf", "png"], *, dpi: int = 200) -> bytes:
    """The figure as a PDF or PNG file; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.text import Text

    stream = io.BytesIO()
    written = "".join(text.get_text() for text in figure.findobj(Text))
    # Chinese fonts come as OpenType with PostScript outlines, which may not be embedded as Type 42.
    fonttype = 3 if max(written, default=" ") >= "\u2e80" else 42
    with figure_style({"pdf.fonttype": fonttype}), _missing_glyphs_logged():
        if form == "pdf":
            metadata = {"CreationDate": None, "Creator": None, "Producer": None}
            FigureCanvasPdf(figure).print_figure(stream, format="pdf", metadata=metadata)
        else:
            FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def _rows_of(estimates: pd.DataFrame, term: str) -> pd.DataFrame:
    check_estimates(estimates)
    rows = estimates[estimates["term"] == term]
    if rows.empty:
        known = ", ".join(dict.fromkeys(estimates["term"]))
        raise InputError(f"there is no term '{term}'", where="estimates", remedy=f"name one of: {known}")
    return rows


def _check_event_study(event_study: pd.DataFrame) -> None:
    columns = ("cell", "event_time", "errors", "estimate", "conf_low", "conf_high")
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


def _intervals(axes: Axes, rows: pd.DataFrame, *, width: float, color: str, label: str) -> None:
    defined = rows[np.isfinite(rows["conf_low"]) & np.isfinite(rows["conf_high"])]
    x, low, high = (defined[name].to_numpy(float) for name in ("event_time", "conf_low", "conf_high"))
    axes.vlines(x, low, high, linewidth=width, color=color, label=label, zorder=3 - width / 10)
    for year, estimate in rows.drop(defined.index)[["event_time", "estimate"]].to_numpy(float):
        # A point without an interval would read as a very precise one.
        axes.annotate("n/a", (year, estimate), xytext=(6, 4), textcoords="offset points", color=GREY)


def _markers(axes: Axes, rows: pd.DataFrame, x: np.ndarray, *, kind: str, label: str) -> None:
    estimate, low, high = (rows[name].to_numpy(float) for name in ("estimate", "conf_low", "conf_high"))
    look = ERROR_LOOKS[kind]
    axes.vlines(x, low, high, color=look.color, linewidth=look.linewidth, linestyle=look.linestyle, zorder=2)
    point: dict[str, Any] = {"marker": look.marker, "markersize": look.markersize, "color": look.color}
    point |= {"markeredgecolor": look.edge, "markeredgewidth": 0.8}
    point |= {"linestyle": "none", "zorder": 4}
    defined = np.isfinite(low) & np.isfinite(high)
    axes.plot(x[defined], estimate[defined], label=label, **point)
    # Hollow: there is an estimate, but no interval to go with it.
    axes.plot(x[~defined], estimate[~defined], markerfacecolor="white", **point)


def _event_labels(years: Sequence[int], *, binned: bool) -> list[str]:
    labels = [_signed(year) for year in years]
    if binned:
        labels[0], labels[-1] = f"≤ {labels[0]}", f"≥ {labels[-1]}"
    return labels


def _signed(year: int) -> str:
    return str(year).replace("-", "\N{MINUS SIGN}")


def _canvas(size: tuple[float, float], *, title: str, subtitle: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    axes = figure.add_subplot()
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    heading(axes, title=title, subtitle=subtitle, width=size[0])
    return figure, axes


def heading(axes: Axes, *, title: str, subtitle: str, width: float) -> None:
    """Title, in lines that fit a figure ``width`` inches wide, and subtitle, above the axes."""
    above: dict[str, Any] = {
        "xy": (0, 1),
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
    }
    if subtitle:
        axes.annotate(subtitle, xytext=(0, 9), fontsize=9, color=GREY, **above)
    if title:
        height = 25 if subtitle else 9
        axes.annotate(
            in_lines(title, width), xytext=(0, height), fontsize=11, fontweight="bold", color=INK, **above
        )


def in_lines(title: str, width: float, subtitle: str = "") -> str:
    """A title in lines that fit into ``width`` inches, and the subtitle below."""
    lines = textwrap.fill(title, int(width * 10))
    return f"{lines}\n{subtitle}" if subtitle else lines


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2 if len(labels) > 2 else 1)


def drawable(words: Words) -> Words:
    """These words where a font that can draw them is installed, else English ones."""
    from matplotlib.font_manager import fontManager

    return words if words == ENGLISH or set(_CHINESE) & set(fontManager.get_font_names()) else ENGLISH


@contextmanager
def figure_style(more: dict[Any, Any] | None = None) -> Iterator[None]:
    """The look of all figures, with a Chinese font where one is installed."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    family = ["DejaVu Sans", *(name for name in _CHINESE if name in installed)]
    with matplotlib.rc_context({**_STYLE, **(more or {}), "font.family": family}):
        yield


@contextmanager
def _missing_glyphs_logged() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing = [warning for warning in caught if "missing from" in str(warning.message)]
    for warning in caught:
        if "constrained_layout not applied" in str(
            warning.message
        ):  # labels longer than the figure: drawn anyhow
            logging.getLogger(__name__).debug("%s", warning.message)
        elif warning not in missing:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if missing:
        logging.getLogger(__name__).warning(
            "no installed font can draw some characters of the figure; install one, e.g. Noto Sans CJK"
        )
