"""Draws in figures: the placebo density with the actual estimate, and the influence of single cities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.report.figures import figure_style, in_lines
from engine.report.language.wording import ENGLISH, Words
from engine.report.palette import GREY, INK, ORANGE, SKY
from engine.report.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def density(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Gaussian kernel density of ``values`` at ``points``, bandwidth by Silverman's rule."""
    spread = min(values.std(), np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.349)
    width = 0.9 * max(spread, np.finfo(float).tiny) * len(values) ** -0.2
    out = np.zeros(len(points))
    for part in np.array_split(values, max(1, len(values) // 4096)):
        out += np.exp(-0.5 * ((points[:, None] - part[None, :]) / width) ** 2).sum(axis=1)
    return out / (len(values) * width * np.sqrt(2 * np.pi))


def placebo_figure(
    city_draws: np.ndarray,
    estimate: float,
    p_value: float,
    *,
    term: str,
    title: str,
    subtitle: str = "",
    pair_draws: np.ndarray | None = None,
    words: Words = ENGLISH,
) -> Figure:
    """Placebo coefficients when cities are relabelled, and beside it those of shuffled pairs, marked as misleading.

    Parameters
    ----------
    city_draws : float64 ``[n_draws]``
        Permutation coefficients.
    estimate, p_value : float
        The actual coefficient, and its studentised permutation p-value.
    pair_draws : float64 ``[n_draws]``, optional
        Coefficients under shuffled pairs.
    """
    from matplotlib.figure import Figure

    known = city_draws[np.isfinite(city_draws)]
    others = None if pair_draws is None else pair_draws[np.isfinite(pair_draws)]
    every = np.concatenate([known, [estimate], others if others is not None else []])
    margin = 0.06 * (every.max() - every.min())
    points = np.linspace(every.min() - margin, every.max() + margin, 400)
    with figure_style():
        figure = Figure(figsize=(7.6 if others is not None else 4.8, 3.5), layout="constrained")
        axes = figure.subplots(1, 2 if others is not None else 1, squeeze=False, sharex=True)[0]
        above = words("Cities relabelled, p = {p}", p=number(p_value))
        _panel(axes[0], points, known, estimate, color=SKY, title=above)
        if others is not None:
            above = words("Pairs permuted: invalid under dyadic dependence")
            _panel(axes[1], points, others, estimate, color=ORANGE, title=above)
        axes[0].set_ylabel(words("Density of placebo coefficients"))
        below = words("Coefficient of {term}; the vertical line is the actual estimate", term=term)
        figure.supxlabel(below, fontsize=9.5)
        figure.suptitle(in_lines(title, figure.get_figwidth(), subtitle), x=0.01, ha="left", fontsize=11)
    return figure


def _panel(
    axes: Axes, points: np.ndarray, draws: np.ndarray, estimate: float, *, color: str, title: str
) -> None:
    height = density(draws, points)
    axes.fill_between(points, height, color=color, alpha=0.35, linewidth=0)
    axes.plot(points, height, color=color, linewidth=1.4)
    axes.axvline(estimate, color=INK, linewidth=1.4)
    axes.axvline(0, color=GREY, linewidth=0.7, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=9.5, loc="left", color=INK)


def placebo_text(
    city_draws: np.ndarray, estimate: float, p_value: float, term: str, words: Words = ENGLISH
) -> str:
    """The figure in words for those who cannot see it."""
    known = city_draws[np.isfinite(city_draws)]
    low, high = np.quantile(known, [0.025, 0.975])
    return words(
        "Density of {count} placebo coefficients of {term} with cities relabelled: standard deviation {spread}, 95% "
        "between {low} and {high}; the actual estimate is {estimate}, p = {p}.",
        count=len(known),
        term=term,
        spread=number(float(known.std())),
        low=number(float(low)),
        high=number(float(high)),
        estimate=number(estimate),
        p=number(p_value),
    )


def influence_figure(
    influence: pd.DataFrame,
    *,
    term: str,
    title: str,
    subtitle: str = "",
    shown: int = 15,
    words: Words = ENGLISH,
) -> Figure:
    """How far the estimate moves when a city, or a group, is left out: the largest shifts, sorted.

    Parameters
    ----------
    influence : DataFrame
        Rows of one cell and term of ``influence.parquet``.
    shown : int
        How many of the largest shifts are drawn.
    """
    from matplotlib.figure import Figure

    rows = influence[np.isfinite(influence["shift"])]
    rows = rows.reindex(rows["shift"].abs().sort_values(ascending=False).index).head(shown)
    rows = rows.sort_values("shift")
    with figure_style():
        figure = Figure(figsize=(5.6, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(rows)), rows["shift"], color=SKY, height=0.7)
        axes.set_yticks(range(len(rows)), rows["left_out"].astype(str).tolist())
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(words("Shift of the coefficient of {term} when left out", term=term))
        axes.set_title(in_lines(title, figure.get_figwidth() - 0.6, subtitle), loc="left", fontsize=11)
    return figure


def influence_text(influence: pd.DataFrame, term: str, words: Words = ENGLISH) -> str:
    """The figure in words: the five largest shifts."""
    rows = influence.reindex(influence["shift"].abs().sort_values(ascending=False).index).head(5)
    parts = [f"{row.left_out}: {number(float(row.shift))}" for row in rows.itertuples()]  # type: ignore[arg-type]
    return words(
        "Largest shifts of the coefficient of {term} when one is left out: {shifts}.",
        term=term,
        shifts=words("; ").join(parts),
    )
