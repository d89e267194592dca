"""Progress of a run, below the cell of the notebook that started it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.report.language.wording import ENGLISH, Words
from engine.report.markup import escape
from engine.runtime.schedule import PassProgress, TimedProgress

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from engine.runtime.execute import Progress

_SHOWN_AFTER = 2.0  # seconds that a pass has taken
_LONG = 10.0  # seconds that a run still takes, to be shown at once: a pass of a single task reports no more
_BETWEEN = 0.2  # seconds between two updates


@contextmanager
def notebook_progress(words: Words = ENGLISH) -> Iterator[Progress | None]:
    """A bar for a pass that takes over two seconds, or a long run; gone when it ends; None outside notebooks."""
    ipython = sys.modules.get("IPython")
    if not (ipython and hasattr(ipython.get_ipython(), "kernel")):
        yield None
        return
    bar = _Bar(words)
    try:
        yield bar
    finally:
        bar.write("")


class _Bar(TimedProgress):
    """One place below a cell, which shows the pass that reported last."""

    def __init__(self, words: Words = ENGLISH) -> None:
        super().__init__()
        self._words = words
        self._place: DisplayHandle | None = None
        self._updated = 0.0

    def show(self, work: PassProgress, seconds_left: float | None) -> None:
        """A line of a pass that takes over two seconds, or begins a long run; at most every so often."""
        now = time.perf_counter()
        is_long = now - work.begun >= _SHOWN_AFTER or (seconds_left or 0.0) >= _LONG
        if not is_long or now - self._updated < _BETWEEN:
            return
        self._updated = now
        words = self._words
        parts = [words("{done} of {total}", done=f"{work.n_done:,}", total=f"{work.n_tasks:,}")]
        if seconds_left is not None:
            parts.append(words("about {time} left", time=words.duration(seconds_left)))
        line = f"{words.in_context(work.label, 'pass')}{words(': ')}{words(', ').join(parts)}"
        self.write(f'<progress value="{work.n_done}" max="{work.n_tasks}"></progress> {escape(line)}')

    def write(self, html: str) -> None:
        """Replace what stands there; nothing is made for a run that had nothing to show."""
        from IPython.display import HTML, display

        if self._place is not None:
            self._place.update(HTML(html))
        elif html:
            self._place = display(HTML(html), display_id=True)
