"""The specification curve as a figure: every estimate of one coefficient, sorted, above the choices that made it.

Sources of the form: Simonsohn, Simmons and Nelson (2020); Masur and Scharkow's specr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags, LongIntegers
from engine.errors import InputError
from engine.report.error_types import error_label, in_order, preferred
from engine.report.few_adopters import with_tests_withheld
from engine.report.figure_choices import is_narrow, letter_points, size_of
from engine.report.figure_style import figure_style, heading
from engine.report.language.wording import ENGLISH, Words
from engine.report.number_format import number
from engine.report.outputs.regression_table import check_estimates
from engine.report.palette import FADED, GREY, GRID, INK, NAVY
from engine.report.phrases import LEVEL, level_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Choices = Mapping[str, Sequence[Any]]
"""By dotted key one value a cell; a value that is a list is marked item by item."""
Marks = Mapping[str, Flags]
"""By label, the specifications (in the order of the curve) that made a choice."""


@dataclass(frozen=True)
class Curve:
    """One coefficient over the cells of a job, in the order of the estimates.

    Attributes
    ----------
    term : str
    errors : str
        Standard-error type of the intervals: dyadic where there is one.
    estimate, low, high : float64 ``[n_cells]``
    significant : mapping of str to bool ``[n_cells]``
        By standard-error type, at 5%.
    order : int ``[n_cells]``
        LongIntegers of the cells in the job, lowest estimate first.
    """

    term: str
    errors: str
    estimate: Array
    low: Array
    high: Array
    significant: Mapping[str, Flags]
    order: LongIntegers


def curve_of(estimates: pd.DataFrame, term: str) -> Curve:
    """The curve of a term that every cell has.

    Raises
    ------
    InputError
        The estimates are not those of one job, or a cell is without the term.
    """
    check_estimates(estimates)
    estimates = with_tests_withheld(estimates)
    cells = list(dict.fromkeys(estimates["cell"]))
    rows = estimates[estimates["term"] == term]
    codes = in_order(rows["errors"])
    by_code = {code: rows[rows["errors"] == code].set_index("cell").reindex(cells) for code in codes}
    if not codes or any(of_type["estimate"].isna().any() for of_type in by_code.values()):
        raise InputError(
            f"not every cell has the term '{term}'",
            where="estimates",
            remedy="a curve is of one term of all cells",
        )
    errors = preferred(codes) or ""
    order = np.argsort(by_code[errors]["estimate"].to_numpy(), kind="stable")
    estimate, low, high = (
        by_code[errors][name].to_numpy(float)[order] for name in ("estimate", "conf_low", "conf_high")
    )
    significant = {
        code: of_type["p_value"].to_numpy(float)[order] < LEVEL for code, of_type in by_code.items()
    }
    return Curve(term, errors, estimate, low, high, significant, order)


def curve_figure(
    estimates: pd.DataFrame,
    term: str,
    choices: Choices,
    *,
    title: str,
    subtitle: str = "",
    confidence: float = 0.95,
    words: Words = ENGLISH,
) -> Figure:
    """Sorted estimates with their intervals above, a mark for every choice and significant error below.

    Parameters
    ----------
    estimates : DataFrame
        Rows of one job of ``estimates.parquet``.
    term : str
        Of every cell.
    choices : mapping of str to sequence
        Values in the order of the estimates.

    Raises
    ------
    InputError
        See `curve_of`.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    curve = curve_of(estimates, term)
    significance = {error_label(code, words): significant for code, significant in curve.significant.items()}
    groups = [*_groups(choices, curve.order, words), (words("significant at 5%"), significance)]
    n_lines = sum(len(marks) + 0.6 for _, marks in groups)
    with figure_style():
        heights = (2.7, 0.165 * n_lines)
        size = size_of((7.2, sum(heights) + 0.9))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _draw_estimates(upper, curve, words)
        level, kind = level_of(confidence, words), error_label(curve.errors, words)
        form = "Coefficient of {term},\n{level} interval, {kind}"
        upper.set_ylabel(words(form, term=curve.term, level=level, kind=kind))
        _draw_choices(lower, groups, curve)
        lower.set_xlabel(words("{count} specifications, by estimate", count=f"{len(curve.order):,}"))
        lower.set_xlim(-0.01 * len(curve.order), 1.01 * len(curve.order))
        heading(upper, title=title, subtitle=subtitle, width=size[0])
    return figure


def _draw_estimates(axes: Axes, curve: Curve, words: Words) -> None:
    rank = np.arange(len(curve.order))
    strong = curve.significant[curve.errors]
    for group, color, label in (
        (strong, NAVY, words("significant at 5%")),
        (~strong, FADED, words("not significant at 5%")),
    ):
        if not group.any():
            continue
        intervals = rank[group], curve.low[group], curve.high[group]
        axes.vlines(*intervals, color=color, linewidth=_width(curve), alpha=0.35)
        axes.plot(rank[group], curve.estimate[group], ".", color=color, markersize=2.6, label=label)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axhline(
        np.median(curve.estimate),
        color=GREY,
        linewidth=0.8,
        linestyle=(0, (4, 3)),
        label=words("median estimate"),
    )
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelbottom=False)
    small = letter_points(8)
    if is_narrow():  # no room beside the subtitle
        handles, labels = axes.get_legend_handles_labels()
        axes.figure.legend(handles, labels, loc="outside lower left", markerscale=3, fontsize=small)
    else:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=3,
            markerscale=3,
            fontsize=small,
            columnspacing=1.2,
        )


def _draw_choices(axes: Axes, groups: Sequence[tuple[str, Marks]], curve: Curve) -> None:
    """One line a choice, groups under bold names; marks of specifications that are significant are darker."""
    strong, y = curve.significant[curve.errors], 0.0
    heights, labels = [], []
    for name, marks in groups:
        axes.annotate(
            name, (0, y), xytext=(-4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize=letter_points(7.5), fontweight="bold", color=INK, annotation_clip=False,
        )  # fmt: skip
        for label, chose in marks.items():
            y += 1.0
            for group, color in ((strong, NAVY), (~strong, FADED)):
                x = np.flatnonzero(chose & group)
                axes.vlines(x, y - 0.36, y + 0.36, color=color, linewidth=_width(curve))
            heights.append(y)
            labels.append(label)
        y += 1.6
    axes.set_yticks(heights, labels, fontsize=letter_points(7.5))
    axes.set_ylim(y - 0.8, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _width(curve: Curve) -> float:
    """Points of a mark: as wide as fewer specifications leave room for."""
    return float(np.clip(120 / len(curve.order), 0.5, 3.0))


def _groups(choices: Choices, order: LongIntegers, words: Words) -> Iterator[tuple[str, Marks]]:
    """Name of each key, and the marks of its values."""
    for key, cell_values in choices.items():
        values = [cell_values[place] for place in order]
        marks: dict[str, Flags] = {}
        if any(isinstance(value, list) for value in values):
            lists = [value if isinstance(value, list) else [value] for value in values]
            for choice in dict.fromkeys(choice for members in _by_place(lists, order) for choice in members):
                chose = np.array([choice in members for members in lists])
                if not chose.all():
                    marks[_plain(choice, words)] = chose
        else:
            for choice in dict.fromkeys(_by_place(values, order)):
                marks[_plain(choice, words)] = np.array([value == choice for value in values])
        yield _name(key, words), marks


def _by_place(values: Sequence[Any], order: LongIntegers) -> list[Any]:
    """Values back in the order of the job, so that its first choices come first."""
    return [values[rank] for rank in np.argsort(order)]


def _name(key: str, words: Words) -> str:
    """``gravity year`` of ``pairs.gravity.year``: the block is known from what stands in it."""
    return words.known(" ".join(key.split(".")[1:] or [key]).replace("_", " "))


def _plain(value: str, words: Words) -> str:
    return words.known(value) if words.known(value) != value else value.replace("_", " ")


def curve_text(estimates: pd.DataFrame, term: str, choices: Choices, words: Words = ENGLISH) -> str:
    """The figure in words for those who cannot see it: the curve, and the median estimate under each choice."""
    curve = curve_of(estimates, term)
    parts = []
    for name, marks in _groups(choices, curve.order, words):
        medians = [
            f"{label} {number(float(np.median(curve.estimate[chose])))}" for label, chose in marks.items()
        ]
        parts.append(words("{name}: {value}", name=name, value=words(", ").join(medians)))
    return words(
        "Specification curve of {term}: {count} estimates from {low} to {high}. Median estimate under each choice: "
        "{parts}.",
        term=term,
        count=f"{len(curve.order):,}",
        low=number(curve.estimate[0]),
        high=number(curve.estimate[-1]),
        parts=words("; ").join(parts),
    )
