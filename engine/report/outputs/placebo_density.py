"""Placebo coefficients of the permutation test as a density, with the actual estimate in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.arrays import Array
from engine.report.figure_choices import is_narrow, letter_points, size_of
from engine.report.figure_style import figure_heading, figure_style, in_lines
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.output import FigureOutput, JobReport, Output, StoredFrame, in_doubt
from engine.report.palette import GREY, INK, ORANGE, SKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRAME = StoredFrame("draws", text=("cell", "method", "term"), numbers=("replicate", "estimate", "statistic"))


@dataclass(frozen=True)
class Placebo:
    """An estimate among its placebo coefficients.

    Attributes
    ----------
    term : str
    estimate : float
        The actual coefficient.
    coefficient_p, p_value : float
        Its permutation p-values: by the coefficients that are drawn, and studentised.
    city_draws : float64 ``[n_draws]``
        Coefficients with adoption permuted among the cities.
    pair_draws : float64 ``[n_draws]``, optional
        Coefficients with treatment permuted among the pairs.
    """

    term: str
    estimate: float
    coefficient_p: float
    p_value: float
    city_draws: Array
    pair_draws: Array | None = None


def density(values: Array, points: Array) -> Array:
    """Gaussian kernel density of ``values`` at ``points``, bandwidth by Silverman's rule."""
    spread = min(values.std(), np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.349)
    width = 0.9 * max(spread, np.finfo(float).tiny) * len(values) ** -0.2
    total = np.zeros(len(points))
    for part in np.array_split(values, max(1, len(values) // 4096)):
        total += np.exp(-0.5 * ((points[:, None] - part[None, :]) / width) ** 2).sum(axis=1)
    return total / (len(values) * width * np.sqrt(2 * np.pi))


def placebo_figure(placebo: Placebo, *, title: str, subtitle: str = "", words: Words = ENGLISH) -> Figure:
    """The density under permuted cities and, beside it, that under permuted pairs, marked as invalid."""
    from matplotlib.figure import Figure

    header = words(
        "Cities relabelled: p = {p} of coefficients, {t} of t ratios",
        p=number(placebo.coefficient_p),
        t=number(placebo.p_value),
    )
    panels = [(_finite(placebo.city_draws), SKY, header)]
    if placebo.pair_draws is not None:
        header = words("Pairs permuted: invalid under dyadic dependence")
        panels.append((_finite(placebo.pair_draws), ORANGE, header))
    coefficients = np.concatenate([[placebo.estimate], *(draws for draws, _, _ in panels)])
    margin = 0.06 * (coefficients.max() - coefficients.min())
    points = np.linspace(coefficients.min() - margin, coefficients.max() + margin, 400)
    with figure_style():
        beside, below = (1, len(panels)) if is_narrow() else (len(panels), 1)
        width, height = size_of((4.8 if beside == 1 else 7.6, 3.7 if below == 1 else 6.4))
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(below, beside, squeeze=False, sharex=True).ravel()
        for panel, (draws, color, header) in zip(axes, panels, strict=True):
            _draw_density(panel, points, draws, placebo.estimate, color=color)
            lines = in_lines(header, 1.15 * (width / beside - 0.55))
            panel.set_title(lines, fontsize=letter_points(9.5), loc="left", color=INK)
        for panel in axes[:: len(panels) if below == 1 else 1]:
            panel.set_ylabel(words("Density of placebo coefficients"))
        label = words("Coefficient of {term}; the vertical line is the actual estimate", term=placebo.term)
        figure.supxlabel(label, fontsize=letter_points(9.5))
        figure_heading(figure, title=title, subtitle=subtitle)
    return figure


def _draw_density(axes: Axes, points: Array, draws: Array, estimate: float, *, color: str) -> None:
    height = density(draws, points)
    axes.fill_between(points, height, color=color, alpha=0.35, linewidth=0)
    axes.plot(points, height, color=color, linewidth=1.4)
    axes.axvline(estimate, color=INK, linewidth=1.4)
    axes.axvline(0, color=GREY, linewidth=0.7, linestyle=":")
    axes.set_ylim(bottom=0)


def placebo_text(placebo: Placebo, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it."""
    draws = _finite(placebo.city_draws)
    low, high = np.quantile(draws, [0.025, 0.975])
    return words(
        "Density of {count} placebo coefficients of {term} with cities relabelled: standard deviation {spread}, 95% "
        "between {low} and {high}; the actual estimate is {estimate}, p = {p} of coefficients, {t} of t ratios.",
        count=len(draws),
        term=placebo.term,
        spread=number(float(draws.std())),
        low=number(float(low)),
        high=number(float(high)),
        estimate=number(placebo.estimate),
        p=number(placebo.coefficient_p),
        t=number(placebo.p_value),
    )


def _finite(draws: Array) -> Array:
    return draws[np.isfinite(draws)]


def last_placebo(report: JobReport) -> tuple[str, Placebo] | None:
    """The last cell with permutation draws, and its placebo; None where no cell has any."""
    draws = report.frames[_FRAME.name]
    cells = draws.loc[draws["method"] == "permutation", "cell"]
    if cells.empty:
        return None
    cell = cells.iloc[-1]
    draws, term = in_doubt(draws[draws["cell"] == cell])
    city_draws, pair_draws = (
        draws.loc[draws["method"] == method, "estimate"].to_numpy()
        for method in ("permutation", "pair_shuffle")
    )
    tests = report.frames["inference"]
    tests = tests[(tests["cell"] == cell) & (tests["term"] == term)].set_index("method")
    placebo = Placebo(
        term,
        float(tests.at["permutation_coefficient", "statistic"]),
        float(tests.at["permutation_coefficient", "p_value"]),
        float(tests.at["permutation", "p_value"]),
        city_draws,
        pair_draws if len(pair_draws) else None,
    )
    return cell, placebo


def _figures(report: JobReport) -> Iterator[FigureOutput]:
    cell_placebo = last_placebo(report)
    if cell_placebo is None:
        return
    cell, placebo = cell_placebo
    form, title = "{title}: placebo", report.cell_title(cell)
    figure = placebo_figure(
        placebo,
        title=report.words(form, title=title),
        subtitle=report.subtitle,
        words=report.words,
    )
    yield FigureOutput(
        "placebo", report.words(form, title=title), placebo_text(placebo, report.words), figure
    )


PLACEBO_DENSITY = Output(reads=(_FRAME.name,), stores=_FRAME, figures=_figures)
