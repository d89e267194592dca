"""Effects by the adoption years of both cities: a file, and a heat map with a row for each type of pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.arrays import AnyIntegers, Array
from engine.report.figure_choices import letter_points
from engine.report.figure_style import canvas, figure_heading, figure_style, in_lines, legend
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame
from engine.report.palette import DIVERGING, GRID, INK, SILVER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_FRAME = StoredFrame(
    "pair_group_time",
    text=("job", "cell", "errors", "control_types", "reason"),
    numbers=(
        "adopted_i",
        "adopted_j",
        "year",
        "event_time",
        "treatment",
        "estimate",
        "std_error",
        "dof",
        "conf_low",
        "conf_high",
        "n_pairs",
        "n_controls",
    ),
)
PAIR_GROUP_TIME_COLUMNS = (*_FRAME.text, *_FRAME.numbers)

_STEPS = 9  # colours of the scale, that in the middle around zero
_TYPE = ["adopted_i", "adopted_j"]
_HATCH = "////"
_WIDEST = 12.0  # inches
_FEW = 12  # event years with room for the numbers of their effects


def type_label(earlier: float, later: float, words: Words = ENGLISH) -> str:
    """``2013, never``: the adoption years of a pair's two cities."""
    years = (words("never") if np.isinf(year) else f"{year:.0f}" for year in (earlier, later))
    return words("{earlier}, {later}", **dict(zip(("earlier", "later"), years, strict=True)))


def heat_map(
    effects: pd.DataFrame, *, title: str, subtitle: str = "", outcome: str = "", words: Words = ENGLISH
) -> Figure:
    """Effects by type of pairs, in rows, and event year; what nothing identifies is hatched.

    A line stands before the years in which the treatment of a type's pairs changes.

    Parameters
    ----------
    effects : DataFrame
        Rows of one cell and standard-error type of ``pair_group_time.parquet``.
    outcome : str
        As in ``estimates.parquet``, for the label of the scale.
    """
    types = effects.drop_duplicates(_TYPE)
    places = {tuple(years): place for place, years in enumerate(types[_TYPE].to_numpy().tolist())}
    row = np.array([places[tuple(years)] for years in effects[_TYPE].to_numpy().tolist()], dtype=np.int64)
    years = np.arange(effects["event_time"].min(), effects["event_time"].max() + 1)
    values = np.full((len(types), len(years)), np.nan)
    values[row, effects["event_time"].to_numpy() - years[0]] = effects["estimate"]
    with figure_style():
        width = min(max(6.3, 2.9 + 0.36 * len(years)), _WIDEST)
        figure, axes = canvas((width, 1.9 + 0.24 * max(len(types), 6)), title="", subtitle="")
        axes.grid(visible=False)
        _draw_effects(axes, values, years, outcome, words)
        _hatch(axes, row, effects, words)
        _mark_changes(axes, row, effects, words)
        _label(axes, types, years, words)
        legend(figure, axes)
        figure_heading(figure, title=title, subtitle=subtitle)
    return figure


def _draw_effects(axes: Axes, values: Array, years: AnyIntegers, outcome: str, words: Words) -> None:
    """A coloured cell for each effect, its number where there is room, and the scale."""
    size = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    edges = np.arange(years[0], years[-1] + 2) - 0.5, np.arange(len(values) + 1) - 0.5
    mesh = axes.pcolormesh(
        *edges, np.ma.masked_invalid(values), cmap=_colours(), vmin=-size, vmax=size,
        edgecolors="white", linewidth=0.6,
    )  # fmt: skip
    effect = words("Effect on {outcome}", outcome=words.outcome(outcome)) if outcome else words("Effect")
    label = in_lines(effect, min(_room(len(values)), 2.4))
    axes.figure.colorbar(mesh, ax=axes, pad=0.02, aspect=max(6.0, 0.7 * len(values)), label=label)
    if len(years) > _FEW:
        return
    decimals = max(1 - math.floor(math.log10(size)), 0)
    for place, year in np.argwhere(np.isfinite(values)).tolist():
        value = values[place, year]
        axes.text(
            years[year], place, _signed(f"{value:.{decimals}f}"), ha="center", va="center",
            fontsize=letter_points(6), color="white" if abs(value) > 0.6 * size else INK,
        )  # fmt: skip


def _room(n_types: int) -> float:
    """Inches that a line along the y axis can have."""
    return max(0.24 * n_types, 1.6)


def _signed(text: str) -> str:
    """A number with a true minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def _colours() -> Colormap:
    """Orange below zero, grey around it, blue above: equally dark at both ends, apart for every colour vision."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effects", DIVERGING, N=_STEPS)


def _hatch(axes: Axes, row: AnyIntegers, effects: pd.DataFrame, words: Words) -> None:
    """Hatch the cells that nothing identifies."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    unknown = effects["estimate"].isna().to_numpy()
    if not unknown.any():
        return
    years = effects["event_time"].to_numpy()
    cells = [
        Rectangle((year - 0.5, place - 0.5), 1, 1)
        for year, place in zip(years[unknown].tolist(), row[unknown].tolist(), strict=True)
    ]
    axes.add_collection(
        PatchCollection(cells, facecolor="none", edgecolor=SILVER, linewidth=0.0, hatch=_HATCH)
    )
    label = words("not identified")
    axes.add_patch(
        Rectangle((0, 0), 0, 0, facecolor="none", edgecolor=SILVER, linewidth=0.0, hatch=_HATCH, label=label)
    )


def _mark_changes(axes: Axes, row: AnyIntegers, effects: pd.DataFrame, words: Words) -> None:
    """A line before each year in which the treatment of a type's pairs is another than the year before."""
    changes = np.array(
        [
            (year, place)
            for place, of_type in effects.assign(row=row).groupby("row")
            for year in _years_of_change(of_type)
        ]
    ).reshape(-1, 2)
    axes.vlines(
        changes[:, 0] - 0.5, changes[:, 1] - 0.5, changes[:, 1] + 0.5, color=INK, linewidth=1.6,
        label=words("treatment changes"),
    )  # fmt: skip


def _years_of_change(of_type: pd.DataFrame) -> list[int]:
    """Event years: that of adoption, and those in which the treatment is another than in the row before."""
    years, treatment = of_type["event_time"].to_numpy(), of_type["treatment"].to_numpy()
    later = years[1:][(np.diff(treatment) != 0) & (years[1:] > 0)]
    return [0, *later.tolist()] if years[-1] >= 0 else []


def _label(axes: Axes, types: pd.DataFrame, years: AnyIntegers, words: Words) -> None:
    """Types with their number of pairs, the first above; event years."""
    labels = [
        f"{type_label(earlier, later, words)} ({n_pairs:,.0f})"
        for earlier, later, n_pairs in types[[*_TYPE, "n_pairs"]].to_numpy().tolist()
    ]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks(years, [_signed(str(year)) for year in years])
    axes.set_xlim(years[0] - 0.5, years[-1] + 0.5)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.set(
        xlabel=words("Years since the treatment of a pair first changes"),
        ylabel=in_lines(words("Adoption years of the two cities (pairs)"), _room(len(types))),
    )


def heat_map_text(effects: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it."""
    known = effects[effects["estimate"].notna()]
    if known.empty:
        return words(
            "None of the {total} effects by the adoption years of the two cities is identified.",
            total=len(effects),
        )
    largest = known.iloc[int(np.argmax(known["estimate"].abs().to_numpy()))]
    return words(
        "Effects by the adoption years of the two cities: {count} of {total} types and years are identified; the "
        "largest in absolute value, of {type} in {year}, is {estimate}.",
        count=len(known),
        total=len(effects),
        type=type_label(largest["adopted_i"], largest["adopted_j"], words),
        year=f"{largest['year']:.0f}",
        estimate=number(float(largest["estimate"])),
    )


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    estimates = report.frames["estimates"]
    for cell, ending in report.cells_of(_FRAME.name):
        rows = report.rows_of(_FRAME.name, cell)
        effects = rows[rows["errors"] == rows["errors"].iloc[0]]
        title = report.words(
            "{title}: effects by the adoption years of both cities", title=report.cell_title(cell)
        )
        figure = heat_map(
            effects,
            title=title,
            subtitle=report.subtitle,
            outcome=str(estimates.loc[estimates["cell"] == cell, "outcome"].iloc[0]),
            words=report.words,
        )
        yield FigureOutput(f"{_FRAME.name}{ending}", title, heat_map_text(effects, report.words), figure)


PAIR_GROUP_TIME = Output(reads=("estimates", _FRAME.name), stores=_FRAME, figures=_figures)
