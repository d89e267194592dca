"""Intervals below one another as SVG that stands in the page itself: its colours are those of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.characters import places
from engine.report.language.wording import Words
from engine.report.markup import escape

_ROW, _LETTER, _PLOT, _MARGIN = 26, 7.2, 300, 10
"""Height of a row, width of a letter and of the intervals, and the space beside them, in pixels."""


class IntervalRow(NamedTuple):
    """A row of the picture; ``printed`` writes its numbers."""

    label: str
    estimate: float
    low: float
    high: float
    printed: Callable[[float], str]

    @property
    def numbers(self) -> str:
        return f"{self.printed(self.estimate)} [{self.printed(self.low)}, {self.printed(self.high)}]"


def interval_picture(intervals: Sequence[IntervalRow], *, title: str, words: Words) -> str:
    """A figure of HTML: a row an interval with its numbers, a dashed line at zero, the title as its caption."""
    labels = _LETTER * max(places(row.label) for row in intervals) + 2 * _MARGIN
    numbers = _LETTER * max(places(row.numbers) for row in intervals) + 2 * _MARGIN
    least, most = min(0.0, *(row.low for row in intervals)), max(0.0, *(row.high for row in intervals))
    span = most - least or 1.0  # of an effect of exactly zero
    width, height = labels + _PLOT + numbers, _ROW * len(intervals) + 2 * _MARGIN

    def across(value: float) -> float:
        return labels + _MARGIN + (value - least) / span * (_PLOT - 2 * _MARGIN)

    parts = [_line("zero", across(0.0), 0, across(0.0), height)]
    for place, row in enumerate(intervals):
        y, low, high = _MARGIN + _ROW * (place + 0.5), across(row.low), across(row.high)
        parts += [
            _text(0, y, row.label),
            _line("interval", low, y, high, y),
            _line("interval", low, y - 4, low, y + 4),
            _line("interval", high, y - 4, high, y + 4),
            f'<circle cx="{across(row.estimate):.1f}" cy="{y:.1f}" r="4"/>',
            _text(labels + _PLOT + _MARGIN, y, row.numbers),
        ]
    spoken = words("; ").join(f"{row.label}: {row.numbers}" for row in intervals)
    drawing = "\n".join(parts)
    return f"""<figure class="intervals">
<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0">
<svg role="img" aria-label="{escape(f"{title}. {spoken}")}" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">
{drawing}
</svg>
</div>
<figcaption>{escape(title)}</figcaption>
</figure>"""


def _line(of_class: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{of_class}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y + 4:.1f}">{escape(text)}</text>'
