"""Progress of a run, below the cell of the notebook that started it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.report.markup import escape

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
        yield bar.tell
    finally:
        bar.show("")


class _Bar:
    """One place below a cell, which shows the pass that told of itself last."""

    def __init__(self) -> None:
        self._place: DisplayHandle | None = None
        self._pass, self._start, self._updated = "", 0.0, 0.0

    def tell(self, label: str, n_done: int, total: int) -> None:
        """Of a pass: tasks that are done, of how many."""
        now = time.perf_counter()
        if label != self._pass or n_done <= 1:
            self._pass, self._start = label, now
        elapsed = now - self._start
        if elapsed < _SHOWN_AFTER or now - self._updated < _BETWEEN:
            return
        self._updated = now
        seconds_left = elapsed / n_done * (total - n_done)
        self.show(
            f'<progress value="{n_done}" max="{total}"></progress> {escape(label)}: {n_done:,} of {total:,}, '
            f"about {seconds_left:,.0f} s left"
        )

    def show(self, html: str) -> None:
        """Replace what stands there; nothing is made for a run that had nothing to show."""
        from IPython.display import HTML, display

        if self._place is not None:
            self._place.update(HTML(html))
        elif html:
            self._place = display(HTML(html), display_id=True)
