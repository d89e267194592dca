"""A specification curve: every estimate of one coefficient, sorted, above the choices that made it.

Jobs of many cells are drawn and summed up here, where others have a table of columns. Sources of the form:
Simonsohn, Simmons and Nelson (2020); Masur and Scharkow's specr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.report.adopters import with_tests_withheld
from engine.report.error_types import ERROR_LOOKS, error_label, preferred
from engine.report.figures import figure_style, heading
from engine.report.grid import Entry, Row, Table
from engine.report.language.wording import ENGLISH, Words
from engine.report.palette import FADED, GREY, GRID, INK, NAVY
from engine.report.reading import LEVEL
from engine.report.tables import check_estimates, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Choices = Mapping[str, Sequence[Any]]

_TESTS = {
    "median": "median estimate",
    "significant": "share significant with the predominant sign",
    "max_t": "largest |t|",
}


@dataclass(frozen=True)
class Curve:
    """One coefficient over the cells of a job, in the order of the estimates.

    Attributes
    ----------
    term : str
    kind : str
        Kind of error of the intervals: dyadic where there is one.
    estimate, low, high : float64 ``[n_cells]``
    significant : mapping of str to bool ``[n_cells]``
        By kind of error, at 5%.
    order : int ``[n_cells]``
        Places of the cells in the job, lowest estimate first.
    """

    term: str
    kind: str
    estimate: Array
    low: Array
    high: Array
    significant: Mapping[str, Flags]
    order: np.ndarray[Any, np.dtype[np.intp]]


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
    kinds = [kind for kind in ERROR_LOOKS if (rows["errors"] == kind).any()]
    by_kind = {kind: rows[rows["errors"] == kind].set_index("cell").reindex(cells) for kind in kinds}
    if not kinds or any(own["estimate"].isna().any() for own in by_kind.values()):
        raise InputError(
            f"not every cell has the term '{term}'",
            where="estimates",
            remedy="a curve is of one term of all cells",
        )
    kind = preferred(kinds) or ""
    shown = by_kind[kind]
    order = np.argsort(shown["estimate"].to_numpy(), kind="stable")
    estimate, low, high = (
        shown[name].to_numpy(float)[order] for name in ("estimate", "conf_low", "conf_high")
    )
    significant = {kind: own["p_value"].to_numpy(float)[order] < LEVEL for kind, own in by_kind.items()}
    return Curve(term, kind, estimate, low, high, significant, order)


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
        By dotted key one value a cell in the order of the estimates; lists are marked item by item.

    Raises
    ------
    InputError
        See `curve_of`.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    curve = curve_of(estimates, term)
    groups = [*_groups(choices, curve.order, words), (words("significant at 5%"), _errors(curve, words))]
    n_lines = sum(len(marks) + 0.6 for _, marks in groups)
    with figure_style():
        heights = (2.7, 0.165 * n_lines)
        figure = Figure(
            figsize=(7.2, sum(heights) + 0.9), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
        )
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _draw_estimates(above, curve, confidence, words)
        _draw_choices(below, groups, curve)
        below.set_xlabel(words("{count} specifications, by estimate", count=f"{len(curve.order):,}"))
        below.set_xlim(-0.01 * len(curve.order), 1.01 * len(curve.order))
        heading(above, title=title, subtitle=subtitle, width=7.2)
    return figure


def _draw_estimates(axes: Axes, curve: Curve, confidence: float, words: Words) -> None:
    place = np.arange(len(curve.order))
    strong = curve.significant[curve.kind]
    for chosen, color, label in (
        (strong, NAVY, words("significant at 5%")),
        (~strong, FADED, words("not significant at 5%")),
    ):
        if not chosen.any():
            continue
        axes.vlines(
            place[chosen],
            curve.low[chosen],
            curve.high[chosen],
            color=color,
            linewidth=_width(curve),
            alpha=0.35,
        )
        axes.plot(place[chosen], curve.estimate[chosen], ".", color=color, markersize=2.6, label=label)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axhline(
        np.median(curve.estimate),
        color=GREY,
        linewidth=0.8,
        linestyle=(0, (4, 3)),
        label=words("median estimate"),
    )
    kind = error_label(curve.kind, words)
    axes.set_ylabel(
        words(
            "Coefficient of {term},\n{level} interval, {kind}",
            term=curve.term,
            level=f"{confidence:.0%}",
            kind=kind,
        )
    )
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelbottom=False)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, markerscale=3, fontsize=8, columnspacing=1.2
    )


def _draw_choices(axes: Axes, groups: Sequence[tuple[str, Mapping[str, Any]]], curve: Curve) -> None:
    """One line a choice, groups under bold names; marks of specifications that are significant are darker."""
    strong, y = curve.significant[curve.kind], 0.0
    heights, labels = [], []
    for name, marks in groups:
        axes.annotate(
            name, (0, y), xytext=(-4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize=7.5, fontweight="bold", color=INK, annotation_clip=False,
        )  # fmt: skip
        for label, chosen in marks.items():
            y += 1.0
            for group, color in ((strong, NAVY), (~strong, FADED)):
                x = np.flatnonzero(chosen & group)
                axes.vlines(x, y - 0.36, y + 0.36, color=color, linewidth=_width(curve))
            heights.append(y)
            labels.append(label)
        y += 1.6
    axes.set_yticks(heights, labels, fontsize=7.5)
    axes.set_ylim(y - 0.8, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _width(curve: Curve) -> float:
    """Points of a mark: as wide as fewer specifications leave room for."""
    return float(np.clip(120 / len(curve.order), 0.5, 3.0))


def _groups(choices: Choices, order: Any, words: Words) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of each key and, by label, which specifications (in the order of the curve) chose what."""
    for key, given in choices.items():
        values = [given[place] for place in order]
        marks: dict[str, Any] = {}
        if any(isinstance(value, list) for value in values):
            items = [value if isinstance(value, list) else [value] for value in values]
            for item in dict.fromkeys(item for own in _by_place(items, order) for item in own):
                chosen = np.array([item in own for own in items])
                if not chosen.all():
                    marks[_plain(item, words)] = chosen
        else:
            for value in dict.fromkeys(_by_place(values, order)):
                marks[_plain(value, words)] = np.array([own == value for own in values])
        yield _name(key, words), marks


def _by_place(values: Sequence[Any], order: Any) -> list[Any]:
    """Values back in the order of the job, so that its first choices come first."""
    return [values[rank] for rank in np.argsort(order)]


def _errors(curve: Curve, words: Words) -> dict[str, Any]:
    return {error_label(kind, words): chosen for kind, chosen in curve.significant.items()}


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
        said = [
            f"{label} {number(float(np.median(curve.estimate[chosen])))}" for label, chosen in marks.items()
        ]
        parts.append(words("{name}: {value}", name=name, value=words(", ").join(said)))
    return words(
        "Specification curve of {term}: {count} estimates from {low} to {high}. Median estimate under each choice: "
        "{parts}.",
        term=term,
        count=f"{len(curve.order):,}",
        low=number(curve.estimate[0]),
        high=number(curve.estimate[-1]),
        parts=words("; ").join(parts),
    )


def curve_table(
    estimates: pd.DataFrame,
    term: str,
    *,
    title: str,
    tests: pd.DataFrame | None = None,
    synthetic: bool = False,
    words: Words = ENGLISH,
) -> Table:
    """The curve in one column: quantiles of the estimates, shares significant, joint tests with their p-values."""
    curve = curve_of(estimates, term)
    header = (words("value"), words("p")) if tests is not None else (words("value"),)

    def row(label: str, value: float, p: float | None = None) -> Row:
        text = f"{int(value):,}" if isinstance(value, int) else number(value)
        entries = (Entry(text, value), Entry() if p is None else Entry(f"{p:.3f}", p))
        return Row("setting", label, entries[: len(header)])

    quantiles = dict(
        zip((0, 5, 50, 95, 100), np.quantile(curve.estimate, (0, 0.05, 0.5, 0.95, 1)), strict=True)
    )
    names = {0: "smallest estimate", 50: "median estimate", 100: "largest estimate"}
    rows = [row(words("specifications"), len(curve.order))]
    for percent, value in quantiles.items():
        label = words(names[percent]) if percent in names else words("{percent}% quantile", percent=percent)
        rows.append(row(label, float(value)))
    rows.append(row(words("share of positive estimates"), float((curve.estimate > 0).mean())))
    for kind, chosen in curve.significant.items():
        label = words("share significant at 5%, {kind}", kind=error_label(kind, words))
        rows.append(row(label, float(chosen.mean())))
    for record in tests.to_dict("records") if tests is not None else ():
        label = words("joint test: {statistic}", statistic=words(_TESTS[record["statistic"]]))
        rows.append(row(label, float(record["observed"]), float(record["p_value"])))
    notes = [
        words("Coefficient of {term} over all specifications; every one is in estimates.parquet.", term=term)
    ]
    if tests is not None:
        reps = f"{int(tests['reps'].iloc[0]):,}"
        notes.append(
            words(
                "Joint tests: the whole curve under {reps} relabellings of the cities; p in the second column.",
                reps=reps,
            )
        )
    if synthetic:
        notes.append(words("Synthetic data: generated, not observed."))
    return Table(title=title, header=header, rows=tuple(rows), notes=tuple(notes), words=words)


def curve_sentences(
    estimates: pd.DataFrame, term: str, *, tests: pd.DataFrame | None = None, words: Words = ENGLISH
) -> list[str]:
    """The curve in a few sentences: its span, where the kinds of error disagree, what the joint test says."""
    curve = curve_of(estimates, term)
    said = [
        words(
            "Over {count} specifications the coefficient of {term} runs from {low} to {high}, with median {median}; "
            "{share} are positive.",
            count=f"{len(curve.order):,}",
            term=term,
            low=number(curve.estimate[0]),
            high=number(curve.estimate[-1]),
            median=number(float(np.median(curve.estimate))),
            share=f"{(curve.estimate > 0).mean():.0%}",
        ),
        words(
            "Significant at 5%: {parts}.",
            parts=words(", ").join(
                words(
                    "{share} with {kind} errors", share=f"{chosen.mean():.0%}", kind=error_label(kind, words)
                )
                for kind, chosen in curve.significant.items()
            ),
        ),
    ]
    if tests is not None:
        parts = [
            words(
                "{statistic} p = {p}",
                statistic=words(_TESTS[record["statistic"]]),
                p=f"{record['p_value']:.3f}",
            )
            for record in tests.to_dict("records")
        ]
        said.append(
            words("With cities relabelled, jointly over all of them: {parts}.", parts=words(", ").join(parts))
        )
    return said
