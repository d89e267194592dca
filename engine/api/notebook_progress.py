"""Progress of a run, below the cell of the notebook that started it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.report.language.wording import ENGLISH
from engine.report.markup import escape
from engine.runtime.schedule import TimedProgress

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from engine.runtime.execute import Progress

_SHOWN_AFTER = 2.0  # seconds that a pass has taken
_BETWEEN = 0.2  # seconds between two updates


@contextmanager
def notebook_progress() -> Iterator[Progress | None]:
    """A bar for a pass that takes over two seconds, gone when the run ends; None outside notebooks."""
    ipython = sys.modules.get("IPython")
    if not (ipython and hasattr(ipython.get_ipython(), "kernel")):
        yield None
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.write("")


class _Bar(TimedProgress):
    """One place below a cell, which shows the pass that told of itself last."""

    def __init__(self) -> None:
        super().__init__()
        self._place: DisplayHandle | None = None
        self._pass, self._start, self._updated = "", 0.0, 0.0

    def show(self, label: str, n_done: int, n_tasks: int, seconds_left: float | None) -> None:
        """A line of the pass, at most every so often."""
        now = time.perf_counter()
        if label != self._pass or n_done <= 1:
            self._pass, self._start = label, now
        elapsed = now - self._start
        if elapsed < _SHOWN_AFTER or now - self._updated < _BETWEEN:
            return
        self._updated = now
        left = f", about {ENGLISH.duration(seconds_left)} left" if seconds_left is not None else ""
        self.write(
            f'<progress value="{n_done}" max="{n_tasks}"></progress> {escape(label)}: '
            f"{n_done:,} of {n_tasks:,}{left}"
        )

    def write(self, html: str) -> None:
        """Replace what stands there; nothing is made for a run that had nothing to show."""
        from IPython.display import HTML, display

        if self._place is not None:
            self._place.update(HTML(html))
        elif html:
            self._place = display(HTML(html), display_id=True)
