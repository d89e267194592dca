"""A job's choices for its figures, and how a figure is fitted to a chosen width.

A narrow figure has smaller letters, down to three quarters, labels in more lines, fewer ticks, and what height it then
needs: its axes stay as high as their width asks for.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

FigureForm = Literal["pdf", "png", "svg"]
FORMS: tuple[FigureForm, ...] = ("pdf", "png", "svg")

_CM = 1 / 2.54  # in inches
_USUAL = 6.3  # inches, as wide as figures are unless chosen
_SMALLEST = 0.75  # share of a letter's size in narrow figures
_NARROW = 5.0  # inches: too few for two things beside each other
_OF_AXES = 0.6  # of the height that a figure is made with
_ROUNDS = 5


@dataclass(frozen=True)
class FigureChoices:
    """A job's choices for all its figures.

    Attributes
    ----------
    format : sequence of str
        Files of each.
    width : float or None
        In cm.
    font : str or None
    title : bool
        The title stands in the figure.
    """

    format: Sequence[str] = ("pdf", "png")
    width: float | None = None
    font: str | None = None
    title: bool = True

    @property
    def files(self) -> tuple[FigureForm, ...]:
        """Endings of the files, in one order; PNG is what the page shows."""
        return tuple(form for form in FORMS if form == "png" or form in self.format)


_DEFAULTS = FigureChoices()
_CHOSEN: ContextVar[FigureChoices] = ContextVar("figure choices", default=_DEFAULTS)


@contextmanager
def chosen(choices: FigureChoices) -> Iterator[None]:
    """Figures made and written within have these choices."""
    token = _CHOSEN.set(choices)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def choices_made() -> FigureChoices:
    """The choices of the figures that are being made."""
    return _CHOSEN.get()


def size_of(size: tuple[float, float]) -> tuple[float, float]:
    """A figure's width and height in inches; of a chosen width the height changes by the root of the proportion."""
    width = _CHOSEN.get().width
    return size if width is None else (width * _CM, size[1] * math.sqrt(width * _CM / size[0]))


def letter_points(size: float) -> float:
    """Points of a letter that has ``size`` in a figure of usual width."""
    width = _CHOSEN.get().width
    return size if width is None else size * min(max(width * _CM / _USUAL, _SMALLEST), 1.0)


def is_narrow(width: float | None = None) -> bool:
    """Whether a figure of ``width`` inches, or of the chosen width, has no room for two things beside each other."""
    if width is None:
        width = (_CHOSEN.get().width or math.inf) * _CM
    return width < _NARROW


def fit(figure: Figure) -> None:
    """Give a figure of chosen width lines that are short enough, and the height that they need; in place."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if _CHOSEN.get().width is None:
        return
    FigureCanvasAgg(figure)
    needed = _OF_AXES * figure.get_figheight()
    for _ in range(_ROUNDS):
        with warnings.catch_warnings():  # while it is too low
            warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
            figure.draw_without_rendering()
        changed = [*map(_fewer_ticks, figure.axes), *_in_shorter_lines(figure)]
        lacking = max(needed - _height_of_axes(figure), *map(_lacking_for_rows, figure.axes))
        if lacking > 0.02 * needed:
            figure.set_figheight(figure.get_figheight() + lacking)
        elif not any(changed):
            return


def _height_of_axes(figure: Figure) -> float:
    """Inches that some axes cover."""
    height, top = 0.0, -math.inf
    for low, high in sorted((axes.bbox.y0, axes.bbox.y1) for axes in figure.axes):
        height += max(high - max(low, top), 0.0)
        top = max(top, high)
    return height / figure.dpi


def _lacking_for_rows(axes: Axes) -> float:
    """Inches by which axes are too low for the labels along their y axis."""
    boxes = sorted((box.y0, box.y1) for box in map(_extent, axes.get_yticklabels()) if box.height > 0)
    ratios = [(high - low) / max(next_low - low, 1.0) for (low, high), (next_low, _) in pairwise(boxes)]
    return (max(ratios, default=0.0) - 1.0) * axes.bbox.height / axes.figure.dpi


def _extent(text: Text) -> Bbox:
    return text.get_window_extent()


def _in_shorter_lines(figure: Figure) -> list[bool]:
    """Break lines that reach over the figure's edge, or along their axes over both ends of them."""
    changed = []
    for axes in figure.axes:
        along, up = axes.xaxis.label, axes.yaxis.label
        changed.append(_shorter(along, along.get_window_extent().width, _room_around(axes, figure)))
        changed.append(
            _shorter(up, up.get_window_extent().height, max(axes.bbox.height, 0.5 * figure.bbox.height))
        )
        for text in (axes._left_title, *axes.texts):  # type: ignore[attr-defined]
            box = text.get_window_extent()
            within = axes.bbox.x1 if text is axes._left_title else figure.bbox.x1  # type: ignore[attr-defined]
            if box.x0 >= 0 and text.get_visible() and text.get_text():
                changed.append(_shorter(text, box.width, within - box.x0))
    for whole in (figure._supxlabel, figure._suptitle):  # type: ignore[attr-defined]
        if whole is not None:
            changed.append(_shorter(whole, whole.get_window_extent().width, 0.96 * figure.bbox.width))
    return changed


def _room_around(axes: Axes, figure: Figure) -> float:
    """Width that a line in the middle of the axes can have."""
    middle = (axes.bbox.x0 + axes.bbox.x1) / 2
    return 1.94 * min(middle, figure.bbox.width - middle)


def _shorter(text: Text, length: float, room: float) -> bool:
    """Whether a text's lines were broken, as they are longer than there is room."""
    before = text.get_text()
    if length <= room or not before.strip():
        return False
    empty_line = "\n " if before.endswith("\n ") else ""  # for a subtitle
    longest = max(map(len, before.split("\n")))
    after = textwrap.fill(" ".join(before.split()), max(int(longest * room / length), 8)) + empty_line
    text.set_text(after)
    return after != before


def _fewer_ticks(axes: Axes) -> bool:
    """Whether numbers along the x axis stood in each other, and are fewer now."""
    from matplotlib.ticker import MaxNLocator

    locator = axes.xaxis.get_major_locator()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    shown = sorted(
        (box.x0, box.x1) for box in boxes if axes.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1 + 1
    )
    meet = any(end + 2 > start for (_, end), (start, _) in pairwise(shown))
    if not meet or not isinstance(locator, MaxNLocator) or len(shown) < 3:
        return False
    axes.xaxis.set_major_locator(MaxNLocator(nbins=len(shown) // 2))
    return True
