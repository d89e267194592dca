"""How alike treated and controls are before and after matching: numbers, table, figure, the figure in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.estimate.matching import MEASURES
from engine.report.figures import figure_style, in_lines
from engine.report.grid import Entry, Row, Table
from engine.report.language.wording import ENGLISH, Words
from engine.report.palette import GREY, GRID, INK, NAVY, ORANGE, RULE
from engine.report.tables import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("column", *(f"{measure}_{when}" for when in ("before", "after") for measure in MEASURES))


def balance_table(
    frame: pd.DataFrame, *, title: str, notes: Sequence[str] = (), words: Words = ENGLISH
) -> Table:
    """The frame as a printed table: one row a column and sample, numbers of `balance`."""
    _check(frame)
    rows = []
    for record in frame.to_dict("records"):
        for when in ("before", "after"):
            values = [float(record[f"{measure}_{when}"]) for measure in MEASURES]
            entries = tuple(Entry(number(v), v) if np.isfinite(v) else Entry() for v in values)
            label = words("{column}, {when}", column=record["column"], when=words.known(when))
            rows.append(Row("fit", label, entries, term=str(record["column"])))
    said = words(
        "SMD: difference of means over the root of the mean variance of treated and controls before matching. "
        "Variance ratio: treated over controls. t treats rows as independent and is no test."
    )
    header = (words("Treated"), words("Controls"), words("SMD"), words("Variance ratio"), "t")
    return Table(title=title, header=header, rows=tuple(rows), notes=(said, *notes), words=words)


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
    before, after = rows["smd_before"].to_numpy(float), rows["smd_after"].to_numpy(float)
    places = np.arange(len(rows))
    with figure_style():
        figure = Figure(figsize=(6.3, 1.5 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
        for side in (-limit, limit):
            axes.axvline(side, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.hlines(places, before, after, color=RULE, linewidth=1.2, zorder=2)
        point: dict[str, Any] = {"linestyle": "none", "zorder": 4}
        axes.plot(
            before,
            places,
            marker="s",
            markersize=5.5,
            markerfacecolor="white",
            markeredgecolor=ORANGE,
            markeredgewidth=1.3,
            label=words("before matching"),
            **point,
        )
        axes.plot(
            after, places, marker="o", markersize=5.5, color=NAVY, label=words("after matching"), **point
        )
        axes.set_yticks(places, rows["column"].astype(str).tolist())
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        form = "Standardised mean difference, treated less controls; dashed at ±{limit}"
        axes.set_xlabel(words(form, limit=f"{limit:g}"))
        shown = in_lines(title, figure.get_figwidth() - 0.6, subtitle)
        axes.set_title(shown, loc="left", fontsize=11, color=INK)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def balance_text(frame: pd.DataFrame, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it."""
    parts = [
        words(
            "{column}: {before} before, {after} after",
            column=row.column,
            before=_said(row.smd_before, words),
            after=_said(row.smd_after, words),
        )
        for row in _sorted(frame).itertuples()
    ]
    return words(
        "Standardised mean differences of treated and controls, before and after matching. {parts}.",
        parts=words("; ").join(parts),
    )


def _said(value: Any, words: Words) -> str:
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
